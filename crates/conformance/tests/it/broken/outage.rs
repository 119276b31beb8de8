//! The doubles of a server that is away, dies, and comes back.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use micro_conformance::Outcome;
use micro_conformance::broker::{Fixture, Guarded, Limits, Server, cases, check};
use micro_core::broker::{
    Broker, BrokerOptions, Capability, Memory, Message, Receipts, SubscribeOptions, Subscription, Topic,
};
use micro_core::{Error, Kind, Result};

use super::switch::{NODES, Switch, Wrong};
use super::{Double, served};

/// A client of an address where nobody listens.
#[derive(Debug)]
struct Lonely {
    memory: Memory,
    wrong: Wrong,
}

#[async_trait]
impl Broker for Lonely {
    fn name(&self) -> &'static str {
        "lonely"
    }

    fn capability(&self) -> Capability {
        self.memory.capability()
    }

    fn init(&self, options: BrokerOptions) -> Result<()> {
        self.memory.init(options)
    }

    fn options(&self) -> BrokerOptions {
        self.memory.options()
    }

    fn address(&self) -> String {
        "127.0.0.1:1".to_owned()
    }

    async fn connect(&self) -> Result<()> {
        match self.wrong {
            Wrong::ConnectsToNobody => Ok(()),
            Wrong::SaysNothing => Err(Error::new(Kind::Unavailable, "something went wrong")),
            _ => Err(Error::new(Kind::Unavailable, "nobody listens at 127.0.0.1:1; start the server")),
        }
    }

    async fn disconnect(&self) -> Result<()> {
        Ok(())
    }

    async fn health(&self) -> Result<()> {
        self.connect().await
    }

    fn publish(&self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        self.memory.publish(topic, messages)
    }

    async fn ready(&self) -> Result<()> {
        self.memory.ready().await
    }

    async fn subscribe(&self, topic: &Topic, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        self.memory.subscribe(topic, options).await
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

pub(super) fn sound_server() -> Arc<dyn Server> {
    Arc::new(Switch::new(Wrong::Nothing))
}

fn switched(case: &'static str, wrong: &'static str, how: Wrong) -> Double {
    let nobody = move || Arc::new(Lonely { memory: Memory::new(), wrong: how }) as Arc<dyn Broker>;
    let server = move || Arc::new(Switch::new(how)) as Arc<dyn Server>;
    served(case, wrong, nobody, server)
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        switched("B81", "connects to nobody", Wrong::ConnectsToNobody),
        switched("B81", "does not say where", Wrong::SaysNothing),
        switched("B100", "loses what it confirmed", Wrong::Loses),
        switched("B101", "does not come back by itself", Wrong::StaysCut),
        switched("B101", "forgets what was acknowledged", Wrong::Forgets),
        switched("B102", "confirms what it never had", Wrong::Loses),
        switched("B103", "loses what it confirmed", Wrong::Loses),
        switched("B57", "sends what waited the wrong way round", Wrong::Reorders),
        switched("B57", "repeats what no outage met", Wrong::Repeats),
        switched("B57", "loses what it confirmed", Wrong::Loses),
        switched("B104", "takes whatever comes", Wrong::IsBoundless),
        switched("B104", "never refuses", Wrong::NeverRefuses),
        switched("B104", "confirms what it has no room for", Wrong::DropsWhenFull),
        switched("B104", "does not say that it is full", Wrong::RefusesVaguely),
        switched("B105", "does not wait", Wrong::NeverWaits),
        switched("B105", "waits for ever", Wrong::WaitsForEver),
        switched("B105", "is connected to a server that is away", Wrong::ConnectsAnyway),
        switched("B111", "is healthy whatever happens", Wrong::AlwaysHealthy),
        switched("B111", "stays ill after the heal", Wrong::StaysIll),
        switched("B111", "waits for the server when asked for its health", Wrong::WaitsForHealth),
        switched("B111", "does not say where it is ill", Wrong::IllSomehow),
        switched("B111", "is healthy after its end", Wrong::HealthyWhenClosed),
        switched("B107", "is down when one node is", Wrong::DiesWithOne),
        switched("B107", "loses what it confirms while a node is down", Wrong::LosesWithOne),
        switched("B107", "forgets with a node what was acknowledged", Wrong::ForgetsWithOne),
        switched("B108", "loses what it confirmed", Wrong::Loses),
        switched("B108", "does not come back by itself", Wrong::StaysCut),
    ]
}

/// The switch itself is sound: nothing else than what is wrong on purpose is caught.
#[test]
fn a_sound_server_passes_the_cases_of_outages() {
    #[derive(Debug)]
    struct Sound;

    impl Fixture for Sound {
        fn name(&self) -> &'static str {
            "sound"
        }

        fn client(&self) -> Arc<dyn Broker> {
            Switch::new(Wrong::Nothing).client()
        }

        fn nobody(&self) -> Option<Arc<dyn Broker>> {
            Some(Arc::new(Lonely { memory: Memory::new(), wrong: Wrong::Nothing }))
        }

        fn guarded(&self) -> Option<Arc<dyn Guarded>> {
            Some(super::away::sound())
        }

        fn server(&self) -> Option<Arc<dyn Server>> {
            Some(Arc::new(Switch::new(Wrong::Nothing)))
        }

        fn nodes(&self) -> usize {
            NODES
        }

        fn limits(&self) -> Limits {
            Limits::default()
        }
    }

    let fixture: Arc<dyn Fixture> = Arc::new(Sound);
    let doubles: Vec<_> =
        [doubles(), super::away::doubles(), super::secrets::doubles()].into_iter().flatten().collect();
    let only = std::env::var("MICRO_CASE").ok();
    for case in cases().filter(|case| doubles.iter().any(|double| double.case == case.id)) {
        if only.as_ref().is_none_or(|only| case.id == only) {
            assert_eq!(check(case, &fixture), Outcome::Run, "{}", case.id);
        }
    }
}
