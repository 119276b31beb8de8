//! Middleware round handlers of events.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use micro_core::broker::{Broker, Memory, Message, Topic};
use micro_core::middleware::{Next, Request, Response, Shape, Shared, Side, from_fn, logging};
use micro_core::{Context, Error, Kind, Result};
use micro_event::{Events, RetryPolicy, Subscriber, batch_subscriber, dead_letter, raw_subscriber, reject, subscriber};

use crate::support::{LIMIT, Order, QUIET, Seen, topic, until};

async fn events(layers: Vec<Shared>) -> Events {
    let broker = Memory::new();
    broker.connect().await.unwrap();
    let builder = Events::builder(Arc::new(broker)).service("shop");
    layers.into_iter().fold(builder, |builder, layer| builder.layer(layer)).build()
}

fn at_once(subscriber: Subscriber) -> Subscriber {
    subscriber.retry(RetryPolicy::new().attempts(3).pauses(Duration::from_millis(1), Duration::from_millis(5)))
}

/// Notes when it is entered and left.
fn noting(seen: &Seen<String>, name: &'static str) -> Shared {
    let seen = seen.clone();
    Shared::new(from_fn(move |context: Context, request: Request, next: Next| {
        let seen = seen.clone();
        async move {
            seen.push(format!("{name} in"));
            let answer = next.run(context, request).await;
            seen.push(format!("{name} out"));
            answer
        }
    }))
}

// features: B11
#[tokio::test]
async fn the_first_middleware_of_events_is_the_outermost() {
    let seen = Seen::new();
    let events = events(vec![noting(&seen, "a"), noting(&seen, "b")]).await;
    let topic = topic();
    let log = seen.clone();
    let handler = move |_: Context, order: Order| {
        log.push(order.id);
        std::future::ready(Ok(()))
    };
    let _subscribed = events.subscribe(subscriber(&topic, handler).queue("q")).await.unwrap();
    events.event(&topic).publish(&Order::new("7", 1)).await.unwrap();
    assert_eq!(seen.wait(5).await, ["a in", "b in", "7", "b out", "a out"]);
}

#[tokio::test]
async fn a_middleware_sees_the_delivery_and_what_it_changes_reaches_the_handler() {
    let seen = Seen::new();
    let log = seen.clone();
    let look = from_fn(move |context: Context, mut request: Request, next: Next| {
        let event = context.event().unwrap();
        let order: Order = request.decode().unwrap();
        log.push(format!(
            "{:?} {:?} {} {} {} attempt {} key {:?}",
            request.side(),
            request.shape(),
            request.service(),
            order.id,
            request.metadata().get_str("tenant").unwrap_or("-"),
            event.attempts,
            event.key.as_deref().map(String::from_utf8_lossy),
        ));
        assert_eq!(Some(request.name()), context.endpoint());
        request.metadata_mut().set("tenant", "umbrella");
        async move { next.run(context, request).await }
    });
    let events = events(vec![Shared::new(look)]).await;
    let topic = topic();
    let log = seen.clone();
    let handler = move |context: Context, message: Message| {
        let tenant = message.headers.get_str("tenant").unwrap().to_owned();
        assert_eq!(Context::current().metadata().get_str("tenant"), Some(&*tenant));
        assert_eq!(context.metadata().get_str("tenant"), Some(&*tenant));
        log.push(tenant);
        let first = context.event().unwrap().attempts == 0;
        async move { if first { Err(Error::internal("shop", "not yet")) } else { Ok(()) } }
    };
    let _subscribed = events.subscribe(at_once(raw_subscriber(&topic, handler).queue("q"))).await.unwrap();
    let order = Order::new("7", 1);
    events.event(&topic).publish(&order).key("k").header("tenant", "acme").await.unwrap();
    let expected = |attempt| format!("Event One shop 7 acme attempt {attempt} key Some(\"k\")");
    assert_eq!(seen.wait(4).await, [expected(0), "umbrella".into(), expected(1), "umbrella".into()]);
}

/// Publishes one order to a subscriber behind this middleware, which is entered so often and no more; returns how often the
/// handler ran, and the reason of the dead letter if there is one.
async fn outcome(
    times: u32,
    answer: impl Fn(u32) -> Result<Response> + Send + Sync + 'static,
) -> (u32, Option<String>) {
    let (runs, entered) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (count, answer) = (entered.clone(), Arc::new(answer));
    let instead = from_fn(move |_: Context, _: Request, _: Next| {
        let (answer, run) = (answer.clone(), count.fetch_add(1, Ordering::SeqCst));
        async move { answer(run) }
    });
    let events = events(vec![Shared::new(instead)]).await;
    let topic = topic();
    let ran = runs.clone();
    let handler = move |_: Context, _: Order| {
        ran.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(()))
    };
    let subscribed = events.subscribe(at_once(subscriber(&topic, handler).queue("q"))).await.unwrap();
    events.event(&topic).publish(&Order::new("7", 1)).await.unwrap();
    until("it came so often", || entered.load(Ordering::SeqCst) >= times).await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(entered.load(Ordering::SeqCst), times);
    subscribed.stop(LIMIT).await.unwrap();
    let letters = dead_letter::list(events.broker(), &topic).await.unwrap();
    let reason = letters.first().map(|letter| letter.reason.clone());
    (runs.load(Ordering::SeqCst), reason)
}

#[tokio::test]
async fn a_middleware_may_acknowledge_in_place_of_the_handler() {
    assert_eq!(outcome(1, |_| Ok(Response::empty())).await, (0, None));
}

