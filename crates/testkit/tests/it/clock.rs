//! What moves with the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use micro::event::RetryPolicy;
use micro::prelude::*;
use micro_testkit::{Outcome, TestKit};

use crate::shop::{Order, PAUSE, Tape, has, orders, warehouse};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_retry_comes_when_its_pause_is_over_and_not_before() {
    let kit = TestKit::new();
    let tape = Tape::missing(2);
    kit.start(warehouse(kit.builder("warehouse"), tape.clone()).unwrap()).await.unwrap();
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    kit.idle().await.unwrap();
    assert_eq!(tape.tried(), 1);
    // Pauses are up to a fifth shorter than 10 s.
    kit.advance(Duration::from_secs(7)).await.unwrap();
    assert_eq!(tape.tried(), 1);
    kit.advance(Duration::from_secs(3)).await.unwrap();
    assert_eq!(tape.tried(), 2);
    kit.advance(PAUSE * 2).await.unwrap();
    assert_eq!(tape.tried(), 3);
    kit.delivery("orders.created").acknowledged().await.unwrap();
}

#[tokio::test]
async fn one_pause_after_another_passes_in_one_go() {
    let kit = TestKit::new();
    let tries = Arc::new(AtomicU32::new(0));
    let mut service = kit.builder("counter").build().unwrap();
    let counter = Arc::clone(&tries);
    let fail = move |_: Context, _: Order| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { Err(micro::Error::internal("counter", "no")) }
    };
    let retry = RetryPolicy::new().attempts(6).pauses(Duration::from_millis(100), Duration::from_secs(30));
    service.subscribe(subscriber("orders.created", fail).queue("counter").retry(retry).ordered());
    kit.start(service).await.unwrap();
    kit.publish("orders.created", &Order::new("7")).key("7").await.unwrap();
    // 0.1 + 0.2 + 0.4 + 0.8 + 1.6 s.
    kit.advance(Duration::from_secs(4)).await.unwrap();
    assert_eq!(tries.load(Ordering::Relaxed), 6);
}

#[tokio::test]
async fn a_delayed_message_appears_in_its_time() {
    let kit = TestKit::new();
    kit.start(warehouse(kit.builder("warehouse"), Tape::default()).unwrap()).await.unwrap();
    kit.advance(HOUR).await.unwrap();
    kit.publish("orders.created", &Order::new("7")).delay(HOUR).await.unwrap();
    kit.published::<Order>("orders.shipped").none().await.unwrap();
    kit.advance(HOUR - PAUSE).await.unwrap();
    kit.published::<Order>("orders.shipped").none().await.unwrap();
    kit.advance(PAUSE).await.unwrap();
    kit.published::<Order>("orders.shipped").expect(1).await.unwrap();
}

#[tokio::test]
async fn what_a_called_handler_publishes_with_a_delay_goes_by_the_same_clock() {
    let kit = TestKit::new();
    let mut service = kit.builder("later").build().unwrap();
    let reminder = service.event::<Order>("orders.created");
    service.handle(Endpoint::unary("Later.Remind", move |_, order: Order| {
        let reminder = reminder.clone();
        async move {
            reminder.publish(&order).delay(HOUR).await?;
            Ok(order)
        }
    }));
    kit.start(service).await.unwrap();
    kit.start(warehouse(kit.builder("warehouse"), Tape::default()).unwrap()).await.unwrap();
    kit.advance(HOUR * 2).await.unwrap();
    kit.call::<Order, Order>("later", "Later.Remind", &Order::new("7")).await.unwrap();
    kit.published::<Order>("orders.shipped").none().await.unwrap();
    kit.advance(HOUR).await.unwrap();
    kit.published::<Order>("orders.shipped").expect(1).await.unwrap();
}

#[tokio::test]
async fn what_is_published_on_another_runtime_goes_by_the_same_clock() {
    let kit = Arc::new(TestKit::new());
    kit.start(warehouse(kit.builder("warehouse"), Tape::default()).unwrap()).await.unwrap();
    kit.advance(HOUR * 2).await.unwrap();
    let elsewhere = Arc::clone(&kit);
    let published =
        micro::rpc::spawn(
            async move { elsewhere.publish("orders.created", &Order::new("7")).delay(HOUR).await.map(drop) },
        );
    published.await.unwrap().unwrap();
    kit.published::<Order>("orders.shipped").none().await.unwrap();
    kit.advance(HOUR).await.unwrap();
    kit.published::<Order>("orders.shipped").expect(1).await.unwrap();
}

