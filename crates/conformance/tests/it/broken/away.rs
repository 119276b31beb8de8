use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use micro_conformance::broker::Guarded;
use micro_core::broker::{Broker, Memory};
use micro_core::{Error, Kind, Result, Retry};

use super::front::Front;
use super::{Double, made};

/// A server that asks for an account, and what it says to the wrong one.
struct Guard {
    dialled: Arc<AtomicU64>,
    refuse: fn(&Arc<AtomicU64>) -> Result<()>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("dialled", &self.dialled).finish_non_exhaustive()
    }
}

impl Guarded for Guard {
    fn friend(&self) -> Arc<dyn Broker> {
        Arc::new(Memory::new())
    }

    fn passwords(&self) -> Vec<String> {
        vec!["let-me-in".to_owned(), "open-sesame".to_owned()]
    }

    fn stranger(&self) -> Arc<dyn Broker> {
        let (dialled, refuse) = (Arc::clone(&self.dialled), self.refuse);
        let connect = move || {
            dialled.fetch_add(1, Ordering::Relaxed);
            refuse(&dialled)
        };
        Arc::new(Front { connect: Arc::new(connect), ..Front::of(Memory::new()) })
    }

    fn dialled(&self) -> u64 {
        self.dialled.load(Ordering::Relaxed)
    }
}

fn wrong(kind: Kind) -> Error {
    Error::new(kind, "the password is wrong; look at the address")
}

fn guard(refuse: fn(&Arc<AtomicU64>) -> Result<()>) -> Arc<dyn Guarded> {
    Arc::new(Guard { dialled: Arc::default(), refuse })
}

pub(super) fn sound() -> Arc<dyn Guarded> {
    guard(|_| Err(wrong(Kind::Unauthenticated)))
}

fn guarded(case: &'static str, what: &'static str, guarded: fn() -> Arc<dyn Guarded>) -> Double {
    Double { guarded: Some(guarded), ..made(case, what, |world| Arc::new(Memory::shared(world))) }
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        guarded("B106", "lets everybody in", || guard(|_| Ok(()))),
        guarded("B106", "takes a refusal for an outage", || guard(|_| Err(wrong(Kind::Unavailable)))),
        guarded("B106", "says that trying again helps", || {
            guard(|_| Err(wrong(Kind::Unauthenticated).with_retry(Retry::Now)))
        }),
        guarded("B106", "dials on after the refusal", || {
            guard(|dialled| {
                let dialled = Arc::clone(dialled);
                tokio::spawn(async move {
                    for _ in 0..100 {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        dialled.fetch_add(1, Ordering::Relaxed);
                    }
                });
                Err(wrong(Kind::Unauthenticated))
            })
        }),
    ]
}
