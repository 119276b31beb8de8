//! B01 to B13: where messages go, and that they arrive as they were.

use micro_core::Kind;
use micro_core::broker::{Delivery, Message, SubscribeOptions, Topic};

use super::Stage;
use super::stage::{number, numbered};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B01 a_published_message_arrives_as_it_was [] "each message arrives once, with its id, bytes and headers, and no other";
    B02 topics_are_apart [] "a subscriber of one topic gets nothing of another";
    B03 many_topics_at_once_are_apart [] "of 20 topics that are used at the same time, each gets exactly its own";
    B04 bytes_arrive_as_they_were [] "an empty body, one byte, all values of a byte, no UTF-8 and 64 KiB arrive as they were";
    B05 headers_arrive_as_they_were [] "no header, an empty value, unicode, 50 names and a name that stands twice arrive, in order, with their case where declared";
    B06 what_is_too_large_is_refused_and_the_next_goes_on [MaxBody] "a body over the declared limit is refused as TooLarge, and the next publish works";
    B07 a_topics_name_is_never_changed [] "dots, dashes and the longest name arrive as they were; what is no topic is InvalidTopic";
    B08 a_missing_topic_is_made [] "publishing to a topic, or subscribing one, that nobody made makes it; a client that may not make topics says NotFound, and makes none";
    B11 a_publisher_opens_no_consumer [Counted] "a client that only publishes holds nothing open to receive; one that subscribes does";
    B13 the_time_of_publishing_is_told [PublishTime] "a delivery tells when it was published, within 5 s of the clock here";
}

async fn a_published_message_arrives_as_it_was(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    let sent: Vec<_> = numbered(0..stage.scaled(100).min(1000))
        .into_iter()
        .enumerate()
        .map(|(number, message)| message.header("Micro-Id", format!("id-{number}")).header("Tenant", "acme"))
        .collect();
    stage.publish(&broker, &topic, sent.clone()).await?;
    let mut came = stage.take(&mut subscription, sent.len()).await?;
    came.sort_by_key(|delivery| number(delivery).unwrap_or(usize::MAX));
    for (delivery, sent) in came.iter().zip(&sent) {
        ensure!(delivery.body() == &sent.body, "{:?} came for {:?}", delivery.body(), sent.body);
        ensure!(delivery.id() == sent.headers.get("Micro-Id").unwrap_or_default(), "the id is {:?}", delivery.id());
        ensure!(delivery.headers().get_str("Tenant") == Some("acme"), "headers came as {:?}", delivery.headers());
        ensure!(*delivery.topic() == topic, "it says that it came from {}", delivery.topic());
    }
    for delivery in came {
        stage.present("the answer's confirmation", delivery.ack()).await??;
    }
    stage.silence(&mut subscription).await
}

async fn topics_are_apart(stage: Stage) -> Result<(), Failed> {
    let (broker, one, two) = (stage.client().await?, stage.topic("one"), stage.topic("two"));
    let mut first = stage.subscribe(&broker, &one, SubscribeOptions::new()).await?;
    let mut second = stage.subscribe(&broker, &two, SubscribeOptions::new()).await?;
    stage.publish(&broker, &one, numbered(0..10)).await?;
    stage.publish(&broker, &two, numbered(10..20)).await?;
    for (subscription, wanted) in [(&mut first, 0..10), (&mut second, 10..20)] {
        let mut came = stage.drain(subscription, 10).await?;
        came.sort_unstable();
        ensure!(came.iter().copied().eq(wanted.clone()), "{came:?} came where {wanted:?} was published");
        stage.silence(subscription).await?;
    }
    Ok(())
}

async fn many_topics_at_once_are_apart(stage: Stage) -> Result<(), Failed> {
    let broker = stage.client().await?;
    let each = (0..20).map(|place: usize| {
        let (stage, broker) = (stage.clone(), std::sync::Arc::clone(&broker));
        async move {
            let topic = stage.topic(&format!("t{place}"));
            let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
            let each = stage.scaled(20);
            let mine = place * each..(place + 1) * each;
            stage.publish(&broker, &topic, numbered(mine.clone())).await?;
            let mut came = stage.drain(&mut subscription, each).await?;
            came.sort_unstable();
            ensure!(came.iter().copied().eq(mine.clone()), "{came:?} came on the topic of {mine:?}");
            stage.silence(&mut subscription).await
        }
    });
    futures_util::future::join_all(each).await.into_iter().collect()
}

/// Publishes messages one by one, and takes each.
async fn one_by_one(stage: &Stage, messages: Vec<Message>) -> Result<Vec<Delivery>, Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    let mut came = Vec::new();
    for message in messages {
        stage.publish(&broker, &topic, vec![message]).await?;
        came.push(stage.take_one(&mut subscription).await?);
    }
    Ok(came)
}

async fn bytes_arrive_as_they_were(stage: Stage) -> Result<(), Failed> {
    let bodies: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![0],
        (0..=255).collect(),
        vec![0xff, 0xfe, 0x80],
        (0..64 << 10).map(|place: usize| (place % 251) as u8).collect(),
    ];
    let came = one_by_one(&stage, bodies.iter().cloned().map(Message::new).collect()).await?;
    for (delivery, sent) in came.iter().zip(&bodies) {
        let length = delivery.body().len();
        ensure!(delivery.body() == sent, "a body of {} bytes came as one of {length} bytes, or changed", sent.len());
    }
    Ok(())
}

