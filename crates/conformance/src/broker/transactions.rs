//! B129: publishing and settling, together or not at all.

use std::collections::BTreeSet;
use std::sync::Arc;

use micro_core::broker::{Broker, Queue, SubscribeOptions, Subscription, Topic, Transaction};

use super::Stage;
use super::stage::{number, numbered};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B129 what_a_transaction_holds_comes_all_or_not_at_all [Queues, Transactions] "a commit shows what was published, and not before, and settles what was taken; without one nothing is shown, and what was taken comes again";
}

/// So many messages go in, and so many come out.
const COUNT: usize = 5;

/// Reads one topic and writes another.
struct Flow {
    stage: Stage,
    broker: Arc<dyn Broker>,
    queue: Queue,
    from: Topic,
    to: Topic,
    input: Box<dyn Subscription>,
    /// What all others see.
    output: Box<dyn Subscription>,
}

async fn what_a_transaction_holds_comes_all_or_not_at_all(stage: Stage) -> Result<(), Failed> {
    let mut flow = Flow::begin(stage).await?;
    flow.stage.publish(&flow.broker, &flow.from, numbered(0..COUNT)).await?;
    // After an end without a commit all of it comes again, which each next transaction checks.
    let aborted = flow.transaction(100).await?;
    flow.stage.present("abort", aborted.abort()).await??;
    drop(flow.transaction(200).await?);
    let committed = flow.transaction(300).await?;
    // Nobody sees this one yet, nor ever those before.
    flow.stage.silence(&mut flow.output).await?;
    flow.stage.present("commit", committed.commit()).await??;
    flow.shows(300).await?;
    flow.goes_on().await
}

impl Flow {
    async fn begin(stage: Stage) -> Result<Self, Failed> {
        let (broker, reader) = (stage.client().await?, stage.client().await?);
        let (queue, from, to) = (stage.queue("q"), stage.topic("from"), stage.topic("to"));
        let input = stage.subscribe(&broker, &from, SubscribeOptions::new().queue(queue.clone())).await?;
        let output = stage.subscribe(&reader, &to, SubscribeOptions::new()).await?;
        Ok(Self { stage, broker, queue, from, to, input, output })
    }

    /// Takes everything that came in and publishes numbers from this one on, in a transaction that is not at its end.
    async fn transaction(&mut self, first: usize) -> Result<Box<dyn Transaction>, Failed> {
        let taken = self.stage.take(&mut self.input, COUNT).await?;
        let numbers = taken.iter().map(number).collect::<Result<BTreeSet<_>, _>>()?;
        ensure!(numbers.iter().copied().eq(0..COUNT), "{numbers:?} came where the first {COUNT} were due");
        let mut transaction = self.stage.present("a transaction", self.broker.transaction()).await??;
        transaction.settle(taken)?;
        let receipts = transaction.publish(&self.to, numbered(first..first + COUNT)).all();
        let receipts = self.stage.present("receipts before the commit", receipts).await??;
        ensure!(receipts.len() == COUNT, "{} receipts for {COUNT} messages", receipts.len());
        Ok(transaction)
    }

    /// Checks that to others come these numbers and nothing else.
    async fn shows(&mut self, first: usize) -> Result<(), Failed> {
        let mut came = self.stage.drain(&mut self.output, COUNT).await?;
        came.sort_unstable();
        ensure!(came.iter().copied().eq(first..first + COUNT), "{came:?} came where {COUNT} from {first} on were due");
        self.stage.silence(&mut self.output).await
    }

    /// Checks that to the queue comes nothing again, also when it is left and joined anew: only what is new.
    async fn goes_on(self) -> Result<(), Failed> {
        let Self { stage, broker, queue, from, input, .. } = self;
        stage.present("unsubscribe", input.unsubscribe()).await??;
        let mut input = stage.subscribe(&broker, &from, SubscribeOptions::new().queue(queue)).await?;
        stage.publish(&broker, &from, numbered(COUNT..COUNT + 1)).await?;
        let came = stage.drain(&mut input, 1).await?;
        ensure!(came == [COUNT], "{came:?} came after the commit, where only {COUNT} was due");
        stage.silence(&mut input).await
    }
}
