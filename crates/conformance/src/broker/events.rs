//! B12, B53, B54, B60 to B69, B121, B123: the event layer over the plugin.

use std::future::{pending, ready};
use std::sync::Arc;
use std::time::{Duration, Instant};

use micro_core::broker::{Broker, Message, Queue, SubscribeOptions};
use micro_core::codec::well_known::Timestamp;
use micro_core::{Context, Error};
use micro_event::dead_letter::DeadLetter;
use micro_event::{Events, RetryPolicy, Subscriber, batch_subscriber, dead_letter, raw_subscriber, subscriber};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Stage;
use super::stage::numbered;
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B12 an_event_without_a_content_type_is_a_named_dead_letter [Queues] "an event has its content type and id; one without a content type is a dead letter whose error says so";
    B53 different_keys_run_in_parallel_and_one_key_never_does [Queues] "handlers of different keys run at the same time, those of one key never";
    B54 a_key_that_hangs_stops_no_other [Queues] "one blocked key does not stop the other keys";
    B60 a_handler_that_always_fails_is_called_so_often_and_then_there_is_a_dead_letter [Queues] "with 3 attempts a failing handler is called exactly 3 times, then its message is a dead letter";
    B61 the_pauses_between_tries_grow [Queues] "pauses between tries are not shorter than configured, and grow";
    B62 a_dead_letter_is_the_message_and_its_story [Queues] "a dead letter has the bytes, key and headers of the message, and reason, error, attempts, topic, queue and times";
    B63 what_cannot_become_a_dead_letter_is_not_settled [Queues] "if the dead letter cannot be published, the message is kept and its letter written later";
    B64 a_poison_message_does_not_block_the_others [Queues] "others are handled while one fails again and again";
    B65 what_cannot_be_decoded_is_a_dead_letter_at_once [Queues] "an event that does not decode is a dead letter of reason decode, without a call and without retries";
    B66 a_requeued_dead_letter_comes_back_to_its_queue_only [Queues] "a requeued letter comes to the queue that gave it up, and to no other";
    B67 a_panic_is_a_failure_and_the_subscription_lives_on [Queues] "a handler that panics has failed; the next message is handled";
    B68 a_handler_over_its_time_is_cancelled_and_tried_again [Queues] "a handler over its time limit is cancelled, and that is a failure";
    B69 stopping_is_no_failure [Queues] "a handler that is cancelled by a stop leaves its message to the queue, with no failure counted and no dead letter";
    B121 only_what_failed_of_a_batch_comes_again [Queues] "of a batch only the entries that failed come again";
    B123 the_last_part_of_a_batch_is_handled_at_a_stop [Queues] "a batch that is not full is handled when the subscription stops";
}

/// Calls of a handler: the body as text, and the failures before it.
type Calls = UnboundedReceiver<(String, u32)>;

const TRIES: u32 = 3;

fn quick() -> RetryPolicy {
    RetryPolicy::new().attempts(TRIES).pauses(Duration::from_millis(20), Duration::from_millis(80))
}

fn note(calls: &UnboundedSender<(String, u32)>, context: &Context, message: &Message) -> String {
    let body = String::from_utf8_lossy(&message.body).into_owned();
    let attempts = context.event().map_or(0, |event| event.attempts);
    // The case may be over.
    let _ = calls.send((body.clone(), attempts));
    body
}

/// A subscriber that fails with some bodies, and notes every call.
fn failing(topic: &str, queue: &Queue, fails: impl Fn(&str) -> bool + Send + Sync + 'static) -> (Subscriber, Calls) {
    let (calls, called) = unbounded_channel();
    let handler = move |context: Context, message: Message| {
        let body = note(&calls, &context, &message);
        ready(if fails(&body) { Err(Error::internal("conformance", "not this one")) } else { Ok(()) })
    };
    (raw_subscriber(topic, handler).queue(queue.as_str()).retry(quick()), called)
}

