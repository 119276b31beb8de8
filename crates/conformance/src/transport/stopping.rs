//! T15 to T18: how a server stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use micro_core::Kind;
use micro_core::error::Retry;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::handlers::{Running, chat, echo, hang, sleep, text};
use super::stage::failed;
use super::{Call, Method, Server, Stage};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { transport:
    T15 a_stop_lets_running_calls_finish "what runs when a server is told to stop finishes with its answer; what is asked for then does not run, and is refused so that it may be tried elsewhere";
    T16 a_stop_keeps_its_limit "a call that is not done when the limit of a stop is over is cut off, counted, and told so to the caller, and the stop returns";
    T17 callers_follow_to_the_next_server "while a server behind an address stops and the next one has taken its place, no call of a busy client fails, runs twice or is lost";
    T18 an_idle_connection_does_not_hold_up_a_stop "connections that are kept and idle, or never said a word, do not hold up a stop";
}

/// Long enough for whatever is to finish.
const LONG: Duration = Duration::from_secs(30);

/// A stop with nothing to wait for takes no longer.
const SHORT: Duration = Duration::from_secs(3);

async fn a_stop_lets_running_calls_finish(stage: Stage) -> Result<(), Failed> {
    let (calls, streams) = (Running::default(), Running::default());
    let world = stage.world(vec![sleep(&calls), chat(&streams)]).await?;
    let client = Arc::clone(&world.client);
    let call = tokio::spawn(async move { client.call(Call::new("Suite.Sleep", "2000")).await });
    let (out, mut answers) = stage.present("a stream", world.client.stream(Call::new("Suite.Chat", ""))).await??;
    stage.until("call and stream run", || calls.now() == 1 && streams.now() == 1).await?;
    let (client, beside) = (Arc::clone(&world.client), stage.client(&world.server.address()));
    let meanwhile = async {
        // It has begun to stop when nobody is let in.
        let mut refused = Vec::new();
        let end = Instant::now() + stage.limits().present;
        while refused.len() < 2 && Instant::now() < end {
            let caller = if refused.is_empty() { &beside } else { &client };
            let before = calls.ever();
            match caller.call(Call::new("Suite.Sleep", "0")).await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => refused.push((error, calls.ever() - before)),
            }
        }
        for at in 0..3 {
            out.send(text(at)).await?;
            let answer = answers.recv().await?;
            ensure!(answer == Some(text(at)), "in a stop the stream's message {at} is answered with {answer:?}");
        }
        drop(out);
        stage.end(&mut answers).await?;
        Ok::<_, Failed>(refused)
    };
    let (cut, refused) = stage.present("the stop", join(world.server.stop(LONG), meanwhile)).await?;
    let refused = refused?;
    ensure!(cut == 0, "{cut} calls were cut off, with time left");
    ensure!(refused.len() == 2, "calls to a server that stops are not refused");
    for (error, ran) in refused {
        let kind = error.kind();
        ensure!(
            matches!(kind, Kind::Refused | Kind::Unavailable) && error.retry() != Retry::Never,
            "a call to a server that stops is {kind:?} and may be tried again {:?}: {error}",
            error.retry()
        );
        ensure!(ran == 0, "a call that was refused in a stop ran");
    }
    let answer = stage.present("the answer of the call that ran", call).await?;
    let answer = answer.map_err(|error| Failed::new(format!("the call panicked: {error}")))??;
    ensure!(answer == "2000", "the call that ran is answered with {answer:?}");
    Ok(())
}

