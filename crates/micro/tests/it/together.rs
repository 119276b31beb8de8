use bytes::Bytes;
use micro::prelude::*;
use tokio::sync::mpsc;

use crate::support::{LIMIT, service, unique};

// features: A8, B1, D11
#[tokio::test]
async fn two_services_of_one_process_call_each_other_by_name_and_by_event() {
    let (orders, warehouse, topic) = (unique("orders"), unique("warehouse"), unique("created"));
    let mut first = service(&orders).build().unwrap();
    let event = first.event::<Bytes>(&topic);
    first.handle(Endpoint::unary("Orders.Place", move |_: Context, order: Bytes| {
        let event = event.clone();
        async move {
            event.publish(&order).await?;
            Ok(order)
        }
    }));
    let mut second = service(&warehouse).build().unwrap();
    let (sender, mut shipped) = mpsc::unbounded_channel();
    second.subscribe(
        raw_subscriber(&topic, move |_: Context, message: micro::broker::Message| {
            let _ = sender.send(message.body);
            async { Ok(()) }
        })
        .queue("warehouse"),
    );
    let client = second.client();
    let (first, second) = (first.start().await.unwrap(), second.start().await.unwrap());

    let order = Bytes::from_static(b"order 7");
    assert_eq!(client.call::<Bytes, Bytes>(&orders, "Orders.Place", &order).await.unwrap(), order);
    let body = tokio::time::timeout(LIMIT, shipped.recv()).await.unwrap().unwrap();
    assert_eq!(body, order);
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_client_needs_no_running_service_of_its_own() {
    let name = unique("greeter");
    let mut server = service(&name).build().unwrap();
    server.handle(Endpoint::unary("Greeter.Greet", |_: Context, body: Bytes| async move { Ok(body) }));
    let running = server.start().await.unwrap();
    let client = service(&unique("client")).build().unwrap().client();
    let body = Bytes::from_static(b"John");
    assert_eq!(client.call::<Bytes, Bytes>(&name, "Greeter.Greet", &body).await.unwrap(), body);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_publisher_that_does_not_run_connects_by_itself() {
    let topic = unique("notices");
    let service = service(&unique("notifier")).build().unwrap();
    service.connect().await.unwrap();
    service.event::<Bytes>(&topic).publish(&Bytes::from_static(b"hello")).await.unwrap();
    service.broker().disconnect().await.unwrap();
}

#[tokio::test]
async fn services_that_share_a_broker_do_not_cut_each_other_off() {
    use micro::broker::{Broker, Memory};
    let topic = unique("shared");
    let broker: std::sync::Arc<dyn Broker> = std::sync::Arc::new(Memory::new());
    let first = service(&unique("first")).broker(std::sync::Arc::clone(&broker)).build().unwrap();
    let second = service(&unique("second")).broker(broker).build().unwrap();
    let event = second.event::<Bytes>(&topic);
    let (first, second) = (first.start().await.unwrap(), second.start().await.unwrap());
    first.stop().await.unwrap();
    event.publish(&Bytes::from_static(b"still there")).await.unwrap();
    second.stop().await.unwrap();
    assert!(event.publish(&Bytes::from_static(b"gone")).await.is_err(), "the last one disconnects it");
}

#[tokio::test]
async fn a_service_runs_in_a_task_of_its_own() {
    let name = unique("spawned");
    let service = service(&name).build().unwrap();
    let registry = service.registry();
    let task = tokio::spawn(service.run());
    crate::support::until("it is registered", async || !registry.get(&name).await.unwrap().is_empty()).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    crate::support::until("it is deregistered", async || registry.get(&name).await.unwrap().is_empty()).await;
}
