//! B126 to B128: reading what was there before.

use micro_core::broker::{Message, Position, Start, SubscribeOptions};
use micro_core::{Error, Kind};

use super::Stage;
use super::stage::numbered;
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B126 a_subscription_begins_where_it_is_told [Backlog, Replay] "from the earliest, a position or a time, exactly what lies there from then on comes";
    B127 a_seek_moves_back_and_an_unknown_position_does_not [Backlog, Replay, Seek] "a seek gives again what lies there; one to a position that is not there is NotFound, and changes neither what is out nor what comes next";
    B128 everyone_new_reads_all_of_the_history [Backlog, Replay] "each new subscriber that begins at the earliest reads everything";
}

/// Messages of one key, so that they lie behind each other.
fn keyed(numbers: std::ops::Range<usize>) -> Vec<Message> {
    numbered(numbers).into_iter().map(|message| message.key("one")).collect()
}

async fn a_subscription_begins_where_it_is_told(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let receipts = stage.publish(&broker, &topic, keyed(0..10)).await?;
    // Clocks of servers have milliseconds.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let between = std::time::SystemTime::now();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    stage.publish(&broker, &topic, keyed(10..15)).await?;
    let fourth = receipts[4].position.ok_or_else(|| Failed::new("a receipt does not tell the position"))?;
    for (start, from) in [(Start::Earliest, 0), (Start::At(fourth), 4), (Start::Time(between), 10)] {
        let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new().start(start)).await?;
        let came = stage.drain(&mut subscription, 15 - from).await?;
        ensure!(came.iter().copied().eq(from..15), "from {start:?} came {came:?}");
        stage.silence(&mut subscription).await?;
        stage.present("unsubscribe", subscription.unsubscribe()).await??;
    }
    Ok(())
}

async fn a_seek_moves_back_and_an_unknown_position_does_not(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let receipts = stage.publish(&broker, &topic, keyed(0..6)).await?;
    let plain = SubscribeOptions::new().start(Start::Earliest);
    let mut all = vec![plain.clone()];
    if stage.capability().queues {
        all.push(plain.queue(stage.queue("q")));
    }
    for options in all {
        // Some is read, one of it is out, and the rest is not read yet.
        let mut subscription = stage.subscribe(&broker, &topic, options).await?;
        stage.drain(&mut subscription, 2).await?;
        let out = stage.take_one(&mut subscription).await?;
        let place = |number: usize| receipts[number].position.ok_or_else(|| Failed::new("a receipt tells no position"));
        for nowhere in nowhere(place(5)?) {
            let what = format!("a seek to {nowhere:?}, which is not there");
            let lost = stage.present(&what, subscription.seek(Start::At(nowhere))).await?;
            let kind = lost.as_ref().err().map(Error::kind);
            ensure!(kind == Some(Kind::NotFound), "{what}: {lost:?}");
        }
        stage.present("the answer to what was out", out.ack()).await??;
        let came = stage.drain(&mut subscription, 3).await?;
        ensure!(came == [3, 4, 5], "after seeks to nowhere came {came:?} where 3, 4 and 5 were due");
        stage.silence(&mut subscription).await?;
        stage.present("seek", subscription.seek(Start::At(place(3)?))).await??;
        let came = stage.drain(&mut subscription, 3).await?;
        ensure!(came == [3, 4, 5], "{came:?} came after a seek to 3");
        stage.silence(&mut subscription).await?;
        stage.present("unsubscribe", subscription.unsubscribe()).await??;
    }
    Ok(())
}

/// Positions that are not there, next to the last one that is.
fn nowhere(last: Position) -> Vec<Position> {
    match last {
        // The end itself is the place of the next message.
        Position::Offset { partition, offset } => vec![
            Position::Offset { partition, offset: offset + 2 },
            Position::Offset { partition, offset: offset + 1_000_000 },
            Position::Offset { partition, offset: u64::MAX },
            Position::Offset { partition: 1_000_000, offset: 0 },
            Position::Offset { partition: u32::MAX, offset: 0 },
            Position::Sequence(0),
            Position::Sequence(1),
        ],
        Position::Sequence(sequence) => vec![
            Position::Sequence(sequence + 2),
            Position::Sequence(sequence + 1_000_000),
            Position::Sequence(u64::MAX),
            Position::Offset { partition: 0, offset: 0 },
        ],
    }
}

async fn everyone_new_reads_all_of_the_history(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    for round in 1..=3 {
        stage.publish(&broker, &topic, keyed(round * 10 - 10..round * 10)).await?;
        let options = SubscribeOptions::new().start(Start::Earliest);
        let mut subscription = stage.subscribe(&broker, &topic, options).await?;
        let came = stage.drain(&mut subscription, round * 10).await?;
        ensure!(came.iter().copied().eq(0..round * 10), "in round {round} came {came:?}");
        stage.silence(&mut subscription).await?;
    }
    Ok(())
}
