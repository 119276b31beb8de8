use std::time::Duration;

use micro_core::broker::{Broker, Message, SubscribeOptions};
use tokio::time::Instant;

use super::support::*;

#[tokio::test]
async fn delayed_messages_appear_in_the_order_of_their_time_and_not_before() {
    let broker = connected().await;
    for (name, options) in [("delayed.everyone", SubscribeOptions::new()), ("delayed.queue", of("q"))] {
        let topic = topic(name);
        let mut subscription = broker.subscribe(&topic, options).await.unwrap();
        let began = Instant::now();
        let waiting = tokio::spawn(async move {
            let first = one(&mut subscription).await;
            let at = began.elapsed();
            first.ack().await.unwrap();
            (at, drain(&mut subscription, 1).await)
        });
        // The subscriber waits without a clock when the first delay begins.
        tokio::task::yield_now().await;
        let delayed = |body: &str, millis| Message::new(body.to_owned()).delay(Duration::from_millis(millis));
        broker.publish(&topic, vec![delayed("late", 300), delayed("early", 150)]).all().await.unwrap();
        let (at, rest) = tokio::time::timeout(LIMIT, waiting).await.unwrap().unwrap();
        assert!(at >= Duration::from_millis(150), "{at:?}");
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert_eq!(rest, ["late"]);
    }
}

#[tokio::test]
async fn an_expired_message_is_not_delivered_and_holds_up_no_key() {
    let broker = connected().await;
    let topic = topic("expired.gone");
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    let short = || Message::new("short").ttl(Duration::from_millis(50));
    broker.publish(&topic, vec![short(), short().key("k"), Message::new("long").key("k")]).all().await.unwrap();
    tokio::time::sleep(Duration::from_millis(80)).await;
    assert_eq!(drain(&mut subscription, 1).await, ["long"]);
    silent(&mut subscription).await;
}
