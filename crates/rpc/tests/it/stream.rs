//! Streams between our own client and server.

use micro_core::Kind;

use crate::world::{Text, text, world};

// features: B2
#[tokio::test]
async fn one_message_is_answered_by_many_in_order() {
    let world = world().await;
    let request = text("1000");
    let call = world.client.server_stream::<Text, Text>("greeter", "Greeter.Count", &request);
    let mut numbers = call.address(&*world.address).await.unwrap();
    for i in 0..1000 {
        assert_eq!(numbers.recv().await.unwrap().unwrap().text, i.to_string());
    }
    assert!(numbers.recv().await.unwrap().is_none());
    assert!(numbers.recv().await.unwrap().is_none());
}

// features: B2
#[tokio::test]
async fn many_messages_are_answered_by_one() {
    let world = world().await;
    let call =
        world.client.client_stream::<Text, Text>("greeter", "Greeter.Join").address(&*world.address).await.unwrap();
    for word in ["a", "b", "c"] {
        call.send(&text(word)).await.unwrap();
    }
    assert_eq!(call.finish().await.unwrap().text, "a b c");
}

// features: B2
#[tokio::test]
async fn both_sides_talk_at_once_until_the_caller_ends() {
    let world = world().await;
    let mut call = world.client.stream::<Text, Text>("greeter", "Greeter.Chat").address(&*world.address).await.unwrap();
    for word in ["a", "b"] {
        call.send(&text(word)).await.unwrap();
        assert_eq!(call.recv().await.unwrap().unwrap().text, format!("re: {word}"));
    }
    call.close_send();
    assert!(call.recv().await.unwrap().is_none());
}

#[tokio::test]
async fn a_stream_that_fails_tells_the_receiver_why() {
    let world = world().await;
    let mut call = world.client.stream::<Text, Text>("greeter", "Greeter.Chat").address(&*world.address).await.unwrap();
    call.send(&text("fail")).await.unwrap();
    let error = call.recv().await.unwrap_err();
    assert_eq!((error.kind(), error.detail()), (Kind::Conflict, "told to fail"));
}