/// The next so many calls.
async fn calls(stage: &Stage, called: &mut Calls, count: usize) -> Result<Vec<(String, u32)>, Failed> {
    let mut all = Vec::new();
    while all.len() < count {
        let what = format!("{} of {count} calls came; the next one", all.len());
        all.extend(stage.present(&what, called.recv()).await?);
    }
    Ok(all)
}

/// Checks that no call comes.
async fn no_call(stage: &Stage, called: &mut Calls) -> Result<(), Failed> {
    match tokio::time::timeout(stage.limits().absent, called.recv()).await {
        Err(_) | Ok(None) => Ok(()),
        Ok(Some(call)) => Err(Failed::new(format!("a handler was called once more: {call:?}"))),
    }
}

/// Waits for the dead letters of a topic.
pub(super) async fn letters(
    stage: &Stage,
    broker: &Arc<dyn Broker>,
    topic: &str,
    count: usize,
) -> Result<Vec<DeadLetter>, Failed> {
    let until = Instant::now() + stage.limits().present;
    loop {
        let letters = stage.present("list of dead letters", dead_letter::list(broker, topic)).await??;
        if letters.len() >= count || Instant::now() >= until {
            ensure!(letters.len() == count, "{} dead letters where {count} are due", letters.len());
            return Ok(letters);
        }
    }
}

pub(super) async fn stop(stage: &Stage, live: micro_event::Subscribed) -> Result<(), Failed> {
    stage.present("stop", live.stop(Duration::from_secs(5))).await?.map_err(Into::into)
}

async fn an_event_without_a_content_type_is_a_named_dead_letter(stage: Stage) -> Result<(), Failed> {
    let (broker, topic, queue) = (stage.client().await?, stage.topic("t"), stage.queue("q"));
    let events = Events::new(Arc::clone(&broker));
    let (seen, mut saw) = unbounded_channel();
    let handler = move |context: Context, event: Timestamp| {
        let id = context.event().map(|event| event.id.clone()).unwrap_or_default();
        let content_type = context.metadata().get_str("Content-Type").map(str::to_owned);
        let _ = seen.send((event.seconds, id, content_type));
        ready(Ok(()))
    };
    let live = events.subscribe(subscriber(topic.as_str(), handler).queue(queue.as_str())).await?;
    publish_numbers(&events, topic.as_str(), 7..8).await?;
    let (seconds, id, content_type) =
        stage.present("the event", saw.recv()).await?.ok_or_else(|| Failed::new("the subscription is gone"))?;
    ensure!(seconds == 7 && !id.is_empty(), "{seconds} came, with the id {id:?}");
    ensure!(content_type.as_deref() == Some("application/protobuf"), "the content type is {content_type:?}");
    stage.publish(&broker, &topic, vec![Message::new("who am I?")]).await?;
    let letters = letters(&stage, &broker, topic.as_str(), 1).await?;
    ensure!(letters[0].error.contains("Content-Type"), "the error does not say what is missing: {}", letters[0].error);
    stop(&stage, live).await
}

async fn different_keys_run_in_parallel_and_one_key_never_does(stage: Stage) -> Result<(), Failed> {
    let (broker, topic, queue) = (stage.client().await?, stage.topic("t"), stage.queue("q"));
    let events = Events::new(Arc::clone(&broker));
    let (began, mut begins) = unbounded_channel();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let handler = {
        let gate = Arc::clone(&gate);
        move |context: Context, _: Message| {
            let (gate, began) = (Arc::clone(&gate), began.clone());
            async move {
                let key = context.event().and_then(|event| event.key.clone()).unwrap_or_default();
                let _ = began.send(key);
                gate.acquire().await.map_err(|_| Error::internal("conformance", "over"))?.forget();
                Ok(())
            }
        }
    };
    let live = events.subscribe(raw_subscriber(topic.as_str(), handler).queue(queue.as_str())).await?;
    let messages = (0..6).map(|number| Message::new("").key(if number % 2 == 0 { "even" } else { "odd" }));
    stage.publish(&broker, &topic, messages.collect()).await?;
    let mut first = Vec::new();
    for _ in 0..2 {
        first.extend(stage.present("two handlers at the same time", begins.recv()).await?);
    }
    ensure!(first[0] != first[1], "two handlers of the key {:?} run at the same time", first[0]);
    let third = tokio::time::timeout(stage.limits().absent, begins.recv()).await;
    ensure!(third.is_err(), "a third handler began, of a key that has one");
    gate.add_permits(6);
    for _ in 0..4 {
        stage.present("the other handlers", begins.recv()).await?;
    }
    stop(&stage, live).await
}

