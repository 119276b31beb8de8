//! B110: a clock that jumps.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use micro_core::broker::{Broker, Message, SubscribeOptions, Topic};
use micro_core::{Context, Error, Kind};
use micro_event::{Events, RetryPolicy, raw_subscriber};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::{advance, sleep, timeout};

use super::Stage;
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B110 a_clock_that_jumps_stops_no_timer [Simulated, Queues, Retry, Attempts, Delay, Ttl] "when the clock jumps by an hour while a lease, a delay, a time to live, a pause, a handler's time limit and a pause between its tries run, everything due comes, once, and nothing that is due later";
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// As far the clock jumps, and what it passes and what it does not.
const JUMP: Duration = minutes(60);
const PASSED: Duration = minutes(20);
const PASSED_TOO: Duration = minutes(50);
const LATER: Duration = minutes(180);

/// What comes must be there after this long, by the clock that runs ahead while nobody works.
const COMES: Duration = minutes(40);

async fn a_clock_that_jumps_stops_no_timer(stage: Stage) -> Result<(), Failed> {
    let (done, outcome) = oneshot::channel();
    let there = stage.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let outcome = match runtime {
            Ok(runtime) => runtime.block_on(World::jump(there)),
            Err(error) => Err(Failed::new(format!("no runtime for it: {error}"))),
        };
        // The case may be over.
        let _ = done.send(outcome);
    });
    // By the machine's clock: a timer that spins is caught too.
    let outcome = stage.present("the other side of the jump", outcome).await?;
    outcome.map_err(|_| Failed::new("it panicked on the other side of the jump"))?
}

