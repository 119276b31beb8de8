use std::time::Duration;

use bytes::Bytes;
use micro::prelude::*;
use micro_faults::Etcd;

use crate::support::{service, unique, until};

// features: C3, C6
#[tokio::test]
async fn services_find_each_other_by_etcd_also_after_it_was_killed_and_lost_everything() {
    let (server, name) = (Etcd::start().unwrap(), unique("greeter"));
    let address = format!("etcd://{}", server.address());
    let beats = |name: &str| {
        let (ttl, interval) = (Duration::from_secs(20), Duration::from_millis(200));
        service(name).registry(address.as_str()).register(ttl, interval)
    };
    let mut greeter = beats(&name).build().unwrap();
    greeter.handle(Endpoint::unary("Greeter.Greet", |_: Context, body: Bytes| async move { Ok(body) }));
    let caller = beats(&unique("caller")).build().unwrap();
    let (client, registry) = (caller.client(), caller.registry());
    assert_eq!(registry.name(), "etcd");
    let (greeter, body) = (greeter.start().await.unwrap(), Bytes::from_static(b"John"));
    let call = async || client.call::<Bytes, Bytes>(&name, "Greeter.Greet", &body).await;
    assert_eq!(call().await.unwrap(), body);

    server.kill();
    assert_eq!(call().await.unwrap(), body, "what is known is called while the registry is away");
    server.restart_empty().unwrap();
    until("it is registered again", async || registry.get(&name).await.is_ok_and(|found| found.len() == 1)).await;
    until("it is called again", async || call().await.is_ok()).await;

    greeter.stop().await.unwrap();
    assert_eq!(registry.get(&name).await.unwrap(), []);
}