async fn a_key_that_hangs_stops_no_other(stage: Stage) -> Result<(), Failed> {
    let (broker, topic, queue) = (stage.client().await?, stage.topic("t"), stage.queue("q"));
    let events = Events::new(Arc::clone(&broker));
    let (calls_of, mut called) = unbounded_channel();
    let handler = move |context: Context, message: Message| {
        let body = note(&calls_of, &context, &message);
        async move {
            if body == "hang" {
                pending::<()>().await;
            }
            Ok(())
        }
    };
    let live = events.subscribe(raw_subscriber(topic.as_str(), handler).queue(queue.as_str())).await?;
    let mut messages = vec![Message::new("hang").key("slow"), Message::new("behind").key("slow")];
    messages.extend((0..50).map(|number| Message::new("other").key(format!("key-{number}"))));
    stage.publish(&broker, &topic, messages).await?;
    let came = calls(&stage, &mut called, 51).await?;
    ensure!(came.iter().all(|(body, _)| body != "behind"), "the hanging key's next message was handled");
    no_call(&stage, &mut called).await?;
    // The one that hangs is cancelled.
    stage.present("stop", live.stop(Duration::from_millis(100))).await?.map_err(Into::into)
}

async fn a_handler_that_always_fails_is_called_so_often_and_then_there_is_a_dead_letter(
    stage: Stage,
) -> Result<(), Failed> {
    let (broker, topic, queue) = (stage.client().await?, stage.topic("t"), stage.queue("q"));
    let (subscriber, mut called) = failing(topic.as_str(), &queue, |_| true);
    let live = Events::new(Arc::clone(&broker)).subscribe(subscriber).await?;
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    let attempts: Vec<_> = calls(&stage, &mut called, 3).await?.into_iter().map(|(_, attempts)| attempts).collect();
    ensure!(attempts == [0, 1, 2], "the handler saw {attempts:?} failures before its calls");
    letters(&stage, &broker, topic.as_str(), 1).await?;
    no_call(&stage, &mut called).await?;
    stop(&stage, live).await
}

async fn the_pauses_between_tries_grow(stage: Stage) -> Result<(), Failed> {
    let (broker, topic, queue) = (stage.client().await?, stage.topic("t"), stage.queue("q"));
    let retry = RetryPolicy::new().attempts(TRIES).pauses(Duration::from_millis(200), Duration::from_secs(2));
    let (subscriber, mut called) = failing(topic.as_str(), &queue, |_| true);
    let live = Events::new(Arc::clone(&broker)).subscribe(subscriber.retry(retry)).await?;
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    let mut times = Vec::new();
    for _ in 0..3 {
        calls(&stage, &mut called, 1).await?;
        times.push(Instant::now());
    }
    let (first, second) = (times[1] - times[0], times[2] - times[1]);
    // Pauses are spread by a fifth, so that failures do not come all at once.
    ensure!(first >= Duration::from_millis(150), "the first pause was {first:?} and not 200 ms");
    ensure!(second >= Duration::from_millis(300), "the second pause was {second:?} and not 400 ms");
    ensure!(second < Duration::from_secs(4), "the second pause was {second:?}");
    stop(&stage, live).await
}