async fn headers_arrive_as_they_were(stage: Stage) -> Result<(), Failed> {
    let many = (0..50).fold(Message::new("many"), |message, n| message.header(format!("Name-{n}"), format!("{n}")));
    let messages = vec![
        Message::new("none"),
        Message::new("empty").header("Empty", ""),
        Message::new("unicode").header("City", "Köln – 北京"),
        Message::new("twice").header("Twice", "1").header("Once", "x").header("Twice", "2"),
        Message::new("case").header("MiXed-CaSe", "kept"),
        many,
    ];
    let keeps_case = stage.capability().header_case;
    let came = one_by_one(&stage, messages.clone()).await?;
    for (delivery, sent) in came.iter().zip(&messages) {
        // A server may add headers of its own, but no program's.
        for (name, value) in sent.headers.iter() {
            let name = String::from_utf8_lossy(name);
            let there: Vec<_> = delivery.headers().get_all(&name).collect();
            let wanted: Vec<_> = sent.headers.get_all(&name).collect();
            ensure!(there == wanted, "{name} with {value:?} came as {there:?}, in {:?}", delivery.headers());
            let same = delivery.headers().iter().any(|(came, _)| came[..] == *name.as_bytes());
            ensure!(same || !keeps_case, "the case of {name} is declared to be kept: {:?}", delivery.headers());
        }
    }
    Ok(())
}

async fn what_is_too_large_is_refused_and_the_next_goes_on(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    let limit = broker.capability().max_body.ok_or_else(|| Failed::new("no limit is declared any more"))?;
    let large = Message::new(vec![b'7'; limit + 1]);
    let refused = stage.present("a receipt", broker.publish(&topic, vec![large]).first()).await?;
    let kind = refused.as_ref().err().map(micro_core::Error::kind);
    ensure!(kind == Some(Kind::TooLarge), "a body of {} bytes, over the limit: {refused:?}", limit + 1);
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    stage.drain(&mut subscription, 1).await?;
    stage.silence(&mut subscription).await
}

async fn a_topics_name_is_never_changed(stage: Stage) -> Result<(), Failed> {
    let broker = stage.client().await?;
    let base = stage.topic("n");
    let longest = format!("{base}{}", "x".repeat(64 - base.as_str().len()));
    for name in [format!("{base}.dot"), format!("{base}-dash"), format!("{base}_line"), longest] {
        let topic = Topic::new(&name)?;
        let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
        stage.publish(&broker, &topic, numbered(0..1)).await?;
        let delivery = stage.take_one(&mut subscription).await?;
        ensure!(delivery.topic().as_str() == name, "{name} came back as {}", delivery.topic());
    }
    for name in ["", "ab", "1st.topic", "with space", "slash/ed", "ümlaut", &"x".repeat(65)] {
        let kind = Topic::new(name).err().map(|error| error.kind());
        ensure!(kind == Some(Kind::InvalidTopic), "{name:?} is no topic, and was not refused so: {kind:?}");
    }
    Ok(())
}

async fn a_missing_topic_is_made(stage: Stage) -> Result<(), Failed> {
    let broker = stage.client().await?;
    stage.publish(&broker, &stage.topic("published"), numbered(0..1)).await?;
    let topic = stage.topic("subscribed");
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    stage.drain(&mut subscription, 1).await?;

    let Some(strict) = stage.strict() else { return Ok(()) };
    stage.present("connect", strict.connect()).await??;
    let missing = stage.topic("missing");
    for _ in 0..2 {
        // Twice: the first refusal has made nothing either.
        let published = stage.present("a receipt", strict.publish(&missing, numbered(0..1)).first()).await?;
        let subscribed = stage.present("subscribe", strict.subscribe(&missing, SubscribeOptions::new())).await?;
        for (what, error) in [("publishing to", published.err()), ("subscribing", subscribed.err())] {
            let kind = error.as_ref().map(micro_core::Error::kind);
            ensure!(kind == Some(Kind::NotFound), "{what} a topic that may not be made: {kind:?}, {error:?}");
        }
    }
    // One that another has made is there for it too.
    let mut subscription = stage.subscribe(&broker, &missing, SubscribeOptions::new()).await?;
    stage.publish(&strict, &missing, numbered(1..2)).await?;
    let came = stage.drain(&mut subscription, 1).await?;
    ensure!(came == [1], "{came:?} came, and 0 was refused");
    stage.silence(&mut subscription).await
}

async fn a_publisher_opens_no_consumer(stage: Stage) -> Result<(), Failed> {
    let (counted, topic) = (stage.counted()?, stage.topic("t"));
    let client = counted.client();
    stage.present("connect", client.connect()).await??;
    for from in (0..100).step_by(10) {
        stage.publish(&client, &topic, numbered(from..from + 10)).await?;
        let open = counted.consumers();
        ensure!(open == 0, "a client that only published {} messages has {open} consumers", from + 10);
    }
    // And so that the count can tell.
    let subscription = stage.subscribe(&client, &topic, SubscribeOptions::new()).await?;
    ensure!(counted.consumers() > 0, "a client that subscribed has no consumer: the count counts nothing");
    stage.present("unsubscribe", subscription.unsubscribe()).await??;
    stage.present("disconnect", client.disconnect()).await??;
    Ok(())
}

async fn the_time_of_publishing_is_told(stage: Stage) -> Result<(), Failed> {
    let came = one_by_one(&stage, vec![Message::new("now")]).await?;
    let published = came[0].published().ok_or_else(|| Failed::new("the time of publishing is not told"))?;
    let now = std::time::SystemTime::now();
    let apart = now.duration_since(published).unwrap_or_else(|ahead| ahead.duration());
    ensure!(apart < std::time::Duration::from_secs(5), "it was published at {published:?}, {apart:?} from now");
    Ok(())
}
