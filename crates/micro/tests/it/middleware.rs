//! Middleware of a service: round what it answers, what it calls and what it hears of.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use micro::middleware::{Middleware, Next, Request, from_fn};
use micro::prelude::*;

use crate::support::{service, unique, until};

type Seen = Arc<Mutex<Vec<String>>>;

fn noting(seen: &Seen, who: &'static str) -> impl Middleware {
    let seen = Arc::clone(seen);
    from_fn(move |context: Context, request: Request, next: Next| {
        seen.lock().unwrap().push(format!("{who} {:?} {}", request.side(), request.name()));
        async move { next.run(context, request).await }
    })
}

// features: B11
#[tokio::test]
async fn the_middleware_of_a_service_is_round_its_handlers_its_events_and_its_calls() {
    let (name, topic, seen) = (unique("layered"), unique("said"), Seen::default());
    let mut service = service(&name)
        .layer(noting(&seen, "both"))
        .server_layer(noting(&seen, "server"))
        .event_layer(noting(&seen, "event"))
        .client_layer(noting(&seen, "client"))
        .build()
        .unwrap();
    let event = service.event::<Bytes>(&topic);
    service.handle(Endpoint::unary("Talker.Say", move |_: Context, body: Bytes| {
        let event = event.clone();
        async move { event.publish(&body).await.map(|_| body) }
    }));
    let handled = Arc::clone(&seen);
    let hear = move |_: Context, _: Bytes| {
        handled.lock().unwrap().push("heard".to_owned());
        std::future::ready(Ok(()))
    };
    service.subscribe(subscriber(&topic, hear).queue("ears"));
    let client = service.client();
    let running = service.start().await.unwrap();
    client.call::<Bytes, Bytes>(&name, "Talker.Say", &Bytes::from_static(b"hi")).await.unwrap();
    until("it is heard", async || seen.lock().unwrap().len() >= 6).await;
    let expected = [
        "client Client Talker.Say".to_owned(),
        "both Server Talker.Say".into(),
        "server Server Talker.Say".into(),
        format!("both Event {topic}"),
        format!("event Event {topic}"),
        "heard".into(),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
    running.stop().await.unwrap();
}
