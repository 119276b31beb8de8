//! B57, B104 to B106: what holds while a server is away, or lets nobody in.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use micro_core::broker::{Broker, Message, Receipt, Receipts, Start, SubscribeOptions, Subscription, Topic};
use micro_core::{Error, Kind, Retry};

use super::fixture::REFUSED_AT;
use super::outage::{acknowledge_unwaited, blocking, connected};
use super::stage::number;
use super::{Server, Stage};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B57 order_survives_cuts_and_a_killed_server [Server, Keys, Queues, Persistent] "what one publisher publishes of a key lies in its order, though its connections are cut and the server is killed meanwhile; only what an outage met may lie there twice";
    B104 a_buffer_is_bounded_while_the_server_is_away [Server, Queues] "while the connections are cut ready waits once the buffer is full, then a publish is refused as ResourceExhausted; what was taken is confirmed after the return, and arrives";
    B105 an_absent_server_is_waited_for_as_long_as_was_said [Server] "connecting to a server that is not there fails within the limit that was set, and with a longer one succeeds when the server comes";
    B106 a_wrong_password_is_refused_once_and_for_all [Guarded] "a wrong password is Unauthenticated, never to be retried, within the limit; afterwards nothing dials on";
}

/// What a publisher of one key knows while servers come and go.
#[derive(Debug, Default)]
struct Diary {
    /// Even while all is well; it changes when an outage begins, and when it is over.
    phase: AtomicUsize,
    confirmed: AtomicUsize,
    ended: AtomicBool,
}

