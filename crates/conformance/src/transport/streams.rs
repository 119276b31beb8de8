//! T07 to T10: many messages, and how a call is ended from either side.

use std::time::Duration;

use micro_core::{Context, Error, Kind};
use tokio::time::timeout;

use super::handlers::{Running, chat, count, echo, hang, number, text};
use super::stage::failed;
use super::{Call, Method, Receiver, Sender, Stage, World};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { transport:
    T07 streams_carry_all_messages_in_order "streams to the client, to the server and both ways carry every message once and in order, and end with the handler's result, none and a thousand alike";
    T08 either_side_may_end_first "when the client has ended its side the handler hears the end, and what it sends after it still arrives";
    T09 a_caller_that_gives_up_ends_the_handler "a call or stream that the client drops is dropped at the server within 1 s, and others of the same connection go on";
    T10 a_handler_may_end_a_stream_early "a handler that returns while the client still sends ends the stream with its result within 1 s, and the client's sending as well";
}

/// How soon one side hears that the other ended a call.
const SOON: Duration = Duration::from_secs(1);

async fn streams_carry_all_messages_in_order(stage: Stage) -> Result<(), Failed> {
    let collect = Method::client_stream("Suite.Collect", |_, mut messages| async move {
        let mut all = Vec::new();
        while let Some(message) = messages.recv().await? {
            all.extend_from_slice(&message);
            all.push(b' ');
        }
        Ok(all.into())
    });
    let fail = Method::server_stream("Suite.Fail", |_, body, out| async move {
        for at in 0..number(&body) {
            out.send(text(at)).await?;
        }
        Err(Error::conflict("suite", "told to fail"))
    });
    let world = stage.world(vec![count(), collect, fail, chat(&Running::default())]).await?;
    for times in [0, 1, 1000] {
        counted(&stage, &world, "Suite.Count", times).await?;
        counted(&stage, &world, "Suite.Fail", times).await?;
        let upload = stage.present("a stream", world.client.client_stream(Call::new("Suite.Collect", ""))).await??;
        let sent = async {
            for at in 0..times {
                upload.send(text(at)).await?;
            }
            upload.finish().await
        };
        let answer = stage.present("the answer", sent).await??;
        let due: String = (0..times).map(|at| format!("{at} ")).collect();
        ensure!(answer == due, "of {times} messages the handler got {answer:?}");
        chatted(&stage, &world, times).await?;
    }
    Ok(())
}

/// A stream to the client, of so many numbers.
async fn counted(stage: &Stage, world: &World, method: &str, times: u64) -> Result<(), Failed> {
    let call = Call::new(method, text(times));
    let mut messages = stage.present("a stream", world.client.server_stream(call)).await??;
    for at in 0..times {
        let message = stage.next(&mut messages).await?;
        ensure!(message == text(at), "message {at} of {method} is {message:?}");
    }
    if method == "Suite.Fail" {
        let end = stage.present("the error", messages.recv()).await?;
        let error = failed("the end of a stream whose handler failed", end, &[Kind::Conflict])?;
        ensure!(error.detail() == "told to fail", "the error's text is {:?}", error.detail());
        return Ok(());
    }
    stage.end(&mut messages).await
}

/// A stream both ways: the first messages one by one, each after the answer to the one before, the others in a row.
async fn chatted(stage: &Stage, world: &World, times: u64) -> Result<(), Failed> {
    let (out, mut answers) = stage.present("a stream", world.client.stream(Call::new("Suite.Chat", ""))).await??;
    let alone = times.min(10);
    for at in 0..alone {
        stage.present("sending", out.send(text(at))).await??;
        let answer = stage.next(&mut answers).await?;
        ensure!(answer == text(at), "message {at} is answered with {answer:?}");
    }
    let sending = tokio::spawn(async move {
        for at in alone..times {
            out.send(text(at)).await?;
        }
        Ok::<_, Error>(())
    });
    for at in alone..times {
        let answer = stage.next(&mut answers).await?;
        ensure!(answer == text(at), "message {at} is answered with {answer:?}");
    }
    stage.end(&mut answers).await?;
    let sent = stage.present("the end of sending", sending).await?;
    Ok(sent.map_err(|error| Failed::new(format!("sending panicked: {error}")))??)
}

async fn either_side_may_end_first(stage: Stage) -> Result<(), Failed> {
    let late = Method::stream("Suite.Late", |_, mut messages, out| async move {
        let mut heard = 0;
        while messages.recv().await?.is_some() {
            heard += 1;
        }
        // Long after the end of the other side.
        tokio::time::sleep(Duration::from_millis(100)).await;
        for at in 0..3 {
            out.send(text(heard * 10 + at)).await?;
        }
        Ok(())
    });
    let world = stage.world(vec![late]).await?;
    for sent in [0, 4] {
        let (out, mut answers) = stage.present("a stream", world.client.stream(Call::new("Suite.Late", ""))).await??;
        for at in 0..sent {
            stage.present("sending", out.send(text(at))).await??;
        }
        drop(out);
        for at in 0..3 {
            let answer = stage.next(&mut answers).await?;
            ensure!(answer == text(sent * 10 + at), "after {sent} messages and the end came {answer:?}");
        }
        stage.end(&mut answers).await?;
    }
    Ok(())
}