async fn a_stop_keeps_its_limit(stage: Stage) -> Result<(), Failed> {
    const LIMIT: Duration = Duration::from_millis(400);
    let running = Running::default();
    let world = stage.world(vec![hang(&running)]).await?;
    let client = Arc::clone(&world.client);
    let call = tokio::spawn(async move { client.call(Call::new("Suite.Hang", "")).await });
    stage.until("the call runs", || running.now() == 1).await?;
    let began = Instant::now();
    let cut = stage.within(LIMIT + SHORT, "the stop", world.server.stop(LIMIT)).await?;
    ensure!(began.elapsed() >= LIMIT, "the call was cut off after {:?}, and had {LIMIT:?}", began.elapsed());
    ensure!(cut == 1, "one call was cut off, and {cut} are told");
    let ended = stage.within(SHORT, "the end of the call that was cut off", call).await?;
    let ended = ended.map_err(|error| Failed::new(format!("the call panicked: {error}")))?;
    failed("a call that was cut off", ended, &[Kind::Unavailable, Kind::Cancelled, Kind::Closed])?;
    stage.until("its handler is dropped", || running.now() == 0).await?;
    ensure!(running.ever() == 1, "a call that was cut off ran {} times", running.ever());
    Ok(())
}

async fn callers_follow_to_the_next_server(stage: Stage) -> Result<(), Failed> {
    const CALLERS: u64 = 8;
    const ROUNDS: u64 = 4;
    /// So many calls on each server.
    const ENOUGH: u64 = 100;
    let served: Vec<Arc<AtomicU64>> = (0..=ROUNDS).map(|_| Arc::default()).collect();
    let count = |at: u64| {
        let served = Arc::clone(&served[at as usize]);
        Method::unary("Suite.Here", move |_, body: Bytes| {
            served.fetch_add(1, Ordering::SeqCst);
            async move {
                // So that some are under way at any time.
                tokio::time::sleep(Duration::from_millis(3)).await;
                Ok(body)
            }
        })
    };
    let mut world = stage.world(vec![count(0)]).await?;
    let done = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (client, done) = (Arc::clone(&world.client), Arc::clone(&done));
            tokio::spawn(async move {
                let mut calls = 0;
                while !done.load(Ordering::SeqCst) {
                    let body = format!("{caller}-{calls}");
                    let answer = client.call(Call::new("Suite.Here", body.clone())).await?;
                    ensure!(answer == body, "call {body} is answered with {answer:?}");
                    calls += 1;
                }
                Ok::<_, Failed>(calls)
            })
        })
        .collect();
    for round in 1..=ROUNDS {
        let last = &served[round as usize - 1];
        stage.until("calls are answered", || last.load(Ordering::SeqCst) >= ENOUGH).await?;
        let next: Box<dyn Server> = stage.serve(vec![count(round)]).await?;
        world.proxy.forward(next.address());
        let before = std::mem::replace(&mut world.server, next);
        let cut = stage.present("the stop", before.stop(LONG)).await?;
        ensure!(cut == 0, "{cut} calls were cut off");
    }
    let last = &served[ROUNDS as usize];
    stage.until("the last server answers", || last.load(Ordering::SeqCst) >= ENOUGH).await?;
    done.store(true, Ordering::SeqCst);
    let mut calls: u64 = 0;
    for caller in stage.present("the callers", join_all(callers)).await? {
        calls += caller.map_err(|error| Failed::new(format!("a caller panicked: {error}")))??;
    }
    let ran: u64 = served.iter().map(|served| served.load(Ordering::SeqCst)).sum();
    ensure!(ran == calls, "{calls} calls ran {ran} times");
    Ok(())
}

async fn an_idle_connection_does_not_hold_up_a_stop(stage: Stage) -> Result<(), Failed> {
    let world = stage.world(vec![echo()]).await?;
    let others: Vec<_> = (0..3).map(|_| stage.client(&world.server.address())).collect();
    for client in others.iter().chain([&world.client]) {
        stage.present("a call", client.call(Call::new("Suite.Echo", "x"))).await??;
    }
    let silent = stage.present("a connection", TcpStream::connect(world.server.address())).await?;
    let silent = silent.map_err(|error| Failed::new(format!("no connection: {error}")))?;
    // Taken by the server, it waits for a word.
    tokio::time::sleep(stage.limits().absent).await;
    let cut = stage.within(SHORT, "a stop with nothing to wait for", world.server.stop(LONG)).await?;
    ensure!(cut == 0, "{cut} calls were cut off, and none ran");
    drop(silent);
    Ok(())
}
