//! The policies as tower layers, round a service that is no client.

use std::future::{Ready, poll_fn, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use micro_core::{Error, Kind};
use micro_rpc::resilience::{
    Backoff, Breaker, BreakerLayer, Budget, Concurrency, ConcurrencyLayer, DeadlineLayer, Hedge, HedgeLayer, Rate,
    RateLayer, Repeatable, RetryLayer,
};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

#[derive(Clone)]
struct Ask {
    idempotent: bool,
}

impl Repeatable for Ask {
    fn is_idempotent(&self) -> bool {
        self.idempotent
    }
}

const ONCE: Ask = Ask { idempotent: false };
const OFTEN: Ask = Ask { idempotent: true };

/// Fails the first times, and counts.
#[derive(Clone)]
struct Fails {
    times: u32,
    kind: Kind,
    calls: Arc<AtomicU32>,
}

impl Fails {
    fn new(times: u32, kind: Kind) -> Self {
        Self { times, kind, calls: Arc::default() }
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Service<Ask> for Fails {
    type Response = u32;
    type Error = Error;
    type Future = Ready<Result<u32, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Ask) -> Self::Future {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        ready(if call < self.times { Err(Error::new(self.kind, "told to fail")) } else { Ok(call) })
    }
}

/// Takes so long for its first call, and a tenth of that for the others.
#[derive(Clone)]
struct Slow(Duration, Arc<AtomicU32>);

impl Service<Ask> for Slow {
    type Response = u32;
    type Error = Error;
    type Future = BoxFuture<'static, Result<u32, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Ask) -> Self::Future {
        let call = self.1.fetch_add(1, Ordering::SeqCst);
        let took = if call == 0 { self.0 } else { self.0 / 10 };
        Box::pin(async move {
            tokio::time::sleep(took).await;
            Ok(call)
        })
    }
}

async fn ask<S: Service<Ask, Response = u32, Error = Error>>(service: &mut S, request: Ask) -> Result<u32, Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

fn retry(times: u32) -> RetryLayer {
    RetryLayer::new(times).backoff(Backoff::new(Duration::from_millis(1), Duration::from_millis(2)))
}

#[tokio::test(start_paused = true)]
async fn retries_repeat_what_may_run_twice_or_did_not_run() {
    for (kind, request, calls) in [
        (Kind::Unavailable, OFTEN, 3),
        (Kind::Unavailable, ONCE, 1),
        (Kind::Refused, ONCE, 3),
        (Kind::NotFound, OFTEN, 1),
    ] {
        let service = Fails::new(2, kind);
        let answer = ask(&mut retry(5).layer(service.clone()), request).await;
        assert_eq!((answer.is_ok(), service.calls()), (calls == 3, calls), "{kind:?}");
    }
    let service = Fails::new(9, Kind::Refused);
    let error = ask(&mut retry(2).layer(service.clone()), ONCE).await.unwrap_err();
    assert!(error.to_string().contains("tries 3"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn retries_end_with_their_budget() {
    let service = Fails::new(u32::MAX, Kind::Refused);
    let mut retrying = retry(100).budget(Budget::new(0.0)).layer(service.clone());
    let _ = ask(&mut retrying, ONCE).await;
    assert_eq!(service.calls(), 11, "ten to begin with");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_the_limit_of_all_tries() {
    let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
    let tries = RetryLayer::new(100).backoff(backoff).layer(Fails::new(99, Kind::Refused));
    let began = Instant::now();
    let error = ask(&mut DeadlineLayer::new(Duration::from_secs(3)).layer(tries), ONCE).await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed().as_secs()), (Kind::Timeout, 3));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_is_faster_than_the_first_answer_and_only_for_what_may_run_twice() {
    let layer = HedgeLayer::new(Hedge::after(Duration::from_millis(50)), Budget::default());
    for (request, millis) in [(OFTEN, 150), (ONCE, 1_000)] {
        let mut hedged = layer.layer(Slow(Duration::from_secs(1), Arc::default()));
        let began = Instant::now();
        ask(&mut hedged, request).await.unwrap();
        assert_eq!(began.elapsed().as_millis(), millis);
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_stands_before_a_service_that_only_fails() {
    let service = Fails::new(3, Kind::Unavailable);
    let mut guarded = BreakerLayer::new(Breaker::new().failures(3)).layer(service.clone());
    for _ in 0..10 {
        let _ = ask(&mut guarded, ONCE).await;
    }
    assert_eq!(service.calls(), 3);
    assert!(ask(&mut guarded, ONCE).await.unwrap_err().to_string().contains("breaker is open"));
    tokio::time::advance(Duration::from_secs(2)).await;
    ask(&mut guarded, ONCE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn limits_let_so_many_in_at_once_and_a_second() {
    let slow = || Slow(Duration::from_secs(1), Arc::new(AtomicU32::new(1)));
    let began = Instant::now();
    let at_once = ConcurrencyLayer::new(Concurrency::new(2)).layer(slow());
    join_all((0..6).map(|_| async { ask(&mut at_once.clone(), ONCE).await.unwrap() })).await;
    assert!((300..310).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let began = Instant::now();
    let even = RateLayer::new(Rate::per_second(10.0).burst(1)).layer(Fails::new(0, Kind::Unknown));
    join_all((0..6).map(|_| async { ask(&mut even.clone(), ONCE).await.unwrap() })).await;
    assert!((500..510).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}