#[tokio::test]
async fn after_a_day_calls_go_through_and_have_their_whole_time() {
    let kit = TestKit::new();
    let mut service = kit.builder("clock").build().unwrap();
    service.handle(Endpoint::unary("Clock.Left", |context: Context, _: Order| async move {
        let left = context.remaining().expect("a call has a limit");
        Ok(Order::new(&left.as_secs_f64().to_string()))
    }));
    kit.start(service).await.unwrap();
    for _ in 0..2 {
        let left: Order = kit.call("clock", "Clock.Left", &Order::new("")).await.unwrap();
        let left: f64 = left.id.parse().unwrap();
        assert!((2.0..=5.0).contains(&left), "{left}");
        kit.advance(HOUR * 24).await.unwrap();
    }
}

#[tokio::test]
async fn the_deadline_of_a_call_passes_with_the_clock() {
    // So long that the connection's pings and their limits pass within one moment.
    const LONG: Duration = HOUR.saturating_mul(100);
    let kit = TestKit::new();
    let (began, mut begun) = tokio::sync::mpsc::channel(1);
    let mut service = kit.builder("slow").build().unwrap();
    service.handle(Endpoint::unary("Slow.Sleep", move |_, order: Order| {
        let began = began.clone();
        async move {
            began.send(()).await.ok();
            tokio::time::sleep(LONG).await;
            Ok(order)
        }
    }));
    kit.start(service).await.unwrap();
    let (client, request) = (kit.client(), Order::new("7"));
    let call = tokio::spawn(async move {
        client.call::<Order, Order>("slow", "Slow.Sleep", &request).timeout(LONG / 2).retries(0).await
    });
    begun.recv().await.unwrap();
    kit.advance(LONG / 4).await.unwrap();
    assert!(!call.is_finished());
    kit.advance(LONG / 3).await.unwrap();
    assert_eq!(call.await.unwrap().unwrap_err().kind(), micro::Kind::Timeout);
}

#[tokio::test]
async fn the_time_limit_of_a_handler_passes_with_the_clock() {
    let kit = TestKit::new();
    let mut service = kit.builder("slow").build().unwrap();
    let sleep = |_: Context, _: Order| async {
        tokio::time::sleep(HOUR).await;
        Ok(())
    };
    let retry = RetryPolicy::new().pauses(HOUR, HOUR);
    service.subscribe(subscriber("orders.created", sleep).queue("slow").retry(retry));
    kit.start(service).await.unwrap();
    kit.advance(HOUR).await.unwrap();
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    kit.advance(Duration::from_secs(50)).await.unwrap();
    let [story] = &kit.delivery("orders.created").stories()[..] else { panic!("one message, one story") };
    assert_eq!((story.outcome, story.deliveries), (Outcome::InHand, 1), "its lease of 30 s went on: {story}");
    kit.advance(Duration::from_secs(20)).await.unwrap();
    kit.delivery("orders.created").retried(1, "not done within its time limit of 60s").await.unwrap();
}

#[tokio::test]
async fn a_handler_that_calls_another_service_is_waited_for_while_time_passes() {
    let kit = TestKit::new();
    kit.start(orders(kit.builder("orders")).unwrap()).await.unwrap();
    let mut service = kit.builder("returns").build().unwrap();
    let client = service.client();
    let again = move |context: Context, order: Order| {
        let client = client.clone();
        async move {
            if context.event().is_some_and(|event| event.attempts == 0) {
                return Err(micro::Error::internal("returns", "not yet"));
            }
            client.call::<Order, Order>("orders", "Orders.Place", &order).await.map(drop)
        }
    };
    let retry = RetryPolicy::new().attempts(2).pauses(PAUSE, PAUSE);
    service.subscribe(subscriber("orders.returned", again).queue("returns").retry(retry));
    kit.start(service).await.unwrap();
    kit.publish("orders.returned", &Order::new("7")).await.unwrap();
    kit.advance(HOUR).await.unwrap();
    let story = kit.delivery("orders.returned").acknowledged().await.unwrap();
    assert_eq!((story.deliveries, &*story.failures), (2, &["not yet".to_owned()][..]));
    kit.published::<Order>("orders.created").expect(1).await.unwrap();
}

#[tokio::test]
async fn a_wait_does_not_end_because_the_clock_moved() {
    let kit = TestKit::new();
    let late = async {
        kit.advance(HOUR).await.unwrap();
        kit.publish("orders.created", &Order::new("7")).await.unwrap();
    };
    let (found, ()) = tokio::join!(kit.published::<Order>("orders.created").expect(1), late);
    assert_eq!(found.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_of_several_threads_is_refused() {
    let error = TestKit::new().advance(HOUR).await.unwrap_err();
    has(error, &["of several threads cannot be moved", "#[tokio::test] has one thread"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_the_test_paused_is_refused() {
    let error = TestKit::new().advance(HOUR).await.unwrap_err();
    has(error, &["the clock of this test is paused", "leave start_paused"]);
}
