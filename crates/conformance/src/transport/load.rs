//! T23 to T26: many calls, and much that nobody reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use micro_core::Error;
use tokio::runtime::Handle;
use tokio::sync::Barrier;

use super::handlers::{Running, echo, text};
use super::{Call, Method, Stage};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { transport:
    T23 a_thousand_calls_share_a_connection "1,000 calls run at once on one connection";
    T24 a_slow_reader_holds_back_the_sender "a reader that does not read brings the handler that sends to rest long before memory does, other calls of its connection go on, and nothing is lost";
    T25 ten_thousand_calls_leave_nothing_behind "10,000 calls in a row use one connection, and leave no handler, no message and no task behind";
    T26 a_slow_handler_holds_back_the_caller "a handler that does not read brings the client that sends to rest long before memory does, other calls of its connection go on, and nothing is lost";
}

/// One of the messages that nobody reads, and how many there are: 64 MiB.
const PART: usize = 16 << 10;
const PARTS: u64 = 4096;

/// So much may be on its way to somebody who does not read.
const HELD: u64 = 8 << 20;

/// A call beside a stream that rests takes no longer.
const SOON: Duration = Duration::from_secs(5);

async fn a_thousand_calls_share_a_connection(stage: Stage) -> Result<(), Failed> {
    const CALLS: usize = 1000;
    let all = Arc::new(Barrier::new(CALLS));
    let meet = Method::unary("Suite.Meet", move |_, body| {
        let all = Arc::clone(&all);
        async move {
            all.wait().await;
            Ok(body)
        }
    });
    let world = stage.world(vec![meet]).await?;
    let client = &world.client;
    let calls = (0..CALLS).map(|at| async move {
        let answer = client.call(Call::new("Suite.Meet", text(at as u64))).await?;
        Ok::<_, Error>((at, answer))
    });
    for (at, answer) in stage.present("1,000 answers", try_join_all(calls)).await?? {
        ensure!(answer == text(at as u64), "call {at} is answered with {answer:?}");
    }
    ensure!(world.proxy.accepted() == 1, "1,000 calls took {} connections", world.proxy.accepted());
    Ok(())
}

async fn a_slow_reader_holds_back_the_sender(stage: Stage) -> Result<(), Failed> {
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let pour = Method::server_stream("Suite.Pour", move |_, _, out| {
        let count = Arc::clone(&count);
        async move {
            for at in 0..PARTS {
                out.send(part(at)).await?;
                count.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        }
    });
    let world = stage.world(vec![pour, echo()]).await?;
    let mut parts = stage.present("a stream", world.client.server_stream(Call::new("Suite.Pour", ""))).await??;
    let held = stage.rest("a handler that sends to nobody", || sent.load(Ordering::SeqCst)).await? * PART as u64;
    ensure!(held <= HELD, "{held} bytes are on their way to a reader that does not read");
    stage.within(SOON, "a call beside it", world.client.call(Call::new("Suite.Echo", "x"))).await??;
    for at in 0..PARTS {
        let message = stage.next(&mut parts).await?;
        ensure!(message == part(at), "message {at} is another");
    }
    stage.end(&mut parts).await?;
    ensure!(world.proxy.accepted() == 1, "{} connections were made", world.proxy.accepted());
    Ok(())
}

async fn a_slow_handler_holds_back_the_caller(stage: Stage) -> Result<(), Failed> {
    let read = Arc::new(tokio::sync::Semaphore::new(0));
    let may = Arc::clone(&read);
    let drain = Method::client_stream("Suite.Drain", move |_, mut messages| {
        let may = Arc::clone(&may);
        async move {
            let _may = may.acquire().await;
            let mut at = 0;
            while let Some(message) = messages.recv().await? {
                if message != part(at) {
                    return Err(Error::conflict("suite", format!("message {at} is another")));
                }
                at += 1;
            }
            Ok(text(at))
        }
    });
    let world = stage.world(vec![drain, echo()]).await?;
    let upload = stage.present("a stream", world.client.client_stream(Call::new("Suite.Drain", ""))).await??;
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let sending = tokio::spawn(async move {
        for at in 0..PARTS {
            upload.send(part(at)).await?;
            count.fetch_add(1, Ordering::SeqCst);
        }
        upload.finish().await
    });
    let held = stage.rest("a client that sends to nobody", || sent.load(Ordering::SeqCst)).await? * PART as u64;
    ensure!(held <= HELD, "{held} bytes are on their way to a handler that does not read");
    stage.within(SOON, "a call beside it", world.client.call(Call::new("Suite.Echo", "x"))).await??;
    read.add_permits(1);
    let answer = stage.present("the answer", sending).await?;
    let answer = answer.map_err(|error| Failed::new(format!("sending panicked: {error}")))??;
    ensure!(answer == text(PARTS), "of {PARTS} messages the handler got {answer:?}");
    ensure!(world.proxy.accepted() == 1, "{} connections were made", world.proxy.accepted());
    Ok(())
}

/// A message that tells its number.
fn part(at: u64) -> Bytes {
    let mut part = vec![at as u8; PART];
    part[..8].copy_from_slice(&at.to_be_bytes());
    part.into()
}

/// A body that counts itself until the last of those who hold it lets go.
struct Counted {
    body: Vec<u8>,
    held: Arc<AtomicUsize>,
}

impl Counted {
    fn body(body: &[u8], held: &Arc<AtomicUsize>) -> Bytes {
        held.fetch_add(1, Ordering::SeqCst);
        Bytes::from_owner(Self { body: body.to_vec(), held: Arc::clone(held) })
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn ten_thousand_calls_leave_nothing_behind(stage: Stage) -> Result<(), Failed> {
    const CALLS: u64 = 10_000;
    /// Those of a connection, and of the runtime.
    const TASKS: usize = 50;
    let (running, held) = (Running::default(), Arc::new(AtomicUsize::new(0)));
    let (count, answers) = (running.clone(), Arc::clone(&held));
    let mirror = Method::unary("Suite.Mirror", move |_, body: Bytes| {
        let (guard, answer) = (count.begin(), Counted::body(&body, &answers));
        async move {
            let _guard = guard;
            Ok(answer)
        }
    });
    let world = stage.world(vec![mirror]).await?;
    let before = Handle::current().metrics().num_alive_tasks();
    let all = async {
        for at in 0..CALLS {
            let body = Counted::body(&at.to_be_bytes(), &held);
            let answer = world.client.call(Call::new("Suite.Mirror", body)).await?;
            ensure!(answer == at.to_be_bytes()[..], "call {at} is answered with {answer:?}");
        }
        Ok::<_, Failed>(())
    };
    stage.within(stage.limits().present * 4, "10,000 calls", all).await??;
    let left = |what: &str| format!("after {CALLS} calls no {what} is left");
    stage.until(&left("handler"), || running.now() == 0).await?;
    stage.until(&left("message"), || held.load(Ordering::SeqCst) == 0).await?;
    let tasks = Handle::current().metrics().num_alive_tasks();
    ensure!(tasks <= before + TASKS, "after {CALLS} calls there are {tasks} tasks, before them {before}");
    ensure!(running.ever() as u64 == CALLS, "{CALLS} calls ran {} times", running.ever());
    ensure!(world.proxy.accepted() == 1, "{CALLS} calls took {} connections", world.proxy.accepted());
    Ok(())
}
