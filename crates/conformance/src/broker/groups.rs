//! B10, B40 to B48: who gets what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use micro_core::Kind;
use micro_core::broker::{Broker, Delivery, Message, SubscribeOptions, Subscription, Topic};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Stage;
use super::stage::{number, numbered};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B10 subscribers_without_a_queue_all_get_everything [] "each subscription without a queue gets every message, whether of one client or of two";
    B40 each_queue_gets_everything [Queues] "two queues of one topic each get every message";
    B41 members_of_a_queue_share_it [Queues] "the members of a queue together get every message, each message goes to one of them, and each gets some";
    B42 a_member_that_joins_gets_its_part [Queues] "what is published after a member joined is shared with it; nothing is lost, and nothing comes twice but what was in flight then";
    B43 when_a_member_leaves_the_others_take_over_and_nothing_comes_twice [Queues] "what a member that unsubscribes leaves goes to the others, each message once";
    B44 when_a_member_dies_the_others_get_what_it_had [Queues] "what a member held unsettled when its client went goes to the others, and nothing else comes again";
    B45 a_queue_that_was_away_gets_what_came_meanwhile [Queues, Backlog] "what is published while a queue has no member arrives when it has one again, and nothing older";
    B46 one_name_on_two_topics_is_two_queues [Queues] "a queue is of one topic: the same name on another topic is another queue";
    B47 many_members_get_everything_and_nothing_twice [Queues] "of 1,000 messages to a queue of 8 members none is lost, and none comes twice";
    B48 closing_and_opening_again_loses_nothing [Queues, Backlog] "a subscription that is closed and opened 5 times while messages are published and read loses none";
}

async fn subscribers_without_a_queue_all_get_everything(stage: Stage) -> Result<(), Failed> {
    let (broker, other, topic) = (stage.client().await?, stage.client().await?, stage.topic("t"));
    let mut subscriptions = Vec::new();
    for client in [&broker, &broker, &other] {
        subscriptions.push(stage.subscribe(client, &topic, SubscribeOptions::new()).await?);
    }
    stage.publish(&broker, &topic, numbered(0..50)).await?;
    for subscription in &mut subscriptions {
        exactly(&stage, subscription, 0..50).await?;
    }
    Ok(())
}

async fn each_queue_gets_everything(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscriptions = Vec::new();
    for queue in ["one", "two"] {
        let options = SubscribeOptions::new().queue(stage.queue(queue));
        subscriptions.push(stage.subscribe(&broker, &topic, options).await?);
    }
    stage.publish(&broker, &topic, numbered(0..50)).await?;
    for subscription in &mut subscriptions {
        exactly(&stage, subscription, 0..50).await?;
    }
    Ok(())
}

async fn members_of_a_queue_share_it(stage: Stage) -> Result<(), Failed> {
    let mut crew = Crew::new(&stage, MANY).await?;
    crew.join(2).await?;
    crew.publish_until_each_has(&[0, 1], 1).await?;
    crew.done().await?.once_but(&BTreeSet::new())
}

async fn a_member_that_joins_gets_its_part(stage: Stage) -> Result<(), Failed> {
    let mut crew = Crew::new(&stage, MANY).await?;
    let mut first = crew.subscribe().await?;
    crew.publish(40).await?;
    let held = stage.take(&mut first, 20).await?;
    let second = crew.subscribe().await?;
    let in_flight = crew.note_all(0, &held)?;
    for delivery in held {
        match stage.present("the answer's confirmation", delivery.ack()).await? {
            // It went to the one that joined.
            Err(error) if error.kind() == Kind::Conflict => {}
            answer => answer?,
        }
    }
    crew.work(first);
    crew.work(second);
    crew.all_came().await?;
    crew.publish_until_each_has(&[1], 5).await?;
    crew.done().await?.once_but(&in_flight)
}

async fn when_a_member_leaves_the_others_take_over_and_nothing_comes_twice(stage: Stage) -> Result<(), Failed> {
    let mut crew = Crew::new(&stage, MANY).await?;
    crew.join(2).await?;
    crew.publish_until_each_has(&[0, 1], 5).await?;
    // It leaves in the middle of this.
    crew.publish(100).await?;
    crew.leave(0).await?;
    for _ in 0..4 {
        crew.publish(20).await?;
    }
    crew.all_came().await?;
    crew.done().await?.once_but(&BTreeSet::new())
}

