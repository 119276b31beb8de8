//! B124, B125: requests and their replies.

use std::sync::Arc;

use micro_core::Kind;
use micro_core::broker::{Broker, Delivery, Message, ReplyTo, SubscribeOptions, Topic};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::Stage;
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B124 each_request_gets_its_own_reply [Reply] "of 100 requests at once each gets the reply to itself, bytes and headers, in whatever order replies come; a second reply harms nobody";
    B125 a_request_without_a_reply_says_why [Reply] "where nobody subscribes a request is NoResponder at once; without a reply it is Timeout, then and not before; a reply that is late, or to a request that was given up, reaches no other";
}

const REQUESTS: usize = 100;

fn asked_by(delivery: &Delivery) -> Result<ReplyTo, Failed> {
    delivery.reply_to().ok_or_else(|| Failed::new("a request came without the place its reply goes to"))
}

async fn reply(stage: &Stage, broker: &Arc<dyn Broker>, to: &ReplyTo, message: Message) -> Result<(), Failed> {
    stage.present("the receipt of a reply", broker.reply(to, message).first()).await??;
    Ok(())
}

async fn each_request_gets_its_own_reply(stage: Stage) -> Result<(), Failed> {
    let (replier, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&replier, &topic, SubscribeOptions::new()).await?;
    let clients = [stage.client().await?, stage.client().await?];
    let mut asking = JoinSet::new();
    for number in 0..REQUESTS {
        let (stage, topic, client) = (stage.clone(), topic.clone(), Arc::clone(&clients[number % 2]));
        asking.spawn(async move {
            let request = Message::new(number.to_string()).header("Asks", "politely");
            let reply = client.request(&topic, request, stage.limits().present).await?;
            let (body, header) = (format!("reply to {number}"), number.to_string());
            ensure!(reply.body == body, "the request {number} got {:?}", String::from_utf8_lossy(&reply.body));
            let got = reply.headers.get_str("Number");
            ensure!(got == Some(&header), "the reply to {number} has the header {got:?}");
            Ok::<_, Failed>(())
        });
    }
    let mut requests = stage.take(&mut subscription, REQUESTS).await?;
    // The last one first.
    requests.reverse();
    for request in requests {
        let (to, number) = (asked_by(&request)?, String::from_utf8_lossy(request.body()).into_owned());
        ensure!(request.headers().get_str("Asks") == Some("politely"), "a request lost its header");
        let answer = Message::new(format!("reply to {number}")).header("Number", number);
        reply(&stage, &replier, &to, answer).await?;
        // Whoever waits for another must not get it; whether it is refused is the broker's matter.
        let second = replier.reply(&to, Message::new("one more")).first();
        drop(stage.present("the receipt of a second reply", second).await?);
        stage.present("the answer's confirmation", request.ack()).await??;
    }
    while let Some(asked) = stage.present("the replies", asking.join_next()).await? {
        asked.map_err(|error| Failed::new(format!("a request broke off: {error}")))??;
    }
    Ok(())
}

async fn a_request_without_a_reply_says_why(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    nobody(&stage, &broker, &topic).await?;
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;

    let within = stage.limits().absent * 2;
    let began = Instant::now();
    let asked = broker.request(&topic, Message::new("in vain"), within);
    // Once its time is over it may be delivered no more.
    let (outcome, late) =
        tokio::join!(stage.present("the end of a request in vain", asked), stage.take_one(&mut subscription));
    let (outcome, late) = (outcome?, late?);
    ensure!(outcome.as_ref().is_err_and(|error| error.kind() == Kind::Timeout), "it is no Timeout: {outcome:?}");
    ensure!(began.elapsed() >= within, "the time was over after {:?} of {within:?}", began.elapsed());

    let given_up = broker.request(&topic, Message::new("given up"), stage.limits().present);
    ensure!(timeout(stage.limits().absent, given_up).await.is_err(), "a request ended that nobody replied to");
    let given_up = stage.take_one(&mut subscription).await?;

    // While the next one waits, both get their reply.
    let (client, there, limit) = (Arc::clone(&broker), topic.clone(), stage.limits().present);
    let next = tokio::spawn(async move { client.request(&there, Message::new("next"), limit).await });
    let request = stage.take_one(&mut subscription).await?;
    for old in [late, given_up] {
        let answer = broker.reply(&asked_by(&old)?, Message::new("too late")).first();
        drop(stage.present("the receipt of a late reply", answer).await?);
        stage.present("the answer's confirmation", old.ack()).await??;
    }
    reply(&stage, &broker, &asked_by(&request)?, Message::new("in time")).await?;
    let got =
        stage.present("the reply", next).await?.map_err(|error| Failed::new(format!("it broke off: {error}")))??;
    ensure!(got.body == "in time", "the next request got {:?}", String::from_utf8_lossy(&got.body));
    stage.present("the answer's confirmation", request.ack()).await??;

    stage.present("unsubscribe", subscription.unsubscribe()).await??;
    nobody(&stage, &broker, &topic).await
}

/// Checks that a request is told at once that nobody is there.
async fn nobody(stage: &Stage, broker: &Arc<dyn Broker>, topic: &Topic) -> Result<(), Failed> {
    let within = stage.limits().present * 2;
    let asked = broker.request(topic, Message::new("is anybody there?"), within);
    let outcome = stage.present("that nobody is there", asked).await?;
    match outcome {
        Err(error) if error.kind() == Kind::NoResponder => Ok(()),
        outcome => Err(Failed::new(format!("nobody subscribes, and a request is not NoResponder: {outcome:?}"))),
    }
}
