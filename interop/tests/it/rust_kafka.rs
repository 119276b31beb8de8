//! The Rust side on Kafka.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use micro_broker_kafka::Kafka;
use micro_core::address::Address;
use micro_core::broker::{Broker, BrokerOptions, Delivery, Message, Queue, SubscribeOptions, Topic};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// go-micro's envelope, for a fleet that has Go programs in it.
pub(crate) const GO: &str = "?dialect=gomicro";
/// Kafka's own headers and keys.
pub(crate) const NATIVE: &str = "";
/// As native, and an envelope stays what it is: a body.
pub(crate) const SEALED: &str = "?envelope=off";

/// Where the server is that all tests share.
pub(crate) fn server() -> String {
    micro_faults::kafka::shared().unwrap_or_else(|failure| panic!("{failure}")).bootstrap()
}

pub(crate) async fn broker(parameters: &str) -> Arc<dyn Broker> {
    let address = Address::parse(&format!("kafka://{}{parameters}", server())).expect("an address");
    let broker = Kafka::with_options(BrokerOptions::new().address(address)).expect("these options are right");
    broker.connect().await.expect("the server answers");
    Arc::new(broker)
}

/// Makes a topic, with the partitions that a new one has: the Go plug-in makes none.
pub(crate) async fn new_topic(broker: &Arc<dyn Broker>, name: &str) -> Topic {
    let topic = Topic::new(crate::wait::fresh(name)).expect("a topic");
    let subscription = broker.subscribe(&topic, SubscribeOptions::new()).await.expect("it is made");
    subscription.unsubscribe().await.expect("nobody needs it");
    topic
}

/// Publishes one message and waits until the server has it.
pub(crate) async fn publish(broker: &Arc<dyn Broker>, topic: &Topic, message: Message) {
    broker.publish(topic, vec![message]).first().await.expect("it is published");
}

/// A delivery as a test compares it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    pub(crate) keyed: bool,
    pub(crate) timed: bool,
}

impl Seen {
    fn of(delivery: &Delivery) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("go-micro's headers are text");
        Self {
            headers: delivery.headers().iter().map(|(name, value)| (text(name), text(value))).collect(),
            body: delivery.body().to_vec(),
            keyed: delivery.key().is_some(),
            timed: delivery.published().is_some(),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("this body is text")
    }
}

/// A subscriber that acknowledges whatever comes.
pub(crate) struct RustSubscriber {
    seen: Arc<Mutex<Vec<Seen>>>,
    leave: oneshot::Sender<()>,
    pulling: JoinHandle<()>,
}

impl RustSubscriber {
    /// Subscribes and waits until it is live.
    pub(crate) async fn start(broker: &Arc<dyn Broker>, topic: &Topic, queue: Option<&str>) -> Self {
        let mut options = SubscribeOptions::new();
        options.queue = queue.map(|queue| Queue::new(queue).expect("a queue"));
        let mut subscription = broker.subscribe(topic, options).await.expect("it is live");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (leave, mut left) = oneshot::channel();
        let sees = Arc::clone(&seen);
        let pulling = tokio::spawn(async move {
            loop {
                let deliveries = tokio::select! {
                    deliveries = subscription.next(64) => deliveries.expect("nothing ends it").expect("it goes on"),
                    _ = &mut left => break,
                };
                let mut answers = JoinSet::new();
                for delivery in deliveries {
                    sees.lock().unwrap().push(Seen::of(&delivery));
                    answers.spawn(delivery.ack());
                }
                for answer in answers.join_all().await {
                    answer.expect("it is settled");
                }
            }
            subscription.unsubscribe().await.expect("it leaves");
        });
        Self { seen, leave, pulling }
    }

    /// What has arrived so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Leaves the queue.
    pub(crate) async fn leave(self) {
        self.leave.send(()).expect("it still pulls");
        self.pulling.await.expect("it leaves in peace");
    }
}
