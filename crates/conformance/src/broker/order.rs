//! B50 to B52, B55, B56: what comes before what, and what waits for nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use micro_core::broker::{Message, Position, SubscribeOptions};

use super::Stage;
use super::groups::{Crew, acknowledge};
use super::stage::{number, numbered};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B50 one_subscriber_gets_one_key_in_order [] "500 messages of one key, published without waiting, come to one subscriber in their order";
    B51 each_key_keeps_its_order_across_members [Queues, Keys] "the messages of a key come in their order, whichever members of the queue get them, and no other member gets one while one is in a member's hands";
    B52 in_strict_order_what_failed_comes_before_what_follows [Queues, Keys, Retry] "with ordered, a retried message comes again before later ones of its key that were not handed out yet";
    B55 a_message_lies_in_the_partition_it_names [Partition] "a message that names its partition lies there, whatever its key, and says so when it comes";
    B56 a_slow_subscriber_slows_no_other [] "a subscriber that holds all it may and does not pull slows no other subscription of its client, and loses nothing";
}

/// How many keys there are where the order is that of each: so many that every member has some.
const KEYS: usize = 32;

async fn one_subscriber_gets_one_key_in_order(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    let batch = |from: usize| numbered(from..from + 50).into_iter().map(|message| message.key("one")).collect();
    // They are queued in the order of the calls, whenever the receipts come.
    let count = stage.scaled(500);
    let receipts: Vec<_> = (0..count).step_by(50).map(|from| broker.publish(&topic, batch(from))).collect();
    for receipts in receipts {
        stage.present("receipts", receipts.all()).await??;
    }
    let came = stage.drain(&mut subscription, count).await?;
    for (wanted, number) in came.into_iter().enumerate() {
        ensure!(number == wanted, "{number} came where {wanted} was due");
    }
    stage.silence(&mut subscription).await
}

async fn each_key_keeps_its_order_across_members(stage: Stage) -> Result<(), Failed> {
    let mut crew = Crew::new(&stage, KEYS).await?.ordered();
    // All are there before some are held: a server may let nobody join until what is out is settled.
    let mut first = crew.subscribe().await?;
    let (second, third) = (crew.subscribe().await?, crew.subscribe().await?);
    crew.publish(80).await?;
    let held = stage.take(&mut first, 2).await?;
    let held_keys = crew.note_all(0, &held)?.into_iter().map(|number| number % KEYS).collect::<Vec<_>>();
    let already = held.len();
    // Work begins with the others, while the first has some in hand.
    crew.work(second);
    crew.work(third);
    let others = &crew.quiet().await?.all[already..];
    let early = others.iter().find(|note| held_keys.contains(&(note.number % KEYS)));
    ensure!(early.is_none(), "{early:?} has a key that another member has in hand");
    acknowledge(&stage, held).await?;
    crew.work(first);
    for _ in 0..stage.scaled(4) {
        crew.publish(80).await?;
    }
    crew.all_came().await?;
    let notes = crew.done().await?;
    let mut last = BTreeMap::new();
    for note in &notes.all {
        let before = last.insert(note.number % KEYS, note.number);
        ensure!(before < Some(note.number), "{} came after {before:?}, which has the same key", note.number);
    }
    Ok(())
}

async fn in_strict_order_what_failed_comes_before_what_follows(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let options = SubscribeOptions::new().queue(stage.queue("q")).ordered();
    let mut subscription = stage.subscribe(&broker, &topic, options).await?;
    let messages = numbered(0..10).into_iter().map(|message| message.key("one"));
    stage.publish(&broker, &topic, messages.collect()).await?;
    let pause = Duration::from_millis(200);
    // The first fails with nothing else in hand.
    let first = stage.take_one(&mut subscription).await?;
    ensure!(number(&first)? == 0, "{} came first", number(&first)?);
    stage.present("the answer's confirmation", first.retry(pause)).await??;
    let again = stage.drain(&mut subscription, 1).await?;
    ensure!(again == [0], "{again:?} came before the message that failed");
    // The second fails with the third in hand, which is handled.
    let mut taken = stage.take(&mut subscription, 2).await?;
    let numbers = taken.iter().map(number).collect::<Result<Vec<_>, _>>()?;
    ensure!(numbers == [1, 2], "{numbers:?} came where 1 and 2 were due");
    let third = taken.split_off(1);
    for second in taken {
        stage.present("the answer's confirmation", second.retry(pause)).await??;
    }
    acknowledge(&stage, third).await?;
    let mut rest = Vec::new();
    for _ in 0..8 {
        // One by one: later ones may wait until it is done.
        rest.extend(stage.drain(&mut subscription, 1).await?);
    }
    ensure!(rest == [1, 3, 4, 5, 6, 7, 8, 9], "after a failure of 1 came {rest:?}");
    stage.silence(&mut subscription).await
}

async fn a_message_lies_in_the_partition_it_names(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    let named = |number: usize| (number % 4) as u32;
    let messages = numbered(0..20).into_iter().enumerate();
    let messages: Vec<Message> = messages.map(|(n, message)| message.key("one").partition(named(n))).collect();
    for (number, receipt) in stage.publish(&broker, &topic, messages).await?.into_iter().enumerate() {
        ensure!(receipt.position.is_none_or(|at| lies_in(at, named(number))), "{number} was put at {receipt:?}");
    }
    let came = stage.take(&mut subscription, 20).await?;
    for delivery in &came {
        let wanted = named(number(delivery)?);
        let position = delivery.position();
        ensure!(position.is_some_and(|at| lies_in(at, wanted)), "{position:?} came where it must lie in {wanted}");
    }
    acknowledge(&stage, came).await
}

fn lies_in(position: Position, wanted: u32) -> bool {
    matches!(position, Position::Offset { partition, .. } if partition == wanted)
}

async fn a_slow_subscriber_slows_no_other(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut slow = stage.subscribe(&broker, &topic, SubscribeOptions::new().in_flight(1)).await?;
    let mut fast = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    let held = stage.take_one(&mut slow).await?;
    stage.publish(&broker, &topic, numbered(1..500)).await?;
    let mut came = stage.drain(&mut fast, 500).await?;
    came.sort_unstable();
    ensure!(came.iter().copied().eq(0..500), "{came:?} came where 0 to 499 were published");
    stage.present("the answer's confirmation", held.ack()).await??;
    let mut late = Vec::new();
    for _ in 1..500 {
        late.extend(stage.drain(&mut slow, 1).await?);
    }
    late.sort_unstable();
    ensure!(late.iter().copied().eq(1..500), "to the slow one came {late:?} where 1 to 499 were due");
    stage.silence(&mut slow).await
}
