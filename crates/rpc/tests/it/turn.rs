//! Calls that wait for their turn, or have too little time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use micro_rpc::{Endpoint, ServerOptions};

use crate::raw::{Raw, eventually, frame};
use crate::world::{Text, options, start, text};

/// A runtime of one thread, for handlers that block it.
struct Thread {
    handle: tokio::runtime::Handle,
    _stop: tokio::sync::oneshot::Sender<()>,
}

fn thread() -> Thread {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || runtime.block_on(async { stopped.await.ok() }));
    Thread { handle, _stop: stop }
}

#[tokio::test]
async fn a_server_with_time_to_spare_sheds_nothing() {
    let endpoint = Endpoint::unary("Work.Do", |_, request: Text| async move {
        // It waits, and others have their turn.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(request)
    });
    // A target that no call of a loaded server keeps.
    let world = start(options().shed(Duration::ZERO), vec![endpoint]).await;
    let mut raw = Raw::connect(&world.address).await;
    for _ in 0..5 {
        assert_eq!(raw.call("/Work/Do", &[], frame(&text("x"))).await.status().0, "0");
        tokio::time::sleep(Duration::from_millis(220)).await;
    }
}

#[tokio::test]
async fn a_call_whose_time_was_over_before_its_turn_is_not_begun() {
    let thread = thread();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let runs = Arc::new(AtomicU64::new(0));
    let count = runs.clone();
    let block = Endpoint::unary("Work.Block", move |_, request: Text| {
        wait.lock().unwrap().recv().unwrap();
        async move { Ok(request) }
    });
    let work = Endpoint::unary("Work.Do", move |_, request: Text| {
        count.fetch_add(1, Ordering::SeqCst);
        async move { Ok(request) }
    });
    let world = start(options().runtime(thread.handle.clone()), vec![block, work]).await;
    let mut raw = Raw::connect(&world.address).await;
    let (first, mut stream) = raw.open("/Work/Block", &[]).await;
    stream.send_data(frame(&text("x")), true).unwrap();
    let (second, mut stream) = raw.open("/Work/Do", &[("grpc-timeout", "20m")]).await;
    stream.send_data(frame(&text("x")), true).unwrap();
    let stats = world.running.stats();
    eventually("both are here", || stats.in_flight() == 2).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    go.send(()).unwrap();
    assert_eq!(first.await.unwrap().status().0, "0");
    let second = second.await.unwrap();
    assert_eq!((second.status().0, second.get("micro-not-run")), ("4", "1"));
    assert!(second.status().1.contains("\"code\":408"), "{:?}", second.status());
    assert!(second.status().1.contains("the 20ms that the caller gave Work.Do were over"), "{:?}", second.status());
    assert_eq!((runs.load(Ordering::SeqCst), stats.refused()), (0, 1));
}

/// Calls an endpoint that always takes 100 ms: often enough to be known, then twice with 20 ms. Returns how often it ran
/// for the last two, and the last answer.
async fn hopeless(options: ServerOptions) -> (u64, String) {
    let runs = Arc::new(AtomicU64::new(0));
    let count = runs.clone();
    let endpoint = Endpoint::unary("Work.Slow", move |_, request: Text| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(request)
        }
    });
    let world = start(options, vec![endpoint]).await;
    let mut raw = Raw::connect(&world.address).await;
    let mut answers = Vec::new();
    for _ in 0..20 {
        let (answer, mut stream) = raw.open("/Work/Slow", &[]).await;
        stream.send_data(frame(&text("x")), true).unwrap();
        answers.push(answer);
    }
    assert!(join_all(answers).await.into_iter().all(|answer| answer.unwrap().status().0 == "0"));
    let mut status = String::new();
    for _ in 0..2 {
        let answer = raw.call("/Work/Slow", &[("grpc-timeout", "20m")], frame(&text("x"))).await;
        assert_eq!(answer.status().0, "4", "{:?}", answer.status());
        status = answer.status().1.to_owned();
    }
    (runs.load(Ordering::SeqCst) - 20, status)
}

#[tokio::test]
async fn a_call_with_less_time_than_its_endpoint_ever_took_is_not_begun() {
    let (runs, status) = hopeless(options()).await;
    // The first is begun, to see whether the endpoint has become faster.
    assert_eq!(runs, 1);
    assert!(status.contains("Work.Slow cannot be done in the"), "{status}");
}

#[tokio::test]
async fn a_server_that_refuses_no_late_calls_begins_them() {
    let (runs, status) = hopeless(options().refuse_late(false)).await;
    assert_eq!(runs, 2);
    assert!(status.contains("did not finish within the 20ms"), "{status}");
}
