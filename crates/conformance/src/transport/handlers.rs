//! The methods that many cases call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::Method;

/// Counts the handlers that run, and those that ever began.
#[derive(Debug, Clone, Default)]
pub(super) struct Running(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    now: AtomicUsize,
    ever: AtomicUsize,
}

/// Counts one until it is dropped.
#[derive(Debug)]
pub(super) struct Guard(Running);

impl Running {
    pub(super) fn begin(&self) -> Guard {
        self.0.now.fetch_add(1, Ordering::SeqCst);
        self.0.ever.fetch_add(1, Ordering::SeqCst);
        Guard(self.clone())
    }

    pub(super) fn now(&self) -> usize {
        self.0.now.load(Ordering::SeqCst)
    }

    pub(super) fn ever(&self) -> usize {
        self.0.ever.load(Ordering::SeqCst)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// `Suite.Echo`: answers with what it gets.
pub(super) fn echo() -> Method {
    Method::unary("Suite.Echo", |_, body| async move { Ok(body) })
}

/// `Suite.Hang`: never answers by itself.
pub(super) fn hang(running: &Running) -> Method {
    let running = running.clone();
    Method::unary("Suite.Hang", move |_, _| {
        let guard = running.begin();
        async move {
            let _guard = guard;
            std::future::pending().await
        }
    })
}

/// `Suite.Sleep`: answers after so many milliseconds, with the number.
pub(super) fn sleep(running: &Running) -> Method {
    let running = running.clone();
    Method::unary("Suite.Sleep", move |_, body| {
        let guard = running.begin();
        async move {
            let _guard = guard;
            tokio::time::sleep(Duration::from_millis(number(&body))).await;
            Ok(body)
        }
    })
}

/// `Suite.Count`: sends the numbers below the one that it gets.
pub(super) fn count() -> Method {
    Method::server_stream("Suite.Count", |_, body, out| async move {
        for at in 0..number(&body) {
            out.send(text(at)).await?;
        }
        Ok(())
    })
}

/// `Suite.Chat`: answers each message with itself.
pub(super) fn chat(running: &Running) -> Method {
    let running = running.clone();
    Method::stream("Suite.Chat", move |_, mut messages, out| {
        let guard = running.begin();
        async move {
            let _guard = guard;
            while let Some(message) = messages.recv().await? {
                out.send(message).await?;
            }
            Ok(())
        }
    })
}

/// A number as a body.
pub(super) fn text(number: u64) -> Bytes {
    number.to_string().into()
}

/// A body as a number; zero if it is none.
pub(super) fn number(body: &[u8]) -> u64 {
    std::str::from_utf8(body).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}