async fn a_dead_letter_is_the_message_and_its_story(stage: Stage) -> Result<(), Failed> {
    let (broker, topic, queue) = (stage.client().await?, stage.topic("t"), stage.queue("q"));
    let (subscriber, _called) = failing(topic.as_str(), &queue, |_| true);
    let live = Events::new(Arc::clone(&broker)).subscribe(subscriber).await?;
    let key = stage.capability().keys.then_some("order-7");
    let mut message = Message::new(&b"\x00\xffbytes"[..]).header("Micro-Id", "id-7").header("Tenant", "acme");
    if let Some(key) = key {
        message = message.key(key);
    }
    stage.publish(&broker, &topic, vec![message]).await?;
    let letter = letters(&stage, &broker, topic.as_str(), 1).await?.remove(0);
    ensure!(&letter.message.body[..] == b"\x00\xffbytes", "the bytes became {:?}", letter.message.body);
    ensure!(letter.message.headers.get_str("Tenant") == Some("acme"), "headers became {:?}", letter.message.headers);
    ensure!(letter.message.key.as_deref() == key.map(str::as_bytes), "the key became {:?}", letter.message.key);
    ensure!(letter.id == "id-7", "the id became {:?}", letter.id);
    ensure!(letter.topic == topic.as_str() && letter.queue == queue.as_str(), "it is of {letter:?}");
    ensure!(letter.reason == "failed" && letter.attempts == TRIES, "{} after {}", letter.reason, letter.attempts);
    ensure!(letter.error.contains("not this one"), "the error is {:?}", letter.error);
    ensure!(letter.first.is_some() && letter.last >= letter.first, "{:?} to {:?}", letter.first, letter.last);
    stop(&stage, live).await
}

async fn what_cannot_become_a_dead_letter_is_not_settled(stage: Stage) -> Result<(), Failed> {
    let (topic, queue) = (stage.topic("t"), stage.queue("q"));
    let broker = stage.client().await?;
    let refusing: Arc<dyn Broker> = Arc::new(super::refusing::Refusing::new(Arc::clone(&broker), topic.dead()));
    let (subscriber, mut called) = failing(topic.as_str(), &queue, |_| true);
    let live = Events::new(refusing).subscribe(subscriber).await?;
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    calls(&stage, &mut called, 3).await?;
    no_call(&stage, &mut called).await?;
    stage.present("stop", live.stop(Duration::from_secs(5))).await?.ok();
    // Whoever comes next has it, and its letter is written then.
    let (subscriber, mut called) = failing(topic.as_str(), &queue, |_| false);
    let live = Events::new(Arc::clone(&broker)).subscribe(subscriber).await?;
    calls(&stage, &mut called, 1).await?;
    stop(&stage, live).await
}

async fn a_poison_message_does_not_block_the_others(stage: Stage) -> Result<(), Failed> {
    let (broker, topic, queue) = (stage.client().await?, stage.topic("t"), stage.queue("q"));
    let slow = RetryPolicy::new().attempts(TRIES).pauses(stage.limits().present, stage.limits().present);
    let (subscriber, mut called) = failing(topic.as_str(), &queue, |body| body == "0");
    let live = Events::new(Arc::clone(&broker)).subscribe(subscriber.retry(slow)).await?;
    stage.publish(&broker, &topic, numbered(0..20)).await?;
    let mut came: Vec<_> = calls(&stage, &mut called, 20).await?.into_iter().map(|(body, _)| body).collect();
    came.sort_unstable();
    came.dedup();
    ensure!(came.len() == 20, "only {came:?} came");
    stop(&stage, live).await
}

async fn what_cannot_be_decoded_is_a_dead_letter_at_once(stage: Stage) -> Result<(), Failed> {
    let (broker, topic, queue) = (stage.client().await?, stage.topic("t"), stage.queue("q"));
    let (seen, mut called) = unbounded_channel();
    let handler = move |_: Context, event: Timestamp| {
        let _ = seen.send((event.seconds.to_string(), 0));
        ready(Ok(()))
    };
    let live = Events::new(Arc::clone(&broker))
        .subscribe(subscriber(topic.as_str(), handler).queue(queue.as_str()).retry(quick()))
        .await?;
    let broken = Message::new(&[0xff_u8; 9][..]).header("Content-Type", "application/protobuf");
    stage.publish(&broker, &topic, vec![broken]).await?;
    let letter = letters(&stage, &broker, topic.as_str(), 1).await?.remove(0);
    ensure!(letter.reason == "decode" && letter.attempts == 0, "{} after {}", letter.reason, letter.attempts);
    no_call(&stage, &mut called).await?;
    stop(&stage, live).await
}