#[tokio::test]
async fn an_error_of_a_middleware_is_tried_again_and_then_kept() {
    let (runs, reason) = outcome(3, |_| Err(Error::internal("shop", "no"))).await;
    assert_eq!(runs, 0);
    assert!(reason.is_some());
    let once = outcome(2, |run| if run == 0 { Err(Error::internal("shop", "no")) } else { Ok(Response::empty()) });
    assert_eq!(once.await, (0, None));
}

#[tokio::test]
async fn what_a_middleware_rejects_is_not_tried_again() {
    let (runs, reason) = outcome(1, |_| Err(reject(Error::bad_request("shop", "never")))).await;
    assert_eq!(runs, 0);
    assert!(reason.unwrap().eq_ignore_ascii_case("rejected"));
}

#[tokio::test]
async fn a_panic_of_a_middleware_is_a_failure_of_the_handler() {
    let done = outcome(2, |run| if run == 0 { panic!("on purpose") } else { Ok(Response::empty()) });
    assert_eq!(done.await, (0, None));
}

#[tokio::test]
async fn what_cannot_be_read_is_given_up_at_once_behind_middleware_too() {
    let seen = Seen::new();
    let events = events(vec![noting(&seen, "a")]).await;
    let topic = topic();
    let orders: Seen<Order> = Seen::new();
    let subscribed = events.subscribe(at_once(subscriber(&topic, orders.handler()).queue("q"))).await.unwrap();
    let mut message = Message::new(&b"\xff"[..]);
    message.headers.append("Content-Type", "application/protobuf");
    let receipts = events.broker().publish(&Topic::new(&topic).unwrap(), vec![message]).await;
    assert!(receipts.iter().all(Result::is_ok));
    seen.stays(2).await;
    subscribed.stop(LIMIT).await.unwrap();
    let letters = dead_letter::list(events.broker(), &topic).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].reason, "decode");
}

#[tokio::test]
async fn a_batch_is_one_run_and_its_events_are_answered_one_by_one() {
    let shapes = Arc::new(Mutex::new(Vec::new()));
    let log = shapes.clone();
    let look = from_fn(move |context: Context, request: Request, next: Next| {
        log.lock().unwrap().push((request.side(), request.shape()));
        async move { next.run(context, request).await }
    });
    let events = events(vec![Shared::new(look)]).await;
    let topic = topic();
    let seen: Seen<Vec<String>> = Seen::new();
    let log = seen.clone();
    let handler = move |_: Context, orders: Vec<Order>| {
        log.push(orders.iter().map(|order| order.id.clone()).collect());
        let first = log.len() == 1;
        async move {
            let answer = |order: &Order| match first && order.id == "1" {
                true => Err(Error::internal("shop", "not this one")),
                false => Ok(()),
            };
            orders.iter().map(answer).collect::<Vec<_>>()
        }
    };
    let batches = batch_subscriber(&topic, handler).queue("q").batch(3, Duration::from_millis(200));
    let _subscribed = events.subscribe(at_once(batches)).await.unwrap();
    let orders: Vec<_> = (0..3).map(|i| Order::new(&i.to_string(), i)).collect();
    events.event(&topic).publish_all(&orders).await;
    assert_eq!(seen.wait(2).await, [vec!["0".to_owned(), "1".into(), "2".into()], vec!["1".to_owned()]]);
    assert_eq!(*shapes.lock().unwrap(), [(Side::Event, Shape::Batch); 2]);
}

#[tokio::test]
async fn an_error_of_a_middleware_fails_the_whole_batch() {
    let entered = Arc::new(AtomicU32::new(0));
    let count = entered.clone();
    let after = from_fn(move |context: Context, request: Request, next: Next| {
        let run = count.fetch_add(1, Ordering::SeqCst);
        async move {
            let answer = next.run(context, request).await?;
            if run == 0 { Err(Error::new(Kind::Unavailable, "could not commit")) } else { Ok(answer) }
        }
    });
    let events = events(vec![Shared::new(after)]).await;
    let topic = topic();
    let seen: Seen<usize> = Seen::new();
    let log = seen.clone();
    let handler = move |_: Context, orders: Vec<Bytes>| {
        log.push(orders.len());
        std::future::ready(Ok::<(), Error>(()))
    };
    let batches = batch_subscriber(&topic, handler).queue("q").batch(2, Duration::from_millis(200));
    let _subscribed = events.subscribe(at_once(batches)).await.unwrap();
    events.event(&topic).publish_all(&[Bytes::from("a"), Bytes::from("b")]).await;
    assert_eq!(seen.stays(2).await, [2, 2], "and acknowledged then");
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn logging_writes_one_line_a_delivery() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber_of_lines = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || writer.clone())
        .finish();
    let _here = tracing::subscriber::set_default(subscriber_of_lines);
    let events = events(vec![Shared::new(logging())]).await;
    let topic = topic();
    let handler = |context: Context, _: Order| async move {
        if context.event().unwrap().attempts == 0 { Err(Error::not_found("shop", "no such order")) } else { Ok(()) }
    };
    let _subscribed = events.subscribe(at_once(subscriber(&topic, handler).queue("q"))).await.unwrap();
    events.event(&topic).publish(&Order::new("7", 1)).await.unwrap();
    let of_it = || {
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(&format!("received {topic}"))).map(str::to_owned).collect::<Vec<_>>()
    };
    until("both tries are told", || of_it().len() == 2).await;
    let told = of_it();
    assert!(told[0].contains("WARN") && told[0].contains("no such order") && told[0].contains("code=404"), "{told:?}");
    assert!(told[1].contains("INFO") && told[1].contains("took="), "{told:?}");
}