impl Diary {
    /// Waits until so many more are confirmed.
    async fn more(&self, stage: &Stage, count: usize) -> Result<(), Failed> {
        let wanted = self.confirmed.load(Ordering::Acquire) + count;
        let reached = async {
            while self.confirmed.load(Ordering::Acquire) < wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        stage.present("confirmed messages", reached).await
    }
}

/// A batch of the publisher: its first number, the phase in which it was published, its receipts to come.
type Batch = (usize, usize, Receipts);

/// How many messages a batch of the publisher has, and how many batches are on their way at once.
const BATCH: usize = 5;
const AHEAD: usize = 4;

/// Publishes in order until told to end. Returns what is confirmed, and what an outage met.
async fn publish_in_order(
    broker: Arc<dyn Broker>,
    topic: Topic,
    diary: Arc<Diary>,
) -> Result<(Vec<usize>, BTreeSet<usize>), Failed> {
    let (mut confirmed, mut met) = (Vec::new(), BTreeSet::new());
    let mut open = std::collections::VecDeque::<Batch>::new();
    let mut next = 0;
    loop {
        let goes_on = !diary.ended.load(Ordering::Acquire);
        if goes_on {
            broker.ready().await?;
            let messages = (next..next + BATCH).map(|number| Message::new(number.to_string()).key("one")).collect();
            open.push_back((next, diary.phase.load(Ordering::Acquire), broker.publish(&topic, messages)));
            next += BATCH;
        }
        if open.len() >= AHEAD || !goes_on {
            let Some((from, phase, receipts)) = open.pop_front() else { return Ok((confirmed, met)) };
            let before = confirmed.len();
            confirmed.extend((from..).zip(receipts.await).filter(|(_, receipt)| receipt.is_ok()).map(|(n, _)| n));
            diary.confirmed.fetch_add(confirmed.len() - before, Ordering::AcqRel);
            if phase % 2 == 1 || diary.phase.load(Ordering::Acquire) != phase {
                met.extend(from..from + BATCH);
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn order_survives_cuts_and_a_killed_server(stage: Stage) -> Result<(), Failed> {
    let server = stage.server().await?;
    let (publisher, reader) = (connected(&stage, &server).await?, connected(&stage, &server).await?);
    let (topic, diary) = (stage.topic("t"), Arc::<Diary>::default());
    let live = SubscribeOptions::new().queue(stage.queue("live")).ordered();
    let mut live = stage.subscribe(&reader, &topic, live).await?;
    let publishing = tokio::spawn(publish_in_order(publisher, topic.clone(), Arc::clone(&diary)));
    let cut: fn(&dyn Server) = |server| server.cut();
    let heal: fn(&dyn Server) = |server| server.heal();
    for (away, back) in [(cut, heal), (|server| server.kill(), |server| server.start()), (cut, heal)] {
        diary.more(&stage, 50).await?;
        diary.phase.fetch_add(1, Ordering::AcqRel);
        blocking(&server, away).await?;
        // So that something is published while it is away.
        tokio::time::sleep(stage.limits().absent).await;
        blocking(&server, back).await?;
        // It is over when what was published during it is confirmed.
        diary.more(&stage, BATCH * (AHEAD + 1)).await?;
        diary.phase.fetch_add(1, Ordering::AcqRel);
    }
    diary.more(&stage, 50).await?;
    diary.ended.store(true, Ordering::Release);
    let published = stage.present("publishing", publishing).await?;
    let (confirmed, met) = published.map_err(|error| Failed::new(format!("the publisher panicked: {error}")))??;
    let came = read_in_order(&stage, &mut live, &confirmed).await?;
    in_order("to the subscription that lived through it", &came)?;

    // A new one reads what lies there: what comes twice to it was published twice.
    let anew = SubscribeOptions::new().queue(stage.queue("anew")).start(Start::Earliest).ordered();
    let mut anew = stage.subscribe(&connected(&stage, &server).await?, &topic, anew).await?;
    let mut lies = read_in_order(&stage, &mut anew, &confirmed).await?;
    while let Ok(next) = tokio::time::timeout(stage.limits().absent, anew.next(100)).await {
        for delivery in next?.unwrap_or_default() {
            lies.push(number(&delivery)?);
            acknowledge_unwaited(delivery);
        }
    }
    in_order("to one that came later", &lies)?;
    let mut seen = BTreeSet::new();
    let twice = lies.iter().find(|number| !seen.insert(**number) && !met.contains(*number));
    ensure!(twice.is_none(), "{twice:?} lies there twice, and no outage met it");
    Ok(())
}

/// Reads and acknowledges until all of these have come; returns everything that came, as it came.
async fn read_in_order(
    stage: &Stage,
    subscription: &mut Box<dyn Subscription>,
    wanted: &[usize],
) -> Result<Vec<usize>, Failed> {
    let (mut missing, mut came): (BTreeSet<usize>, _) = (wanted.iter().copied().collect(), Vec::new());
    while !missing.is_empty() {
        let what = format!("{} of {} confirmed messages are missing; the next", missing.len(), wanted.len());
        let next = stage.present(&what, subscription.next(100)).await??;
        for delivery in next.ok_or_else(|| Failed::new("the subscription ended"))? {
            came.push(number(&delivery)?);
            missing.remove(&number(&delivery)?);
            acknowledge_unwaited(delivery);
        }
    }
    Ok(came)
}

/// Checks that each comes for the first time after all that were published before it.
fn in_order(to: &str, came: &[usize]) -> Result<(), Failed> {
    let (mut seen, mut last) = (BTreeSet::new(), None);
    for number in came {
        if seen.insert(*number) {
            ensure!(last < Some(*number), "{to} {number} came after {last:?}");
            last = Some(*number);
        }
    }
    Ok(())
}

/// What a narrow client keeps, and the bodies that fill it.
const ROOM: usize = 1 << 20;
const BODY: usize = 32 << 10;

/// A message of [`BODY`] bytes that begins with its number.
fn wide(number: usize) -> Message {
    Message::new(format!("{number:<BODY$}"))
}

async fn a_buffer_is_bounded_while_the_server_is_away(stage: Stage) -> Result<(), Failed> {
    let server = stage.server().await?;
    let (publisher, reader) = (server.narrow(ROOM), connected(&stage, &server).await?);
    stage.present("connect", publisher.connect()).await??;
    let (topic, queue) = (stage.topic("t"), stage.queue("q"));
    let mut subscription = stage.subscribe(&reader, &topic, SubscribeOptions::new().queue(queue)).await?;
    stage.publish(&publisher, &topic, vec![wide(0)]).await?;
    let mut sent: Vec<Receipts> = Vec::new();
    blocking(&server, |server| server.cut()).await?;
    // One by one, so that it is seen where it is full.
    while let Ok(ready) = tokio::time::timeout(stage.limits().absent, publisher.ready()).await {
        ready?;
        ensure!(sent.len() * BODY <= 2 * ROOM, "{} bytes were taken, and it keeps {ROOM}", sent.len() * BODY);
        sent.push(publisher.publish(&topic, vec![wide(sent.len() + 1)]));
    }
    ensure!(sent.len() * BODY >= ROOM / 2, "ready waits at {} bytes, and it keeps {ROOM}", sent.len() * BODY);
    // Who does not wait is refused, by name and at once.
    let refused = loop {
        let taken = sent.len() * BODY;
        ensure!(taken <= (REFUSED_AT + 1) * ROOM, "{taken} bytes were taken without a refusal, and it keeps {ROOM}");
        let mut receipts = publisher.publish(&topic, vec![wide(sent.len() + 1)]);
        match tokio::time::timeout(Duration::from_millis(1), &mut receipts).await {
            Ok(results) => break results,
            Err(_) => sent.push(receipts),
        }
    };
    let kind = refused.first().and_then(|result| result.as_ref().err()).map(Error::kind);
    ensure!(kind == Some(Kind::ResourceExhausted), "a publish into a full buffer: {refused:?}");

    blocking(&server, |server| server.heal()).await?;
    stage.present("ready after the return", publisher.ready()).await??;
    let mut wanted: BTreeSet<usize> = (0..=sent.len()).collect();
    for (before, receipts) in sent.into_iter().enumerate() {
        let results: Vec<micro_core::Result<Receipt>> = stage.present("a receipt after the return", receipts).await?;
        ensure!(matches!(&results[..], [Ok(_)]), "{} was taken and not refused, and then: {results:?}", before + 1);
    }
    let last = wanted.len();
    while !wanted.is_empty() {
        let what = format!("{} of {last} confirmed messages are missing; the next", wanted.len());
        let next = stage.present(&what, subscription.next(16)).await??;
        for delivery in next.ok_or_else(|| Failed::new("the subscription ended"))? {
            let text = String::from_utf8_lossy(delivery.body()).into_owned();
            let number = text.trim_end().parse().map_err(|_| Failed::new("a body came that was not published here"))?;
            ensure!(number != last, "{number} came, and it was refused");
            wanted.remove(&number);
            acknowledge_unwaited(delivery);
        }
    }
    Ok(())
}

async fn an_absent_server_is_waited_for_as_long_as_was_said(stage: Stage) -> Result<(), Failed> {
    let server = stage.server().await?;
    blocking(&server, |server| server.kill()).await?;
    let limit = Duration::from_secs(1);
    let began = Instant::now();
    let outcome = stage.present("a refusal to connect", server.patient(limit).connect()).await?;
    let took = began.elapsed();
    let kind = outcome.as_ref().err().map(Error::kind);
    ensure!(matches!(kind, Some(Kind::Unavailable | Kind::Timeout)), "connecting to a killed server: {outcome:?}");
    ensure!(took < limit + Duration::from_secs(2), "it said so after {took:?}, and was to wait {limit:?}");
    let waits = server.patient(stage.limits().present);
    let connecting = {
        let waits = Arc::clone(&waits);
        tokio::spawn(async move { waits.connect().await })
    };
    tokio::time::sleep(limit).await;
    ensure!(!connecting.is_finished(), "it did not wait for the server: {:?}", connecting.await);
    blocking(&server, |server| server.start()).await?;
    let connected = stage.present("connecting, now that the server is there", connecting).await?;
    connected.map_err(|error| Failed::new(format!("connecting panicked: {error}")))??;
    stage.publish(&waits, &stage.topic("t"), vec![Message::new("0")]).await.map(drop)
}

async fn a_wrong_password_is_refused_once_and_for_all(stage: Stage) -> Result<(), Failed> {
    let guarded = stage.guarded().ok_or_else(|| Failed::new("the fixture has no accounts any more"))?;
    let friend = guarded.friend();
    stage.present("connecting with the right password", friend.connect()).await??;
    stage.present("disconnect", friend.disconnect()).await??;
    let (stranger, began) = (guarded.stranger(), Instant::now());
    let outcome = stage.present("a refusal", stranger.connect()).await?;
    let Err(error) = outcome else { return Err(Failed::new("a wrong password was taken")) };
    ensure!(error.kind() == Kind::Unauthenticated, "a wrong password is {:?}: {error}", error.kind());
    ensure!(error.retry() == Retry::Never, "a wrong password is to be tried again: {:?}", error.retry());
    ensure!(began.elapsed() < Duration::from_secs(10), "it was refused after {:?}", began.elapsed());
    // What was on its way may come to its end.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let dialled = guarded.dialled();
    ensure!(dialled > 0, "the count of dials does not count");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let again = guarded.dialled() - dialled;
    ensure!(again == 0, "after the refusal it dialled {again} times more within 2 s, {dialled} times before");
    Ok(())
}
