use micro_core::broker::{Capability, Message, Pattern, Position, ReplyTo, Start, SubscribeOptions};
use micro_core::{Kind, Result};

use super::{Fixture, Stage};
use crate::Failed;
use crate::failed::ensure;

/// A capability that a case needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the field of Capability of this name")]
pub enum Need {
    Persistent,
    Queues,
    Backlog,
    Keys,
    Replay,
    Seek,
    Pause,
    Retry,
    Attempts,
    Lease,
    Deliveries,
    Delay,
    Ttl,
    Partition,
    Deduplication,
    Transactions,
    Reply,
    Wildcard,
    PublishTime,
    MaxBody,
    /// Not declared by the plugin but given by the fixture: a server that can be killed and cut off.
    Server,
    /// The same: an address where nobody listens.
    Nobody,
    /// The same: a client whose consumers can be counted.
    Counted,
    /// The same: a server that asks for an account.
    Guarded,
    /// The same: a clock that can jump.
    Simulated,
    /// The same: a server of several nodes, one of which can be killed.
    Cluster,
}

impl Need {
    /// Returns the capability's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Persistent => "persistent",
            Self::Queues => "queues",
            Self::Backlog => "backlog",
            Self::Keys => "keys",
            Self::Replay => "replay",
            Self::Seek => "seek",
            Self::Pause => "pause",
            Self::Retry => "retry",
            Self::Attempts => "attempts",
            Self::Lease => "lease",
            Self::Deliveries => "deliveries",
            Self::Delay => "delay",
            Self::Ttl => "ttl",
            Self::Partition => "partition",
            Self::Deduplication => "deduplication",
            Self::Transactions => "transactions",
            Self::Reply => "reply",
            Self::Wildcard => "wildcard",
            Self::PublishTime => "publish_time",
            Self::MaxBody => "max_body",
            Self::Server | Self::Nobody => "no server",
            Self::Counted => "no count",
            Self::Guarded => "no accounts",
            Self::Simulated => "no simulated clock",
            Self::Cluster => "one node",
        }
    }

    /// Tells whether it is declared, or the fixture has it.
    #[must_use]
    pub fn is_met(self, by: &Capability, fixture: &dyn Fixture) -> bool {
        match self {
            // Starting one only to see that it can be started would be dear.
            Self::Server | Self::Nobody => fixture.nobody().is_some(),
            Self::Counted => fixture.counted().is_some(),
            Self::Guarded => fixture.guarded().is_some(),
            Self::Simulated => fixture.simulated(),
            Self::Cluster => fixture.nodes() > 1,
            Self::Persistent => by.persistent,
            Self::Queues => by.queues,
            Self::Backlog => by.backlog,
            Self::Keys => by.keys,
            Self::Replay => by.replay,
            Self::Seek => by.seek,
            Self::Pause => by.pause,
            Self::Retry => by.retry,
            Self::Attempts => by.attempts,
            Self::Lease => by.lease,
            Self::Deliveries => by.deliveries,
            Self::Delay => by.delay,
            Self::Ttl => by.ttl,
            Self::Partition => by.partition,
            Self::Deduplication => by.deduplication,
            Self::Transactions => by.transactions,
            Self::Reply => by.reply,
            Self::Wildcard => by.wildcard,
            Self::PublishTime => by.publish_time,
            Self::MaxBody => by.max_body.is_some(),
        }
    }

    /// Asks for what is not declared; it must be refused. What cannot be asked for must not be told either.
    pub(super) async fn refused(self, stage: &Stage) -> Result<(), Failed> {
        let broker = stage.client().await?;
        let topic = stage.topic("refused");
        let plain = SubscribeOptions::new();
        match self {
            Self::Queues => {
                let options = plain.queue(stage.queue("refused"));
                unsupported("a queue", broker.subscribe(&topic, options).await)
            }
            Self::Keys => {
                let options = plain.queue(stage.queue("refused")).ordered();
                unsupported("strict order", broker.subscribe(&topic, options).await)
            }
            Self::Replay => {
                let start = Start::At(Position::Offset { partition: 0, offset: 0 });
                unsupported("a position to begin at", broker.subscribe(&topic, plain.start(start)).await)
            }
            Self::Seek => {
                let mut subscription = stage.subscribe(&broker, &topic, plain).await?;
                unsupported("seek", subscription.seek(Start::Earliest).await)
            }
            Self::Pause => {
                let mut subscription = stage.subscribe(&broker, &topic, plain).await?;
                unsupported("pause", subscription.pause().await)?;
                unsupported("resume", subscription.resume().await)
            }
            Self::Transactions => unsupported("a transaction", broker.transaction().await),
            Self::Wildcard => {
                let pattern = Pattern::new("refused.*")?;
                unsupported("a pattern of topics", broker.subscribe_pattern(&pattern, plain).await)
            }
            Self::Reply => {
                let asked = broker.request(&topic, Message::new("?"), stage.limits().absent);
                unsupported("a request", stage.present("the refusal", asked).await?)?;
                let replied = broker.reply(&ReplyTo::new("nowhere"), Message::new("!")).first();
                unsupported("a reply", stage.present("the refusal", replied).await?)
            }
            Self::Delay => publish_refused(stage, Message::new("late").delay(stage.limits().absent)).await,
            Self::Ttl => publish_refused(stage, Message::new("short").ttl(stage.limits().absent)).await,
            Self::Partition => publish_refused(stage, Message::new("there").partition(0)).await,
            Self::Deduplication => publish_refused(stage, Message::new("once").deduplication_id("once")).await,
            Self::Deliveries | Self::PublishTime => {
                let mut subscription = stage.subscribe(&broker, &topic, plain).await?;
                stage.publish(&broker, &topic, vec![Message::new("told")]).await?;
                let delivery = stage.take_one(&mut subscription).await?;
                if self == Self::Deliveries {
                    ensure!(delivery.deliveries().is_none(), "the deliveries are told, and not declared");
                } else {
                    ensure!(delivery.published().is_none(), "the time of publishing is told, and not declared");
                }
                Ok(delivery.ack().await?)
            }
            Self::Lease => {
                // Nothing refuses it: it is how long a member may be silent. What lives then keeps what it has.
                let lease = stage.limits().absent;
                let queue = stage.capability().queues.then(|| stage.queue("refused"));
                let options = queue.map_or(plain.clone(), |queue| plain.queue(queue)).lease(lease);
                let mut subscription = stage.subscribe(&broker, &topic, options).await?;
                stage.publish(&broker, &topic, vec![Message::new("held")]).await?;
                let delivery = stage.take_one(&mut subscription).await?;
                stage.silence_for(&mut subscription, lease * 3).await?;
                Ok(stage.present("the answer's confirmation", delivery.ack()).await??)
            }
            // Nobody asks for these.
            Self::Persistent
            | Self::Backlog
            | Self::Retry
            | Self::Attempts
            | Self::MaxBody
            | Self::Server
            | Self::Nobody
            | Self::Counted
            | Self::Guarded
            | Self::Simulated
            | Self::Cluster => Ok(()),
        }
    }
}

async fn publish_refused(stage: &Stage, message: Message) -> Result<(), Failed> {
    let broker = stage.client().await?;
    let results = stage.present("the receipt", broker.publish(&stage.topic("refused"), vec![message])).await?;
    ensure!(results.len() == 1, "{} receipts for one message", results.len());
    results.into_iter().try_for_each(|result| unsupported("publishing it", result))
}

fn unsupported<T>(what: &str, result: Result<T>) -> Result<(), Failed> {
    match result {
        Ok(_) => Err(Failed::new(format!("{what} is not declared, and was not refused"))),
        Err(error) if error.kind() == Kind::Unsupported => Ok(()),
        Err(error) => {
            Err(Failed::new(format!("{what} must be refused as unsupported, not as {:?}: {error}", error.kind())))
        }
    }
}