async fn a_requeued_dead_letter_comes_back_to_its_queue_only(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let events = Events::new(Arc::clone(&broker));
    let healed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let ill = Arc::clone(&healed);
    let (subscriber, mut called) =
        failing(topic.as_str(), &stage.queue("ill"), move |_| !ill.load(std::sync::atomic::Ordering::Acquire));
    let live = events.subscribe(subscriber).await?;
    let (other, mut elsewhere) = failing(topic.as_str(), &stage.queue("well"), |_| false);
    let other = events.subscribe(other).await?;
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    calls(&stage, &mut called, 3).await?;
    calls(&stage, &mut elsewhere, 1).await?;
    letters(&stage, &broker, topic.as_str(), 1).await?;
    healed.store(true, std::sync::atomic::Ordering::Release);
    let requeued = stage.present("requeue", dead_letter::requeue(&broker, topic.as_str(), |_| true)).await??;
    ensure!(requeued == 1, "{requeued} were requeued");
    let again = calls(&stage, &mut called, 1).await?;
    ensure!(again[0].0 == "0", "{:?} came back", again[0].0);
    no_call(&stage, &mut elsewhere).await?;
    letters(&stage, &broker, topic.as_str(), 0).await?;
    stop(&stage, other).await?;
    stop(&stage, live).await
}

async fn a_panic_is_a_failure_and_the_subscription_lives_on(stage: Stage) -> Result<(), Failed> {
    let (broker, topic, queue) = (stage.client().await?, stage.topic("t"), stage.queue("q"));
    let (calls_of, mut called) = unbounded_channel();
    let handler = move |context: Context, message: Message| {
        let body = note(&calls_of, &context, &message);
        async move {
            assert!(body != "0" || context.event().is_some_and(|event| event.attempts > 0), "on purpose");
            Ok(())
        }
    };
    let subscriber = raw_subscriber(topic.as_str(), handler).queue(queue.as_str()).retry(quick());
    let live = Events::new(Arc::clone(&broker)).subscribe(subscriber).await?;
    stage.publish(&broker, &topic, numbered(0..2)).await?;
    let mut came = calls(&stage, &mut called, 3).await?;
    came.sort_unstable();
    let wanted = [("0".to_owned(), 0), ("0".to_owned(), 1), ("1".to_owned(), 0)];
    ensure!(came == wanted, "the calls were {came:?}");
    no_call(&stage, &mut called).await?;
    stop(&stage, live).await
}

async fn a_handler_over_its_time_is_cancelled_and_tried_again(stage: Stage) -> Result<(), Failed> {
    let (broker, topic, queue) = (stage.client().await?, stage.topic("t"), stage.queue("q"));
    let (calls_of, mut called) = unbounded_channel();
    let handler = move |context: Context, message: Message| {
        note(&calls_of, &context, &message);
        let hangs = context.event().is_none_or(|event| event.attempts == 0);
        async move {
            if hangs {
                pending::<()>().await;
            }
            Ok(())
        }
    };
    let subscriber = raw_subscriber(topic.as_str(), handler).queue(queue.as_str()).retry(quick());
    let subscriber = subscriber.time_limit(Duration::from_millis(150));
    let live = Events::new(Arc::clone(&broker)).subscribe(subscriber).await?;
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    let attempts: Vec<_> = calls(&stage, &mut called, 2).await?.into_iter().map(|(_, attempts)| attempts).collect();
    ensure!(attempts == [0, 1], "the handler saw {attempts:?} failures before its calls");
    no_call(&stage, &mut called).await?;
    stop(&stage, live).await
}