async fn a_caller_that_gives_up_ends_the_handler(stage: Stage) -> Result<(), Failed> {
    let (calls, streams, pours) = (Running::default(), Running::default(), Running::default());
    let count = pours.clone();
    let pour = Method::server_stream("Suite.Pour", move |_, _, out| {
        let guard = count.begin();
        async move {
            let _guard = guard;
            loop {
                out.send(text(0)).await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let world = stage.world(vec![echo(), hang(&calls), chat(&streams), pour]).await?;
    let kept = stage.present("a stream", world.client.stream(Call::new("Suite.Chat", ""))).await??;
    stage.until("a stream runs", || streams.now() == 1).await?;

    let client = world.client.clone();
    let call = tokio::spawn(async move { client.call(Call::new("Suite.Hang", "")).await });
    stage.until("the call runs", || calls.now() == 1).await?;
    call.abort();
    stage.until_within(SOON, "the handler of a dropped call is dropped", || calls.now() == 0).await?;

    let (out, answers) = stage.present("a stream", world.client.stream(Call::new("Suite.Chat", ""))).await??;
    stage.until("a second stream runs", || streams.now() == 2).await?;
    drop(answers);
    stage.until_within(SOON, "the handler of a dropped stream is dropped", || streams.now() == 1).await?;
    let refused = stage.present("sending", until_refused(&*out)).await?;
    failed("sending to a stream that was dropped", refused, &[Kind::Cancelled, Kind::Closed, Kind::Unavailable])?;

    let mut messages = stage.present("a stream", world.client.server_stream(Call::new("Suite.Pour", ""))).await??;
    stage.next(&mut messages).await?;
    drop(messages);
    stage.until_within(SOON, "the handler whose answers are dropped is dropped", || pours.now() == 0).await?;

    let (out, mut answers) = kept;
    stage.present("sending", out.send("still here".into())).await??;
    let answer = stage.next(&mut answers).await?;
    ensure!(answer == "still here", "the stream that was kept answers {answer:?}");
    stage.present("a call after them", world.client.call(Call::new("Suite.Echo", "x"))).await??;
    ensure!(world.proxy.accepted() == 1, "{} connections were made for it", world.proxy.accepted());
    Ok(())
}

/// Sends until it is told that nobody hears it.
async fn until_refused(out: &dyn Sender) -> micro_core::Result<()> {
    loop {
        out.send("is there anybody?".into()).await?;
        tokio::task::yield_now().await;
    }
}

async fn a_handler_may_end_a_stream_early(stage: Stage) -> Result<(), Failed> {
    let enough = Method::stream("Suite.Enough", |_: Context, mut messages: Box<dyn Receiver>, _| async move {
        match messages.recv().await? {
            Some(first) if first == "fail" => Err(Error::conflict("suite", "enough")),
            _ => Ok(()),
        }
    });
    let first = Method::client_stream("Suite.First", |_, mut messages| async move {
        match messages.recv().await? {
            Some(first) if first == "fail" => Err(Error::conflict("suite", "enough")),
            first => Ok(first.unwrap_or_default()),
        }
    });
    let world = stage.world(vec![enough, first, echo()]).await?;
    for word in ["fail", "fine"] {
        let (out, mut answers) =
            stage.present("a stream", world.client.stream(Call::new("Suite.Enough", ""))).await??;
        stage.present("sending", out.send(word.into())).await??;
        let end = stage.within(SOON, "the end of the stream", answers.recv()).await?;
        if word == "fail" {
            let error = failed("a stream that the server ended with an error", end, &[Kind::Conflict])?;
            ensure!(error.detail() == "enough", "its text is {:?}", error.detail());
        } else {
            ensure!(matches!(end, Ok(None)), "a stream that the server ended well brings {end:?}");
        }
        let sending = timeout(SOON, until_refused(&*out)).await;
        ensure!(sending.is_ok(), "the client sends on, to a stream that the server ended");

        let upload = stage.present("a stream", world.client.client_stream(Call::new("Suite.First", ""))).await??;
        stage.present("sending", upload.send(word.into())).await??;
        // Nobody reads these; whether they can still be sent depends on who is faster.
        for _ in 0..10 {
            let _ = stage.present("sending", upload.send("more".into())).await?;
        }
        let answer = stage.within(SOON, "the answer", upload.finish()).await?;
        if word == "fail" {
            failed("an upload that the server ended with an error", answer, &[Kind::Conflict])?;
        } else {
            let answer = answer?;
            ensure!(answer == word, "the answer is {answer:?}");
        }
    }
    stage.present("a call after them", world.client.call(Call::new("Suite.Echo", "x"))).await??;
    ensure!(world.proxy.accepted() == 1, "{} connections were made for it", world.proxy.accepted());
    Ok(())
}