/// What readers and handlers tell, by who they are.
struct World {
    stage: Stage,
    broker: Arc<dyn Broker>,
    tell: UnboundedSender<(&'static str, String)>,
    told: UnboundedReceiver<(&'static str, String)>,
}

impl World {
    async fn jump(stage: Stage) -> Result<(), Failed> {
        let broker = stage.client().await?;
        let (tell, told) = unbounded_channel();
        let mut world = Self { stage, broker, tell, told };
        let held = world.leased().await?;
        world.paused().await?;
        world.delayed().await?;
        let unread = world.expiring().await?;
        let handled = world.handled().await?;
        // Everybody waits now.
        sleep(Duration::from_secs(1)).await;
        advance(JUMP).await;

        world.reads("ttl", &unread, SubscribeOptions::new().queue(world.stage.queue("ttl"))).await?;
        world
            .comes(&[
                ("delay", "passed 0"),
                ("delay", "passed too 0"),
                ("lease", "held 0"),
                ("retry", "failed 1"),
                ("ttl", "lives 0"),
                ("fails", "again"),
                ("hangs", "again"),
            ])
            .await?;
        let late = held.ack().await;
        ensure!(late.as_ref().is_err_and(|error| error.kind() == Kind::Conflict), "an old lease was good: {late:?}");
        advance(LATER).await;
        world.comes(&[("delay", "later 0")]).await?;
        for live in handled {
            live.stop(minutes(1)).await?;
        }
        Ok(())
    }

    /// Waits for exactly these, in any order but that of each reader, and for nothing else.
    async fn comes(&mut self, due: &[(&'static str, &str)]) -> Result<(), Failed> {
        let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (who, what) in due {
            missing.entry(who).or_default().push(what);
        }
        let mut count = due.len();
        loop {
            let (who, what) = match timeout(COMES, self.told.recv()).await {
                Ok(Some(told)) => told,
                Err(_) if count == 0 => return Ok(()),
                _ => return Err(Failed::new(format!("after the jump these did not come: {missing:?}"))),
            };
            let next = missing.get_mut(who).filter(|due| due.first() == Some(&what.as_str()));
            let Some(due) = next else {
                return Err(Failed::new(format!("{who}: {what:?} came, and due were {missing:?}")));
            };
            due.remove(0);
            count -= 1;
        }
    }

    /// Reads, acknowledges and tells all that comes, with the failures before it.
    async fn reads(&self, who: &'static str, topic: &Topic, options: SubscribeOptions) -> Result<(), Failed> {
        let mut subscription = self.stage.subscribe(&self.broker, topic, options).await?;
        let tell = self.tell.clone();
        tokio::spawn(async move {
            while let Ok(Some(deliveries)) = subscription.next(16).await {
                for delivery in deliveries {
                    let body = String::from_utf8_lossy(delivery.body());
                    let what = format!("{body} {}", delivery.attempts());
                    if delivery.ack().await.is_err() || tell.send((who, what)).is_err() {
                        return;
                    }
                }
            }
        });
        Ok(())
    }

    /// One member has a message in hand, another waits.
    async fn leased(&self) -> Result<micro_core::broker::Delivery, Failed> {
        let (topic, queue) = (self.stage.topic("lease"), self.stage.queue("lease"));
        let options = SubscribeOptions::new().queue(queue).lease(PASSED);
        let mut holder = self.stage.subscribe(&self.broker, &topic, options.clone()).await?;
        self.stage.publish(&self.broker, &topic, vec![Message::new("held")]).await?;
        let held = self.stage.take_one(&mut holder).await?;
        holder.stop().await;
        self.reads("lease", &topic, options).await?;
        Ok(held)
    }

    async fn paused(&self) -> Result<(), Failed> {
        let (topic, queue) = (self.stage.topic("retry"), self.stage.queue("retry"));
        let options = SubscribeOptions::new().queue(queue);
        let mut failing = self.stage.subscribe(&self.broker, &topic, options.clone()).await?;
        self.stage.publish(&self.broker, &topic, vec![Message::new("failed")]).await?;
        let failed = self.stage.take_one(&mut failing).await?;
        failed.retry(PASSED).await?;
        self.reads("retry", &topic, options).await
    }

    async fn delayed(&self) -> Result<(), Failed> {
        let topic = self.stage.topic("delay");
        self.reads("delay", &topic, SubscribeOptions::new().queue(self.stage.queue("delay"))).await?;
        let delays = [("later", LATER), ("passed too", PASSED_TOO), ("passed", PASSED)];
        let messages = delays.map(|(body, delay)| Message::new(body).delay(delay));
        self.stage.publish(&self.broker, &topic, messages.into()).await?;
        Ok(())
    }

    async fn expiring(&self) -> Result<Topic, Failed> {
        let topic = self.stage.topic("ttl");
        let messages = [("dies", PASSED), ("lives", LATER)].map(|(body, ttl)| Message::new(body).ttl(ttl));
        self.stage.publish(&self.broker, &topic, messages.into()).await?;
        Ok(topic)
    }

    /// A handler that hangs within its time limit, and one that pauses between its tries.
    async fn handled(&mut self) -> Result<Vec<micro_event::Subscribed>, Failed> {
        let events = Events::new(Arc::clone(&self.broker));
        let mut live = Vec::new();
        for (who, hangs) in [("hangs", true), ("fails", false)] {
            let (tell, mut calls) = (self.tell.clone(), 0);
            let calls = std::sync::Mutex::new(move || {
                calls += 1;
                calls
            });
            let handler = move |_: Context, _: Message| {
                let first = calls.lock().is_ok_and(|mut count| count() == 1);
                let _ = tell.send((who, if first { "first" } else { "again" }.to_owned()));
                async move {
                    match (first, hangs) {
                        (true, true) => pending().await,
                        (true, false) => Err(Error::internal("conformance", "not this time")),
                        (false, _) => Ok(()),
                    }
                }
            };
            let (topic, queue) = (self.stage.topic(who), self.stage.queue(who));
            let subscriber = raw_subscriber(topic.as_str(), handler).queue(queue.as_str()).time_limit(PASSED);
            let subscriber = subscriber.retry(RetryPolicy::new().attempts(5).pauses(PASSED, PASSED));
            live.push(events.subscribe(subscriber).await?);
            self.stage.publish(&self.broker, &topic, vec![Message::new(who)]).await?;
            let first = self.stage.present("the first call of a handler", self.told.recv()).await?;
            ensure!(first == Some((who, "first".to_owned())), "{first:?} came before the jump");
        }
        Ok(live)
    }
}
