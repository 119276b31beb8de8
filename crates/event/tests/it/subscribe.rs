use micro_event::subscriber;

use crate::support::{LIMIT, Order, Seen, memory, topic};

// features: D11, D12
#[tokio::test]
async fn what_is_published_is_handled() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let subscribed = events.subscribe(subscriber(&topic, seen.handler())).await.unwrap();
    let orders: Vec<_> = (0..100).map(|number| Order::new("a", number)).collect();
    for order in &orders {
        events.event(&topic).publish(order).key("a").await.unwrap();
    }
    assert_eq!(seen.stays(100).await, orders);
    subscribed.stop(LIMIT).await.unwrap();
}
