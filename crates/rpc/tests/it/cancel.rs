//! What happens to a call that nobody waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use h2::Reason;
use micro_core::{Kind, Result};
use micro_rpc::{Endpoint, Receiver, Sender};

use crate::raw::{Raw, eventually, frame};
use crate::world::{Text, World, options, start, text};

/// Counts the handlers that run.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A service whose handlers never end by themselves.
async fn hanging() -> (World, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let (unary, stream) = (count.clone(), count.clone());
    let endpoints = vec![
        Endpoint::unary("Hang.Once", move |_, _: Text| {
            let running = Running::new(&unary);
            async move {
                let _running = running;
                std::future::pending::<Result<Text>>().await
            }
        }),
        Endpoint::stream("Hang.Stream", move |_, _: Receiver<Text>, _: Sender<Text>| {
            let running = Running::new(&stream);
            async move {
                let _running = running;
                std::future::pending::<Result<()>>().await
            }
        }),
    ];
    (start(options(), endpoints).await, count)
}

#[tokio::test]
async fn a_caller_that_gives_up_drops_the_handler() {
    let (world, count) = hanging().await;
    let (client, address) = (world.client.clone(), world.address.clone());
    let request = text("");
    let call =
        tokio::spawn(async move { client.call::<Text, Text>("s", "Hang.Once", &request).address(address).await });
    eventually("the handler runs", || count.load(Ordering::SeqCst) == 1).await;
    call.abort();
    eventually("the handler is dropped", || count.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn a_receiver_that_is_dropped_cancels_the_stream() {
    let (world, count) = hanging().await;
    let call = world.client.stream::<Text, Text>("s", "Hang.Stream").address(&*world.address).await.unwrap();
    let (sender, receiver) = call.split();
    eventually("the handler runs", || count.load(Ordering::SeqCst) == 1).await;
    drop(receiver);
    eventually("the handler is dropped", || count.load(Ordering::SeqCst) == 0).await;
    assert_eq!(sender.send(text("x")).await.unwrap_err().kind(), Kind::Cancelled);
}

#[tokio::test]
async fn a_reset_drops_the_handler() {
    let (world, count) = hanging().await;
    let mut raw = Raw::connect(&world.address).await;
    for path in ["/Hang/Once", "/Hang/Stream"] {
        let (_answer, mut stream) = raw.open(path, &[]).await;
        stream.send_data(frame(&text("")), false).unwrap();
        eventually("the handler runs", || count.load(Ordering::SeqCst) == 1).await;
        stream.send_reset(Reason::CANCEL);
        eventually("the handler is dropped", || count.load(Ordering::SeqCst) == 0).await;
    }
}

#[tokio::test]
async fn a_lost_connection_drops_its_handlers() {
    let (world, count) = hanging().await;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let address = world.address.clone();
    runtime.spawn(async move {
        let mut raw = Raw::connect(&address).await;
        let (answer, mut stream) = raw.open("/Hang/Once", &[]).await;
        stream.send_data(frame(&text("")), true).unwrap();
        let _ = answer.await;
    });
    eventually("the handler runs", || count.load(Ordering::SeqCst) == 1).await;
    runtime.shutdown_background();
    eventually("the handler is dropped", || count.load(Ordering::SeqCst) == 0).await;
    eventually("the connection is gone", || world.running.stats().connections() == 0).await;
}

#[tokio::test]
async fn a_sender_that_outlives_its_call_is_told() {
    let keep = Arc::new(std::sync::Mutex::new(None));
    let kept = keep.clone();
    let leak = Endpoint::server_stream("Leak.It", move |_, _: Text, sender: Sender<Text>| {
        *kept.lock().unwrap() = Some(sender);
        async { Ok(()) }
    });
    let world = start(options(), vec![leak]).await;
    let request = text("");
    let mut call =
        world.client.server_stream::<Text, Text>("s", "Leak.It", &request).address(&*world.address).await.unwrap();
    assert!(call.recv().await.unwrap().is_none());
    let sender = keep.lock().unwrap().take().unwrap();
    let send = tokio::time::timeout(Duration::from_secs(10), sender.send(text("late"))).await.unwrap();
    assert!(matches!(send.unwrap_err().kind(), Kind::Cancelled | Kind::Closed));
}
