//! T11 to T14: time limits, and peers that are gone.

use std::sync::Arc;
use std::time::Duration;

use micro_core::{Context, Kind};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::handlers::{Running, chat, echo, hang, number, sleep, text};
use super::stage::failed;
use super::{Call, ClientOptions, Method, ServerOptions, Stage};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { transport:
    T11 a_deadline_shrinks_from_hop_to_hop "the time that a caller gives is known to the handler, and what is left of it to the next one, however long that call is allowed";
    T12 a_call_ends_by_its_time "a call or stream without an end is a Timeout when its time is over, not before and at most 1 s after, and its handler is dropped";
    T13 a_dead_peer_is_an_error "a call whose connection breaks, or where nobody listens, is Unavailable or Refused and does not hang; its handler is dropped; later calls work";
    T14 a_half_open_connection_is_found [KeepAlive] "when the network swallows everything, keep-alive ends the waiting call at the client and its handler at the server, long before the call's own time";
}

/// What a peer that is not there is called.
const GONE: &[Kind] = &[Kind::Unavailable, Kind::Refused];

/// `Suite.Remaining`: answers with the milliseconds that are left; empty without a deadline.
fn remaining() -> Method {
    Method::unary("Suite.Remaining", |context: Context, _| async move {
        Ok(context.remaining().map(|left| text(left.as_millis() as u64)).unwrap_or_default())
    })
}

async fn a_deadline_shrinks_from_hop_to_hop(stage: Stage) -> Result<(), Failed> {
    const GIVEN: u64 = 10_000;
    const SPENT: u64 = 300;
    let last = stage.serve(vec![remaining()]).await?;
    let next = stage.client(&last.address());
    let hop = Method::unary("Suite.Hop", move |context: Context, _| {
        let next = Arc::clone(&next);
        async move {
            tokio::time::sleep(Duration::from_millis(SPENT)).await;
            let call = Call::new("Suite.Remaining", "").timeout(Duration::from_secs(60)).context(context);
            next.call(call).await
        }
    });
    let world = stage.world(vec![hop, remaining()]).await?;
    for (method, most) in [("Suite.Remaining", GIVEN), ("Suite.Hop", GIVEN - SPENT)] {
        let call = Call::new(method, "").timeout(Duration::from_millis(GIVEN));
        let left = stage.present("the answer", world.client.call(call)).await??;
        ensure!(!left.is_empty(), "{method} knows of no deadline");
        let left = number(&left);
        ensure!(left <= most && left > most / 2, "of {GIVEN} ms {method} has {left} left, not {most} or a little less");
    }
    Ok(())
}

async fn a_call_ends_by_its_time(stage: Stage) -> Result<(), Failed> {
    const TIME: Duration = Duration::from_millis(300);
    const LATE: Duration = Duration::from_secs(1);
    let (calls, streams) = (Running::default(), Running::default());
    let world = stage.world(vec![hang(&calls), chat(&streams), echo()]).await?;
    stage.present("a call before", world.client.call(Call::new("Suite.Echo", "x"))).await??;
    let began = Instant::now();
    let call = Call::new("Suite.Hang", "").timeout(TIME);
    let ended = stage.within(TIME + LATE, "the end of a call by its time", world.client.call(call)).await?;
    failed("a call whose time is over", ended, &[Kind::Timeout])?;
    ensure!(began.elapsed() >= TIME, "it ended after {:?}, and had {TIME:?}", began.elapsed());
    stage.until_within(LATE, "its handler is dropped", || calls.now() == 0).await?;
    ensure!(calls.ever() == 1, "its handler ran {} times", calls.ever());

    let began = Instant::now();
    let call = Call::new("Suite.Chat", "").timeout(TIME);
    let (_out, mut answers) = stage.present("a stream", world.client.stream(call)).await??;
    let ended = stage.within(TIME + LATE, "the end of a stream by its time", answers.recv()).await?;
    failed("a stream whose time is over", ended, &[Kind::Timeout])?;
    ensure!(began.elapsed() >= TIME, "it ended after {:?}, and had {TIME:?}", began.elapsed());
    stage.until_within(LATE, "its handler is dropped", || streams.now() == 0).await?;
    stage.present("a call after them", world.client.call(Call::new("Suite.Echo", "x"))).await??;
    Ok(())
}