async fn when_a_member_dies_the_others_get_what_it_had(stage: Stage) -> Result<(), Failed> {
    let mut crew = Crew::new(&stage, MANY).await?;
    let mut dying = crew.subscribe().await?;
    crew.publish(40).await?;
    let mut taken = stage.take(&mut dying, 20).await?;
    let held = taken.split_off(10);
    crew.note_all(0, &taken)?;
    acknowledge(&stage, taken).await?;
    let other = crew.subscribe().await?;
    crew.work(other);
    stage.present("disconnect", crew.clients[0].disconnect()).await??;
    crew.all_came().await?;
    let notes = crew.done().await?;
    // Only now: whatever this sends, it is too late.
    drop((held, dying));
    notes.once_but(&BTreeSet::new())
}

async fn a_queue_that_was_away_gets_what_came_meanwhile(stage: Stage) -> Result<(), Failed> {
    let (topic, options) = (stage.topic("t"), SubscribeOptions::new().queue(stage.queue("q")));
    let (publisher, before, after) = (stage.client().await?, stage.client().await?, stage.client().await?);
    let mut subscription = stage.subscribe(&before, &topic, options.clone()).await?;
    stage.publish(&publisher, &topic, numbered(0..10)).await?;
    exactly(&stage, &mut subscription, 0..10).await?;
    stage.present("unsubscribe", subscription.unsubscribe()).await??;
    stage.publish(&publisher, &topic, numbered(10..30)).await?;
    let mut subscription = stage.subscribe(&after, &topic, options).await?;
    exactly(&stage, &mut subscription, 10..30).await
}

async fn one_name_on_two_topics_is_two_queues(stage: Stage) -> Result<(), Failed> {
    let (broker, one, two) = (stage.client().await?, stage.topic("one"), stage.topic("two"));
    let options = SubscribeOptions::new().queue(stage.queue("q"));
    let mut first = stage.subscribe(&broker, &one, options.clone()).await?;
    let mut second = stage.subscribe(&broker, &two, options).await?;
    stage.publish(&broker, &one, numbered(0..20)).await?;
    stage.publish(&broker, &two, numbered(20..40)).await?;
    exactly(&stage, &mut first, 0..20).await?;
    exactly(&stage, &mut second, 20..40).await
}

async fn many_members_get_everything_and_nothing_twice(stage: Stage) -> Result<(), Failed> {
    let mut crew = Crew::new(&stage, MANY).await?;
    crew.join(stage.scaled(8).min(50)).await?;
    for _ in 0..stage.scaled(10) {
        crew.publish(100).await?;
    }
    crew.all_came().await?;
    crew.done().await?.once_but(&BTreeSet::new())
}

async fn closing_and_opening_again_loses_nothing(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let options = SubscribeOptions::new().queue(stage.queue("q"));
    let (mut sent, mut seen) = (100, BTreeSet::new());
    stage.publish(&broker, &topic, numbered(0..sent)).await?;
    for round in 0..stage.scaled(5) {
        let mut subscription = stage.subscribe(&broker, &topic, options.clone()).await?;
        let mut taken = stage.take(&mut subscription, 15).await?;
        // These are in hand when it closes, and were not handled.
        let unsettled = taken.split_off(10);
        for delivery in &taken {
            seen.insert(number(delivery)?);
        }
        acknowledge(&stage, taken).await?;
        if round % 2 == 0 {
            stage.present("unsubscribe", subscription.unsubscribe()).await??;
        } else {
            drop(subscription);
        }
        drop(unsettled);
        stage.publish(&broker, &topic, numbered(sent..sent + 20)).await?;
        sent += 20;
    }
    let mut subscription = stage.subscribe(&broker, &topic, options).await?;
    while seen.len() < sent {
        let what = format!("{} of {sent} messages came; the next one", seen.len());
        let more = stage.present(&what, subscription.next(64)).await??;
        let more = more.ok_or_else(|| Failed::new("the subscription ended"))?;
        for delivery in &more {
            seen.insert(number(delivery)?);
        }
        acknowledge(&stage, more).await?;
    }
    Ok(())
}

/// Takes what was published, and checks that it is that, in any order, and no more.
async fn exactly(
    stage: &Stage,
    subscription: &mut Box<dyn Subscription>,
    wanted: std::ops::Range<usize>,
) -> Result<(), Failed> {
    let mut came = stage.drain(subscription, wanted.len()).await?;
    came.sort_unstable();
    ensure!(came.iter().copied().eq(wanted.clone()), "{came:?} came where {wanted:?} was due");
    stage.silence(subscription).await
}

