//! Where calls and handlers run.

use micro_rpc::{Client, Endpoint};

use crate::world::{Text, options, start, text};

fn thread() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_handler_runs_on_a_core_and_its_call_comes_back_to_it() {
    let (client, who) = (Client::default(), Endpoint::unary("Who.Runs", |_, _: Text| async { Ok(text(thread())) }));
    let there = start(options(), vec![who]).await;
    let address = there.address.clone();
    let hop = Endpoint::unary("Hop.Runs", move |_, request: Text| {
        let (client, address) = (client.clone(), address.clone());
        async move {
            let before = thread();
            client.call::<Text, Text>("s", "Who.Runs", &request).address(address).await?;
            assert_eq!(before, thread());
            Ok(text(before))
        }
    });
    let here = start(options(), vec![hop]).await;
    let answer: Text = here.client.call("s", "Hop.Runs", &text("")).address(&*here.address).await.unwrap();
    assert!(answer.text.starts_with("micro-core-"), "{}", answer.text);
}

#[tokio::test]
async fn handlers_run_on_a_runtime_of_ones_own_where_asked() {
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("own").enable_all().build().unwrap();
    let who = Endpoint::unary("Who.Runs", |_, _: Text| async { Ok(text(thread())) });
    let world = start(options().runtime(runtime.handle().clone()), vec![who]).await;
    let answer: Text = world.client.call("s", "Who.Runs", &text("")).address(&*world.address).await.unwrap();
    assert_eq!(answer.text, "own");
    runtime.shutdown_background();
}

#[test]
fn a_call_needs_no_runtime_of_the_callers() {
    let answer = futures_executor(async {
        let who = Endpoint::unary("Who.Runs", |_, _: Text| async { Ok(text(thread())) });
        let world = start(options(), vec![who]).await;
        world.client.call::<Text, Text>("s", "Who.Runs", &text("")).address(&*world.address).await.unwrap().text
    });
    assert!(answer.starts_with("micro-core-"), "{answer}");
}

#[test]
fn a_call_through_middleware_needs_no_runtime_of_the_callers_either() {
    let answer = futures_executor(async {
        let who = Endpoint::unary("Who.Runs", |_, _: Text| async { Ok(text(thread())) });
        let world = start(options(), vec![who]).await;
        // It needs a clock.
        let layer = micro_core::middleware::timeout(std::time::Duration::from_secs(60));
        let client = Client::builder().layer(layer).build();
        client.call::<Text, Text>("s", "Who.Runs", &text("")).address(&*world.address).await.unwrap().text
    });
    assert!(answer.starts_with("micro-core-"), "{answer}");
}

/// Runs a future on this thread, with nothing of tokio's.
pub(crate) fn futures_executor<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn cores_cannot_be_changed_once_they_run() {
    assert!(micro_rpc::set_cores(0).is_err());
    drop(micro_rpc::spawn(async {}));
    let error = micro_rpc::set_cores(4096).unwrap_err();
    assert!(error.to_string().contains("4096 cores cannot be set"), "{error}");
}
