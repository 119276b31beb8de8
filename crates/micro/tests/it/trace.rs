use bytes::Bytes;
use micro::broker::Message;
use micro::prelude::*;
use tokio::sync::mpsc;

use crate::support::{LIMIT, service, unique};

fn trace_of(traceparent: &[u8]) -> String {
    let text = String::from_utf8(traceparent.to_vec()).unwrap();
    let parts: Vec<_> = text.split('-').collect();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2], "{text}");
    parts[1].to_owned()
}

// The spans of this process go to `Debug.Trace`, so that tracing is on.
#[tokio::test]
async fn one_trace_goes_from_the_edge_through_calls_and_events() {
    let (front, back, topic) = (unique("front"), unique("back"), unique("placed"));
    let mut last = service(&back).build().unwrap();
    last.handle(Endpoint::unary("Back.Trace", |context: Context, _: Bytes| async move {
        Ok(context.metadata().get_bytes("traceparent").cloned().unwrap_or_default())
    }));
    let (sender, mut heard) = mpsc::unbounded_channel();
    last.subscribe(raw_subscriber(&topic, move |_: Context, message: Message| {
        let _ = sender.send(message.headers.get_bytes("traceparent").cloned().unwrap_or_default());
        async { Ok(()) }
    }));
    let mut first = service(&front).build().unwrap();
    let (client, event, name) = (first.client(), first.event::<Bytes>(&topic), back.clone());
    first.handle(Endpoint::unary("Front.Trace", move |context: Context, body: Bytes| {
        let (client, event, name) = (client.clone(), event.clone(), name.clone());
        async move {
            event.publish(&body).await?;
            let theirs = client.call::<Bytes, Bytes>(&name, "Back.Trace", &body).await?;
            let own = context.metadata().get_bytes("traceparent").cloned().unwrap_or_default();
            Ok(Bytes::from([&own[..], b" ", &theirs[..]].concat()))
        }
    }));
    let edge = service(&unique("edge")).build().unwrap().client();
    let (last, first) = (last.start().await.unwrap(), first.start().await.unwrap());

    let answer = edge.call::<Bytes, Bytes>(&front, "Front.Trace", &Bytes::from_static(b"x")).await.unwrap();
    let mut hops = answer.split(|byte| *byte == b' ');
    let (one, two) = (hops.next().unwrap(), hops.next().unwrap());
    let event = tokio::time::timeout(LIMIT, heard.recv()).await.unwrap().unwrap();
    assert_ne!(one, two, "each hop has a span of its own");
    assert_eq!((trace_of(one), trace_of(one)), (trace_of(two), trace_of(&event)));
    first.stop().await.unwrap();
    last.stop().await.unwrap();
}
