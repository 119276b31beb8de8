//! The broken doubles: each breaks the rule of one case, and the case must catch it.

mod away;
mod clock;
mod events;
mod front;
mod groups;
mod holding;
mod life;
mod options;
mod order;
mod outage;
mod patterns;
mod replay;
mod requests;
mod routing;
mod secrets;
mod settlement;
mod switch;
mod transactions;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use micro_conformance::Outcome;
use micro_conformance::broker::{Case, Counted, Fixture, Guarded, Limits, Server, cases, check};
use micro_core::broker::{Broker, Memory};

use crate::hooks::{Hooked, Hooks, World};
use crate::tamper::{Tamper, Tampered};

/// Makes a client of a world of a name, which breaks a rule.
type Client = Arc<dyn Fn(&str) -> Arc<dyn Broker> + Send + Sync>;

/// A double: the case that must catch it, what it does wrong, and how it is made.
pub(crate) struct Double {
    case: &'static str,
    wrong: &'static str,
    client: Client,
    served: Option<Served>,
    /// A client that may not make topics.
    strict: Option<Client>,
    /// Servers that ask for an account.
    guarded: Option<fn() -> Arc<dyn Guarded>>,
}

/// A client of nobody, and a server of one case.
#[derive(Clone)]
struct Served {
    nobody: Arc<dyn Fn() -> Arc<dyn Broker> + Send + Sync>,
    server: Arc<dyn Fn() -> Arc<dyn Server> + Send + Sync>,
}

/// A memory that is tampered with. What `tamper` makes is shared by all clients of one run.
fn tampered(case: &'static str, wrong: &'static str, tamper: fn() -> Tamper) -> Double {
    let shared = Arc::new(tamper());
    made(case, wrong, move |world| Arc::new(Tampered::new(Memory::shared(world), Arc::clone(&shared))))
}

/// Any broker.
fn made(
    case: &'static str,
    wrong: &'static str,
    client: impl Fn(&str) -> Arc<dyn Broker> + Send + Sync + 'static,
) -> Double {
    Double { case, wrong, client: Arc::new(client), served: None, strict: None, guarded: None }
}

/// A memory whose clients and subscriptions live wrongly.
fn hooked(case: &'static str, wrong: &'static str, hooks: impl Fn(Memory) -> Hooks + Send + Sync + 'static) -> Double {
    let shared = World::new();
    made(case, wrong, move |world| Arc::new(Hooked::new(hooks(Memory::shared(world)), Arc::clone(&shared))))
}

/// A server that can be killed.
fn served(
    case: &'static str,
    wrong: &'static str,
    nobody: impl Fn() -> Arc<dyn Broker> + Send + Sync + 'static,
    server: impl Fn() -> Arc<dyn Server> + Send + Sync + 'static,
) -> Double {
    let server = Arc::new(server);
    let client = {
        let server = Arc::clone(&server);
        move |_: &str| server().client()
    };
    let served = Some(Served { nobody: Arc::new(nobody), server });
    Double { served, ..made(case, wrong, client) }
}

fn doubles() -> Vec<Double> {
    let all = [
        routing::doubles(),
        settlement::doubles(),
        holding::doubles(),
        groups::doubles(),
        order::doubles(),
        options::doubles(),
        life::doubles(),
        replay::doubles(),
        transactions::doubles(),
        requests::doubles(),
        patterns::doubles(),
        clock::doubles(),
        events::doubles(),
        outage::doubles(),
        away::doubles(),
        secrets::doubles(),
    ];
    // One of them, to try it: MICRO_CASE=B21.
    let only = std::env::var("MICRO_CASE").ok();
    all.into_iter().flatten().filter(|double| only.as_ref().is_none_or(|only| double.case == only)).collect()
}

struct Broken {
    world: String,
    client: Client,
    served: Option<Served>,
    strict: Option<Client>,
    guarded: Option<fn() -> Arc<dyn Guarded>>,
    /// Keeps the world alive between two clients.
    memory: Memory,
}

impl std::fmt::Debug for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broken").field("world", &self.world).finish_non_exhaustive()
    }
}

impl Fixture for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn client(&self) -> Arc<dyn Broker> {
        (self.client)(&self.world)
    }

    fn nobody(&self) -> Option<Arc<dyn Broker>> {
        self.served.as_ref().map(|served| (served.nobody)())
    }

    fn server(&self) -> Option<Arc<dyn Server>> {
        self.served.as_ref().map(|served| (served.server)())
    }

    fn counted(&self) -> Option<Arc<dyn Counted>> {
        Some(Arc::new(Count { client: self.client(), memory: self.memory.clone() }))
    }

    fn strict(&self) -> Option<Arc<dyn Broker>> {
        self.strict.as_ref().map(|strict| strict(&self.world))
    }

    fn guarded(&self) -> Option<Arc<dyn Guarded>> {
        self.guarded.map(|guarded| guarded())
    }

    fn simulated(&self) -> bool {
        true
    }

    fn nodes(&self) -> usize {
        if self.served.is_some() { switch::NODES } else { 1 }
    }

    /// What is broken mostly shows by something that does not come.
    fn limits(&self) -> Limits {
        Limits::default().present(Duration::from_millis(1500)).absent(Duration::from_millis(150))
    }
}

/// Counts the subscriptions of a double's world.
#[derive(Debug)]
struct Count {
    client: Arc<dyn Broker>,
    memory: Memory,
}

impl Counted for Count {
    fn client(&self) -> Arc<dyn Broker> {
        Arc::clone(&self.client)
    }

    fn consumers(&self) -> usize {
        self.memory.subscriptions()
    }
}

fn case(id: &str) -> &'static Case {
    cases().find(|case| case.id == id).unwrap_or_else(|| panic!("a double breaks {id}, which is no case"))
}

#[test]
fn every_case_catches_its_doubles() {
    let doubles = doubles();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let uncaught = std::sync::Mutex::new(Vec::new());
    // Most of the time is waiting.
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let Some(double) = doubles.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let world = format!("broken-{}", uuid::Uuid::new_v4());
                    let memory = Memory::shared(&world);
                    let (client, served) = (Arc::clone(&double.client), double.served.clone());
                    let (strict, guarded) = (double.strict.clone(), double.guarded);
                    let broken = Broken { world, client, served, strict, guarded, memory };
                    let outcome = check(case(double.case), &(Arc::new(broken) as Arc<dyn Fixture>));
                    if !matches!(outcome, Outcome::Failed(_)) {
                        let text = format!("{}: one that {} is not caught: {outcome}", double.case, double.wrong);
                        uncaught.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let uncaught = uncaught.into_inner().unwrap();
    assert!(uncaught.is_empty(), "{uncaught:#?}");
}

#[test]
fn every_case_has_a_double() {
    let broken: BTreeSet<_> = doubles().iter().map(|double| double.case).collect();
    let cases: BTreeSet<_> = cases().map(|case| case.id).collect();
    assert_eq!(cases, broken);
}