/// Acknowledges all at once.
pub(super) async fn acknowledge(stage: &Stage, deliveries: Vec<Delivery>) -> Result<(), Failed> {
    let answers = deliveries.into_iter().map(Delivery::ack);
    stage.present("the answers' confirmations", try_join_all(answers)).await??;
    Ok(())
}

/// So many keys that every partition has some of them.
const MANY: usize = 1_000;
/// As many as a member takes at once: few, so that others get some.
const BATCH: usize = 4;

/// The members of a queue, at work: what they take they note and acknowledge. Each has a client of its own.
pub(super) struct Crew {
    stage: Stage,
    publisher: Arc<dyn Broker>,
    topic: Topic,
    options: SubscribeOptions,
    keys: usize,
    sent: usize,
    clients: Vec<Arc<dyn Broker>>,
    members: Vec<Option<Working>>,
    note: UnboundedSender<Result<Note, Failed>>,
    noted: UnboundedReceiver<Result<Note, Failed>>,
    notes: Notes,
}

/// Who took which message.
#[derive(Debug, Clone)]
pub(super) struct Note {
    pub(super) member: usize,
    pub(super) number: usize,
}

/// What was taken, in the order in which it was.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) all: Vec<Note>,
    /// How often each came.
    times: BTreeMap<usize, usize>,
}

/// A member on a task of its own; it leaves when the sender is used, or dropped.
struct Working {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Failed>>,
}

impl Crew {
    pub(super) async fn new(stage: &Stage, keys: usize) -> Result<Self, Failed> {
        let (note, noted) = unbounded_channel();
        Ok(Self {
            stage: stage.clone(),
            publisher: stage.client().await?,
            topic: stage.topic("t"),
            options: SubscribeOptions::new().queue(stage.queue("q")),
            keys,
            sent: 0,
            clients: Vec::new(),
            members: Vec::new(),
            note,
            noted,
            notes: Notes::default(),
        })
    }

    /// Has the members that come keep the order within a key.
    pub(super) fn ordered(mut self) -> Self {
        self.options = self.options.ordered();
        self
    }

    /// Subscribes a member that does nothing yet.
    pub(super) async fn subscribe(&mut self) -> Result<Box<dyn Subscription>, Failed> {
        let client = self.stage.client().await?;
        let subscription = self.stage.subscribe(&client, &self.topic, self.options.clone()).await?;
        self.clients.push(client);
        Ok(subscription)
    }

    /// Lets so many members join at the same time, and work.
    pub(super) async fn join(&mut self, count: usize) -> Result<(), Failed> {
        let clients = try_join_all((0..count).map(|_| self.stage.client())).await?;
        let joining = clients.iter().map(|client| self.stage.subscribe(client, &self.topic, self.options.clone()));
        for subscription in try_join_all(joining).await? {
            self.work(subscription);
        }
        self.clients.extend(clients);
        Ok(())
    }

    /// Lets a member work; members are counted from 0, as they begin to.
    pub(super) fn work(&mut self, subscription: Box<dyn Subscription>) {
        let (stop, stopped) = oneshot::channel();
        let (stage, member, note) = (self.stage.clone(), self.members.len(), self.note.clone());
        let task = tokio::spawn(async move {
            let outcome = work(&stage, member, subscription, &note, stopped).await;
            if let Err(failed) = &outcome {
                // The case may be over.
                let _ = note.send(Err(failed.clone()));
            }
            outcome
        });
        self.members.push(Some(Working { stop, task }));
    }

    /// Lets a member leave politely.
    async fn leave(&mut self, member: usize) -> Result<(), Failed> {
        let Some(working) = self.members[member].take() else { return Ok(()) };
        // Its end says what went wrong, if it is gone.
        let _ = working.stop.send(());
        let ended = self.stage.present("the member's leaving", working.task).await?;
        ended.map_err(|error| Failed::new(format!("a member ended badly: {error}")))?
    }

    /// Publishes the next so many numbers; keys go round.
    pub(super) async fn publish(&mut self, count: usize) -> Result<(), Failed> {
        let numbers = self.sent..self.sent + count;
        self.sent = numbers.end;
        let key = |number: usize| Bytes::from(format!("key-{}", number % self.keys));
        let messages = numbers.map(|number| Message::new(number.to_string()).key(key(number)));
        self.stage.publish(&self.publisher, &self.topic, messages.collect()).await.map(drop)
    }

