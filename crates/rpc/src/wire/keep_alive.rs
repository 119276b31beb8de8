//! Finds peers that are gone without a word: a ping now and then, and a limit for its answer.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use h2::{Ping, PingPong};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How often to ask, and how long to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeepAlive {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

/// What a connection heard from its peer, counted by those who read its streams.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    count: AtomicU64,
    doubted: Notify,
}

/// grpc-go takes three pings without data between them for an attack if they come closer than this.
const GO_PATIENCE: Duration = Duration::from_secs(300);

impl Heard {
    pub(crate) fn note(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Asks for a ping now: a call had no answer in time.
    pub(crate) fn doubt(&self) {
        self.doubted.notify_one();
    }
}

impl KeepAlive {
    /// Pings a server's client at every interval; returns when an answer is late.
    pub(crate) async fn watch_client(self, mut pings: PingPong) {
        loop {
            sleep(self.interval).await;
            if !self.answers(&mut pings).await {
                return;
            }
        }
    }

    /// Pings a client's server when it was silent for an interval while `waits` says that calls wait for it, or when
    /// asked to; returns when an answer is late. `answered` hears of every answer.
    pub(crate) async fn watch_server(
        self,
        mut pings: PingPong,
        heard: &Heard,
        waits: impl Fn() -> bool,
        answered: impl Fn(),
    ) {
        let (mut last, mut pings_since) = (heard.count(), 0);
        loop {
            let pause = if pings_since < 2 { self.interval } else { self.interval.max(GO_PATIENCE) };
            let doubted = timeout(pause, heard.doubted.notified()).await.is_ok();
            let now = heard.count();
            if now != last {
                (last, pings_since) = (now, 0);
                if !doubted {
                    continue;
                }
            }
            if !doubted && !waits() {
                continue;
            }
            // Beyond two pings without data the kernel's own limit (TCP_USER_TIMEOUT) has to do.
            if !doubted || pings_since < 2 {
                if !self.answers(&mut pings).await {
                    return;
                }
                pings_since += 1;
            }
            answered();
        }
    }

    async fn answers(self, pings: &mut PingPong) -> bool {
        let asked = Instant::now();
        let mut answer = pin!(pings.ping(Ping::opaque()));
        loop {
            match timeout(self.timeout.saturating_sub(asked.elapsed()), answer.as_mut()).await {
                Ok(answer) => return answer.is_ok(),
                // A test moved the clock of this runtime on: the peer has its whole time all the same.
                Err(_) if asked.elapsed() < self.timeout => {}
                Err(_) => return false,
            }
        }
    }
}