async fn stopping_is_no_failure(stage: Stage) -> Result<(), Failed> {
    let (broker, topic, queue) = (stage.client().await?, stage.topic("t"), stage.queue("q"));
    let (calls_of, mut called) = unbounded_channel();
    let handler = move |context: Context, message: Message| {
        note(&calls_of, &context, &message);
        pending::<micro_core::Result<()>>()
    };
    let events = Events::new(Arc::clone(&broker));
    let once = RetryPolicy::new().attempts(1);
    let live = events.subscribe(raw_subscriber(topic.as_str(), handler).queue(queue.as_str()).retry(once)).await?;
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    calls(&stage, &mut called, 1).await?;
    stage.present("stop", live.stop(Duration::from_millis(100))).await?.ok();
    let (subscriber, mut called) = failing(topic.as_str(), &queue, |_| false);
    let live = events.subscribe(subscriber).await?;
    let again = calls(&stage, &mut called, 1).await?;
    ensure!(again[0].1 == 0, "{} failures were counted", again[0].1);
    letters(&stage, &broker, topic.as_str(), 0).await?;
    stop(&stage, live).await
}

/// A batch subscriber that notes how large batches are, and fails with some numbers once.
fn batches(topic: &str, queue: &Queue, fails: fn(i64) -> bool) -> (Subscriber, UnboundedReceiver<Vec<i64>>) {
    let (seen, saw) = unbounded_channel();
    let handler = move |_: Context, events: Vec<Timestamp>| {
        let numbers: Vec<_> = events.iter().map(|event| event.seconds).collect();
        let answer = |number: &i64| match fails(*number) {
            true => Err(Error::internal("conformance", "not this one")),
            false => Ok(()),
        };
        let answers: Vec<_> = numbers.iter().map(answer).collect();
        let _ = seen.send(numbers);
        ready(answers)
    };
    (batch_subscriber(topic, handler).queue(queue.as_str()).retry(quick()), saw)
}

async fn publish_numbers(events: &Events, topic: &str, numbers: std::ops::Range<i64>) -> Result<(), Failed> {
    let all: Vec<_> = numbers.map(|seconds| Timestamp { seconds, nanos: 0 }).collect();
    for receipt in events.event::<Timestamp>(topic).publish_all(&all).await {
        receipt?;
    }
    Ok(())
}

async fn only_what_failed_of_a_batch_comes_again(stage: Stage) -> Result<(), Failed> {
    let (broker, topic, queue) = (stage.client().await?, stage.topic("t"), stage.queue("q"));
    let events = Events::new(Arc::clone(&broker));
    let (subscriber, mut saw) = batches(topic.as_str(), &queue, |number| number == 3);
    let live = events.subscribe(subscriber.batch(10, Duration::from_millis(50))).await?;
    publish_numbers(&events, topic.as_str(), 0..10).await?;
    let mut seen = Vec::new();
    while seen.len() < 12 {
        let what = format!("{} of 12 entries came; the next batch", seen.len());
        seen.extend(stage.present(&what, saw.recv()).await?.unwrap_or_default());
    }
    seen.sort_unstable();
    ensure!(seen == [0, 1, 2, 3, 3, 3, 4, 5, 6, 7, 8, 9], "the entries that came are {seen:?}");
    letters(&stage, &broker, topic.as_str(), 1).await?;
    stop(&stage, live).await
}

async fn the_last_part_of_a_batch_is_handled_at_a_stop(stage: Stage) -> Result<(), Failed> {
    let (broker, topic, queue) = (stage.client().await?, stage.topic("t"), stage.queue("q"));
    let events = Events::new(Arc::clone(&broker));
    let (subscriber, mut saw) = batches(topic.as_str(), &queue, |_| false);
    let live = events.subscribe(subscriber.batch(3, stage.limits().present * 2)).await?;
    publish_numbers(&events, topic.as_str(), 0..5).await?;
    let full = stage.present("the full batch", saw.recv()).await?.unwrap_or_default();
    ensure!(full.len() == 3, "a full batch has {full:?}");
    // What is left waits for company in the handler's hands.
    let waiting = tokio::time::timeout(stage.limits().absent, saw.recv()).await;
    ensure!(waiting.is_err(), "a batch that is not full was handled early: {waiting:?}");
    stop(&stage, live).await?;
    let last = stage.present("the last batch", saw.recv()).await?.unwrap_or_default();
    ensure!(last.len() == 2, "the last batch has {last:?}");
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new().queue(queue)).await?;
    stage.silence(&mut subscription).await
}
