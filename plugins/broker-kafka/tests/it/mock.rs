//! The client library's own cluster: servers of its protocol within this process, whose answers a test chooses. It has no
//! disk and knows a part of the protocol, so that it shows what the plugin does with an answer, not what Kafka does.
//!
//! What it cannot carry: no partition gets another leader when its server is down, so that it counts as one node (B107 and
//! B108 are gated); it makes topics by itself and not when asked to; it checks no sequence numbers outside transactions.

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use micro_broker_kafka::Kafka;
use micro_conformance::broker::{Fixture, Limits, Server};
use micro_core::broker::{Broker, Topic};
use micro_faults::Ports;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

type Order = Box<dyn FnOnce(&MockCluster<'static, DefaultProducerContext>) + Send>;

/// Longer than any case: what is answered so late is not answered.
const NEVER: Duration = Duration::from_secs(600);
const EVERY: i32 = -1;

/// Three servers without a disk. The library's handle stays on one thread, which carries out orders.
#[derive(Debug)]
pub(crate) struct Mock {
    orders: Sender<Order>,
    address: String,
}

impl Mock {
    pub(crate) fn start() -> Self {
        let (orders, received) = mpsc::channel::<Order>();
        let (started, address) = mpsc::channel();
        thread::spawn(move || {
            let cluster = MockCluster::new(3).unwrap();
            started.send(cluster.bootstrap_servers()).unwrap();
            while let Ok(order) = received.recv() {
                order(&cluster);
            }
        });
        Self { orders, address: address.recv().unwrap() }
    }

    pub(crate) fn address(&self, parameters: &str) -> String {
        format!("kafka://{}?kafka.allow.auto.create.topics=true&{parameters}", self.address)
    }

    /// Carries out an order, and returns when it is done.
    fn order(&self, order: impl FnOnce(&MockCluster<'static, DefaultProducerContext>) + Send + 'static) {
        let (done, told) = mpsc::channel();
        let order: Order = Box::new(move |cluster| {
            order(cluster);
            done.send(()).unwrap();
        });
        self.orders.send(order).unwrap();
        told.recv().unwrap();
    }

    /// Answers so many requests of a kind, whoever makes them, by an error.
    pub(crate) fn fail(&self, request: RDKafkaApiKey, error: RDKafkaRespErr, times: usize) {
        self.order(move |cluster| cluster.request_errors(request, &vec![error; times]));
    }

    /// Says this of a topic to whoever asks.
    pub(crate) fn say(&self, topic: &Topic, error: RDKafkaRespErr) {
        let topic = topic.as_str().to_owned();
        self.order(move |cluster| cluster.topic_error(&topic, error).unwrap());
    }

    fn down(&self) {
        self.order(|cluster| cluster.broker_down(EVERY).unwrap());
    }

    fn up(&self) {
        self.order(|cluster| {
            cluster.broker_round_trip_time(EVERY, Duration::ZERO).unwrap();
            cluster.broker_up(EVERY).unwrap();
        });
    }
}

impl Server for Mock {
    fn client(&self) -> Arc<dyn Broker> {
        Arc::new(Kafka::at(&self.address("partitions=4")).unwrap())
    }

    fn patient(&self, limit: Duration) -> Arc<dyn Broker> {
        Arc::new(Kafka::at(&self.address(&format!("connect_timeout_ms={}", limit.as_millis()))).unwrap())
    }

    fn narrow(&self, bytes: usize) -> Arc<dyn Broker> {
        Arc::new(Kafka::at(&self.address(&format!("partitions=4&buffer_kb={}", bytes >> 10))).unwrap())
    }

    fn kill(&self) {
        self.down();
    }

    fn start(&self) {
        self.up();
    }

    fn cut(&self) {
        self.down();
    }

    /// What is sent arrives, and is never answered.
    fn hold(&self) {
        self.order(|cluster| cluster.broker_round_trip_time(EVERY, NEVER).unwrap());
    }

    /// Answers that are due never go with their connections.
    fn heal(&self) {
        self.down();
        self.up();
    }
}

/// A cluster for what is asked without a server of the case's own.
#[derive(Debug)]
struct Mocked(Mock);

impl Fixture for Mocked {
    fn name(&self) -> &'static str {
        "kafka-mock"
    }

    fn client(&self) -> Arc<dyn Broker> {
        self.0.client()
    }

    fn nobody(&self) -> Option<Arc<dyn Broker>> {
        let port = Ports::take(1).unwrap().port(0);
        Some(Arc::new(Kafka::at(&format!("kafka://shop:secret@127.0.0.1:{port}")).unwrap()))
    }

    fn server(&self) -> Option<Arc<dyn Server>> {
        Some(Arc::new(Mock::start()))
    }

    fn limits(&self) -> Limits {
        Limits::default().present(Duration::from_secs(45)).absent(Duration::from_millis(700))
    }
}

micro_conformance::broker_fault_cases!(Mocked(Mock::start()));
