//! B70, B71, B94, B120, B122, B130: what a message, or a subscription, asks for.

use std::time::{Duration, Instant};

use micro_core::broker::{Message, SubscribeOptions};

use super::Stage;
use super::stage::{number, numbered};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B70 a_delayed_message_comes_in_its_time [Delay] "a delayed message does not come early, nor two seconds late, and the sooner one comes first";
    B71 an_expired_message_does_not_come [Backlog, Queues, Ttl] "a message whose time to live is over is not delivered";
    B94 a_paused_subscription_is_silent_and_loses_nothing [Pause] "paused, nothing comes; resumed, everything does";
    B120 a_pull_brings_no_more_than_asked_for [] "next brings at least one and at most as many as it was asked for";
    B122 a_bad_entry_of_a_batch_harms_no_other [] "a batch has a receipt for each entry, in order; a refused one harms no other";
    B130 a_duplicate_comes_once [Deduplication] "two messages of one deduplication id come once";
}

async fn a_delayed_message_comes_in_its_time(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    let (long, short) = (Duration::from_millis(1200), Duration::from_millis(600));
    let began = Instant::now();
    let delayed = vec![Message::new("2").delay(long), Message::new("1").delay(short), Message::new("0")];
    stage.publish(&broker, &topic, delayed).await?;
    for (wanted, delay) in [(0, Duration::ZERO), (1, short), (2, long)] {
        let came = stage.drain(&mut subscription, 1).await?;
        let took = began.elapsed();
        ensure!(came == [wanted], "{came:?} came where {wanted} was due");
        ensure!(took >= delay, "{wanted} came after {took:?}, before its delay of {delay:?}");
        ensure!(took < delay + Duration::from_secs(2), "{wanted} came after {took:?}, long after {delay:?}");
    }
    Ok(())
}

async fn an_expired_message_does_not_come(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let ttl = Duration::from_millis(200);
    stage.publish(&broker, &topic, vec![Message::new("0").ttl(ttl), Message::new("1")]).await?;
    tokio::time::sleep(ttl * 2).await;
    let options = SubscribeOptions::new().queue(stage.queue("q"));
    let mut subscription = stage.subscribe(&broker, &topic, options).await?;
    let came = stage.drain(&mut subscription, 1).await?;
    ensure!(came == [1], "{came:?} came, and 0 is expired");
    stage.silence(&mut subscription).await
}

async fn a_paused_subscription_is_silent_and_loses_nothing(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    stage.present("pause", subscription.pause()).await??;
    stage.publish(&broker, &topic, numbered(0..10)).await?;
    stage.silence(&mut subscription).await?;
    stage.present("resume", subscription.resume()).await??;
    let mut came = stage.drain(&mut subscription, 10).await?;
    came.sort_unstable();
    ensure!(came.iter().copied().eq(0..10), "{came:?} came after the pause");
    Ok(())
}

async fn a_pull_brings_no_more_than_asked_for(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    stage.publish(&broker, &topic, numbered(0..20)).await?;
    let mut came = Vec::new();
    for max in [1, 3, 7].into_iter().cycle() {
        let deliveries = stage.present("a pull", subscription.next(max)).await??.unwrap_or_default();
        ensure!((1..=max).contains(&deliveries.len()), "{} came where 1 to {max} were asked for", deliveries.len());
        for delivery in deliveries {
            came.push(number(&delivery)?);
            stage.present("an answer", delivery.ack()).await??;
        }
        if came.len() >= 20 {
            break;
        }
    }
    came.sort_unstable();
    ensure!(came.iter().copied().eq(0..20), "{came:?} came");
    Ok(())
}

async fn a_bad_entry_of_a_batch_harms_no_other(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    let mut messages = numbered(0..20);
    messages[7] = Message::new("7").header("X-Note", "a\r\nInjected: 1");
    let results = stage.present("receipts", broker.publish(&topic, messages)).await?;
    ensure!(results.len() == 20, "{} receipts for 20 entries", results.len());
    let refused: Vec<_> = (0..20).filter(|entry| results[*entry].is_err()).collect();
    ensure!(refused == [7], "the entries {refused:?} were refused, and only 7 is bad");
    let mut came = stage.drain(&mut subscription, 19).await?;
    came.sort_unstable();
    ensure!(came.iter().copied().eq((0..20).filter(|number| *number != 7)), "{came:?} came");
    stage.silence(&mut subscription).await
}

async fn a_duplicate_comes_once(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    let with = |body: &'static str, id: &str| Message::new(body).deduplication_id(id);
    stage.publish(&broker, &topic, vec![with("0", "a"), with("0", "a"), with("1", "b")]).await?;
    stage.publish(&broker, &topic, vec![with("0", "a")]).await?;
    let mut came = stage.drain(&mut subscription, 2).await?;
    came.sort_unstable();
    ensure!(came == [0, 1], "{came:?} came");
    stage.silence(&mut subscription).await
}