async fn a_dead_peer_is_an_error(stage: Stage) -> Result<(), Failed> {
    let (calls, streams) = (Running::default(), Running::default());
    let world = stage.world(vec![hang(&calls), chat(&streams), echo()]).await?;
    let client = Arc::clone(&world.client);
    let call = tokio::spawn(async move { client.call(Call::new("Suite.Hang", "")).await });
    let (_out, mut answers) = stage.present("a stream", world.client.stream(Call::new("Suite.Chat", ""))).await??;
    stage.until("call and stream run", || calls.now() == 1 && streams.now() == 1).await?;
    world.proxy.cut();
    let ended = stage.present("the end of a call whose connection broke", call).await?;
    let ended = ended.map_err(|error| Failed::new(format!("the call panicked: {error}")))?;
    failed("a call whose connection broke", ended, GONE)?;
    let ended = stage.present("the end of a stream whose connection broke", answers.recv()).await?;
    failed("a stream whose connection broke", ended, GONE)?;
    stage.until("both handlers are dropped", || calls.now() == 0 && streams.now() == 0).await?;
    ensure!(calls.ever() == 1, "a call that may have run was made {} times", calls.ever());
    let refused = stage.present("a call while it is cut", world.client.call(Call::new("Suite.Echo", ""))).await?;
    failed("a call while it is cut", refused, GONE)?;
    world.proxy.heal();
    stage.present("a call after it", world.client.call(Call::new("Suite.Echo", "x"))).await??;

    let free = TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr());
    let free = free.map_err(|error| Failed::new(format!("no free port: {error}")))?;
    let nobody = stage.client(&free.to_string());
    let refused = stage.present("a call to nobody", nobody.call(Call::new("Suite.Echo", ""))).await?;
    failed("a call to nobody", refused, GONE)?;
    Ok(())
}

async fn a_half_open_connection_is_found(stage: Stage) -> Result<(), Failed> {
    // Long enough that the network is cut before the first question: a gRPC client may ask only twice in a row without
    // data in between, and then for minutes no more, lest a server takes it for an attacker.
    const ASKED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(500));
    const FOUND: Duration = Duration::from_secs(5);
    let running = Running::default();
    let world = async || {
        let server = ServerOptions { keep_alive: ASKED, ..ServerOptions::default() };
        let client = ClientOptions { keep_alive: ASKED, ..ClientOptions::default() };
        stage.world_with(vec![hang(&running), sleep(&running), echo()], server, client).await
    };
    // Asked and answered, a call goes on to its end.
    let healthy = world().await?;
    let long = ((ASKED.0 + ASKED.1) * 2).as_millis().to_string();
    let slow = stage.present("a slow call", healthy.client.call(Call::new("Suite.Sleep", long.clone()))).await??;
    ensure!(slow == long, "a slow call is answered with {slow:?}");

    let world = world().await?;
    let client = Arc::clone(&world.client);
    let call = Call::new("Suite.Hang", "").timeout(Duration::from_secs(100));
    let call = tokio::spawn(async move { client.call(call).await });
    stage.until("the call runs", || running.now() == 1).await?;
    world.proxy.hold();
    let ended = stage.within(FOUND, "the end of a call whose packets are swallowed", call).await?;
    let ended = ended.map_err(|error| Failed::new(format!("the call panicked: {error}")))?;
    failed("a call whose packets are swallowed", ended, GONE)?;
    stage.until_within(FOUND, "its handler is dropped", || running.now() == 0).await?;
    ensure!(running.ever() == 2, "a call that may have run was made {} times", running.ever() - 1);
    world.proxy.heal();
    stage.present("a call after it", world.client.call(Call::new("Suite.Echo", "x"))).await??;
    Ok(())
}
