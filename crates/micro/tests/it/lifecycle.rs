use std::sync::{Arc, Mutex};

use bytes::Bytes;
use micro::prelude::*;
use micro::{Error, Kind};

use crate::support::{service, unique};

fn echo() -> Endpoint {
    Endpoint::unary("Echo.Say", |_: Context, body: Bytes| async move { Ok(body) })
}

// features: A1, A4, A5
#[tokio::test]
async fn hooks_run_in_order_around_registration() {
    let name = unique("hooked");
    let mut service = service(&name).build().unwrap();
    service.handle(echo());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let registry = service.registry();
    let note = |what: &'static str| {
        let (seen, registry, name) = (Arc::clone(&seen), Arc::clone(&registry), name.clone());
        move || async move {
            let nodes: usize = registry.get(&name).await?.iter().map(|record| record.nodes.len()).sum();
            seen.lock().unwrap().push(format!("{what}: {nodes} registered"));
            Ok(())
        }
    };
    service
        .before_start(note("before start"))
        .after_start(note("after start"))
        .before_stop(note("before stop"))
        .after_stop(note("after stop"))
        .after_stop(note("after stop, second"));
    service.start().await.unwrap().stop().await.unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        [
            "before start: 0 registered",
            "after start: 1 registered",
            "before stop: 1 registered",
            "after stop: 0 registered",
            "after stop, second: 0 registered"
        ]
    );
}

// features: A1, A4, C8
#[tokio::test]
async fn a_running_service_is_registered_as_go_micro_does_it() {
    let name = unique("recorded");
    let mut service = service(&name).version("1.2.0").id("7").metadata("zone", "a").build().unwrap();
    service.handle(echo());
    let topic = unique("orders");
    service.subscribe(raw_subscriber(&topic, |_: Context, _: micro::broker::Message| async { Ok(()) }));
    let registry = service.registry();
    let running = service.start().await.unwrap();

    let records = registry.get(&name).await.unwrap();
    assert_eq!(records, [running.record().clone()]);
    let (record, node) = (&records[0], &records[0].nodes[0]);
    assert_eq!((&*record.version, &*node.id), ("1.2.0", &*format!("{name}-7")));
    assert_eq!(node.address, running.address().to_string());
    assert_eq!(
        (&*node.metadata["zone"], &*node.metadata["broker"], &*node.metadata["protocol"]),
        ("a", "memory", "grpc")
    );
    // Debug is there, but nobody's business.
    assert_eq!(record.endpoints.iter().map(|endpoint| &*endpoint.name).collect::<Vec<_>>(), ["Echo.Say", "Func"]);
    assert_eq!(record.endpoints[1].metadata["topic"], topic);
    running.stop().await.unwrap();
    assert!(registry.get(&name).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_failing_hook_before_the_start_opens_nothing() {
    let name = unique("unwilling");
    let mut service = service(&name).build().unwrap();
    service.before_start(|| async { Err(Error::new(Kind::FailedPrecondition, "no licence")) });
    let registry = service.registry();
    let error = service.start().await.unwrap_err();
    assert_eq!(error.to_string(), "no licence");
    assert!(registry.get(&name).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_failing_hook_after_the_start_closes_what_was_opened() {
    let name = unique("regretful");
    let mut service = service(&name).build().unwrap();
    service.handle(echo()).after_start(|| async { Err(Error::new(Kind::Unavailable, "no cache")) });
    let registry = service.registry();
    assert_eq!(service.start().await.unwrap_err().to_string(), "no cache");
    assert!(registry.get(&name).await.unwrap().is_empty());
}

#[tokio::test]
async fn every_hook_of_the_stop_runs_even_if_one_fails() {
    let mut service = service(&unique("stubborn")).build().unwrap();
    let done = Arc::new(Mutex::new(0));
    let count = || {
        let done = Arc::clone(&done);
        move || async move {
            *done.lock().unwrap() += 1;
            Err(Error::new(Kind::Internal, "hook"))
        }
    };
    service.before_stop(count()).before_stop(count()).after_stop(count());
    let running = service.start().await.unwrap();
    assert_eq!(running.stop().await.unwrap_err().to_string(), "hook");
    assert_eq!(*done.lock().unwrap(), 3);
}

// features: B13
#[tokio::test]
async fn a_handler_that_panics_is_a_500_and_the_service_lives() {
    let name = unique("nervous");
    let mut service = service(&name).build().unwrap();
    service.handle(echo());
    service.handle(Endpoint::unary("Echo.Panic", |_: Context, body: Bytes| async move {
        assert!(body.is_empty(), "not empty");
        Ok(body)
    }));
    let client = service.client();
    let running = service.start().await.unwrap();
    let body = Bytes::from_static(b"x");
    let error = client.call::<Bytes, Bytes>(&name, "Echo.Panic", &body).await.unwrap_err();
    assert_eq!(error.code(), 500);
    assert!(error.detail().contains("panic recovered: not empty"), "{error}");
    assert_eq!(client.call::<Bytes, Bytes>(&name, "Echo.Say", &body).await.unwrap(), body);
    running.stop().await.unwrap();
}