    /// Publishes until each of these members has so many more.
    async fn publish_until_each_has(&mut self, members: &[usize], more: usize) -> Result<(), Failed> {
        let until = Instant::now() + self.stage.limits().present;
        let before = self.notes.all.len();
        loop {
            self.publish(32).await?;
            self.all_came().await?;
            let has = |member: usize| self.notes.all[before..].iter().filter(|note| note.member == member).count();
            let Some(poor) = members.iter().copied().find(|member| has(*member) < more) else { return Ok(()) };
            ensure!(
                Instant::now() < until,
                "of {} messages the member {poor} got {} within {:?}, where {more} are due",
                self.notes.all.len() - before,
                has(poor),
                self.stage.limits().present
            );
        }
    }

    /// Waits until everything that was published was taken once.
    pub(super) async fn all_came(&mut self) -> Result<(), Failed> {
        while self.notes.times.len() < self.sent {
            let what = format!("{} of {} messages came; the next one", self.notes.times.len(), self.sent);
            if let Some(note) = self.stage.present(&what, self.noted.recv()).await? {
                self.notes.add(note?);
            }
        }
        Ok(())
    }

    /// Waits until nothing has come for as long as what must not come is waited for.
    pub(super) async fn quiet(&mut self) -> Result<&Notes, Failed> {
        while let Ok(Some(note)) = timeout(self.stage.limits().absent, self.noted.recv()).await {
            self.notes.add(note?);
            ensure!(self.notes.all.len() <= 3 * self.sent, "the same messages come again and again");
        }
        Ok(&self.notes)
    }

    /// Notes what a member that does not work has in hand; returns the numbers.
    pub(super) fn note_all(&mut self, member: usize, deliveries: &[Delivery]) -> Result<BTreeSet<usize>, Failed> {
        let numbers: BTreeSet<usize> = deliveries.iter().map(number).collect::<Result<_, _>>()?;
        numbers.iter().for_each(|number| self.notes.add(Note { member, number: *number }));
        Ok(numbers)
    }

    /// Lets all leave, when nothing comes any more; returns what was taken.
    pub(super) async fn done(mut self) -> Result<Notes, Failed> {
        self.quiet().await?;
        let working: Vec<_> = self.members.drain(..).flatten().collect();
        let leaving = working.into_iter().map(|Working { stop, task }| {
            drop(stop);
            task
        });
        for ended in self.stage.present("the members' leaving", join_all(leaving)).await? {
            ended.map_err(|error| Failed::new(format!("a member ended badly: {error}")))??;
        }
        while let Ok(note) = self.noted.try_recv() {
            self.notes.add(note?);
        }
        Ok(self.notes)
    }
}

impl Notes {
    fn add(&mut self, note: Note) {
        *self.times.entry(note.number).or_default() += 1;
        self.all.push(note);
    }

    /// Checks that nothing came twice but, at most, these.
    pub(super) fn once_but(&self, these: &BTreeSet<usize>) -> Result<(), Failed> {
        let limit = |number: &usize| if these.contains(number) { 2 } else { 1 };
        let often: Vec<_> = self.times.iter().filter(|(number, times)| **times > limit(number)).collect();
        ensure!(often.is_empty(), "messages came again, by number and how often: {often:?}");
        Ok(())
    }
}

/// What a member does until it is told to stop.
async fn work(
    stage: &Stage,
    member: usize,
    mut subscription: Box<dyn Subscription>,
    note: &UnboundedSender<Result<Note, Failed>>,
    mut stop: oneshot::Receiver<()>,
) -> Result<(), Failed> {
    loop {
        let next = tokio::select! {
            next = subscription.next(BATCH) => next?,
            _ = &mut stop => break,
        };
        let deliveries = next.ok_or_else(|| Failed::new("a member's subscription ended"))?;
        for delivery in &deliveries {
            // Noted before it is acknowledged: what follows it comes later, to whomever.
            let _ = note.send(Ok(Note { member, number: number(delivery)? }));
        }
        acknowledge(stage, deliveries).await?;
    }
    stage.present("unsubscribe", subscription.unsubscribe()).await??;
    Ok(())
}
