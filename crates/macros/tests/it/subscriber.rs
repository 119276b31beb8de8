//! `#[subscriber]`.

use std::sync::Arc;
use std::time::Duration;

use micro_core::broker::{Broker, Memory};
use micro_core::{Context, Error, Result};
use micro_event::{Events, RetryPolicy, struct_subscriber};
use micro_macros::{Payload, subscriber};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Payload)]
#[payload(crate = "crate::codegen")]
struct OrderCreated {
    id: u64,
}

struct Warehouse<S: Send + Sync + 'static> {
    seen: UnboundedSender<String>,
    shelf: S,
}

#[subscriber(crate = "crate::codegen")]
impl<S: Send + Sync + 'static + std::fmt::Display> Warehouse<S> {
    const NAME: &'static str = "warehouse";

    fn new(seen: UnboundedSender<String>, shelf: S) -> Self {
        Self { seen, shelf }
    }

    async fn ship(&self, ctx: Context, order: OrderCreated) -> Result<()> {
        let attempts = ctx.event().map_or(0, |event| event.attempts);
        self.tell(format!("ship {} from {} {attempts}", order.id, self.shelf));
        if attempts == 0 { Err(Error::internal(Self::NAME, "the door is stuck")) } else { Ok(()) }
    }

    async fn count_up(&self, _: micro_core::Context, order: OrderCreated) -> Result<()> {
        self.tell(format!("count {}", order.id));
        Ok(())
    }

    #[subscriber(skip)]
    #[expect(dead_code, reason = "shows that a skipped method hears nothing")]
    async fn forget(&self, _: Context, _: OrderCreated) -> Result<()> {
        self.tell("forget".to_owned());
        Ok(())
    }

    fn tell(&self, text: String) {
        self.seen.send(text).expect("the test listens");
    }
}

// features: D12
#[tokio::test]
async fn every_method_of_a_struct_receives_the_event_and_all_have_to_succeed() {
    let broker = Arc::new(Memory::new());
    broker.connect().await.unwrap();
    let events = Events::new(broker);
    let topic = format!("orders-{}", uuid::Uuid::now_v7().simple());
    let (seen, mut heard) = unbounded_channel();
    let policy = RetryPolicy::default();
    let warehouse = struct_subscriber(&topic, Warehouse::new(seen, 7)).queue("warehouse").retry(policy);
    let subscribed = events.subscribe(warehouse).await.unwrap();

    events.event::<OrderCreated>(&topic).publish(&OrderCreated { id: 5 }).await.unwrap();
    let mut texts = Vec::new();
    while texts.len() < 4 {
        let text = tokio::time::timeout(Duration::from_secs(60), heard.recv()).await.expect("both methods, twice");
        texts.push(text.expect("the subscriber lives"));
    }
    subscribed.stop(Duration::from_secs(10)).await.unwrap();
    texts.sort();
    assert_eq!(texts, ["count 5", "count 5", "ship 5 from 7 0", "ship 5 from 7 1"]);
    assert!(heard.try_recv().is_err(), "nothing more");
}

// features: C8
#[test]
fn methods_are_endpoints_as_go_names_them() {
    let (seen, _heard) = unbounded_channel();
    let records = struct_subscriber("orders.created", Warehouse::new(seen, "x")).records();
    let names: Vec<_> = records.iter().map(|record| record.name.as_str()).collect();
    assert_eq!(names, ["Warehouse.Ship", "Warehouse.CountUp"]);
    let request = records[0].request.as_ref().unwrap();
    assert_eq!((request.kind.as_str(), request.values[0].kind.as_str()), ("OrderCreated", "uint64"));
}
