use std::sync::{Arc, Mutex};
use std::time::Duration;

use micro_core::broker::{Broker, Memory, Message, Topic};
use micro_core::{Error, Kind, Result};

use super::{Double, Tamper, tampered};

/// Changes how requests fail.
fn fails(change: fn(Error) -> Error) -> Tamper {
    let request = move |memory: Memory, topic: Topic, message: Message, within: Duration| {
        let asked = async move { memory.request(&topic, message, within).await.map_err(change) };
        Box::pin(asked) as futures_util::future::BoxFuture<'static, Result<Message>>
    };
    Tamper { request: Some(Box::new(request)), ..Tamper::default() }
}

/// Changes how long requests wait.
fn waits(change: fn(Duration) -> Duration) -> Tamper {
    let request = move |memory: Memory, topic: Topic, message: Message, within: Duration| {
        let asked = async move { memory.request(&topic, message, change(within)).await };
        Box::pin(asked) as futures_util::future::BoxFuture<'static, Result<Message>>
    };
    Tamper { request: Some(Box::new(request)), ..Tamper::default() }
}

fn of_kind(error: Error, from: Kind, to: Kind) -> Error {
    if error.kind() == from { Error::new(to, "as if") } else { error }
}

/// Gives each the reply that came before its own.
fn swaps() -> Tamper {
    let before = Mutex::new(None);
    let swap = move |message: Message| before.lock().unwrap().replace(message.clone()).unwrap_or(message);
    Tamper { reply: Some(Box::new(swap)), ..Tamper::default() }
}

/// Keeps the first reply after a request that was in vain, for the next request.
fn keeps_what_is_late() -> Tamper {
    let vain = Arc::new(Mutex::new(false));
    let kept = Arc::new(Mutex::new(None::<Message>));
    let (in_vain, late) = (Arc::clone(&vain), Arc::clone(&kept));
    let request = move |memory: Memory, topic: Topic, message: Message, within: Duration| {
        let (in_vain, late) = (Arc::clone(&in_vain), Arc::clone(&late));
        let asked = async move {
            let outcome = memory.request(&topic, message, within).await;
            *in_vain.lock().unwrap() |= outcome.as_ref().is_err_and(|error| error.kind() == Kind::Timeout);
            let late = late.lock().unwrap().take();
            late.map_or(outcome, Ok)
        };
        Box::pin(asked) as futures_util::future::BoxFuture<'static, Result<Message>>
    };
    let reply = move |message: Message| {
        if std::mem::take(&mut *vain.lock().unwrap()) {
            *kept.lock().unwrap() = Some(message.clone());
        }
        message
    };
    Tamper { request: Some(Box::new(request)), reply: Some(Box::new(reply)), ..Tamper::default() }
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        tampered("B124", "gives each the reply before its own", swaps),
        tampered("B124", "loses the headers of replies", || {
            let bare = |message: Message| Message::new(message.body);
            Tamper { reply: Some(Box::new(bare)), ..Tamper::default() }
        }),
        tampered("B125", "never says that nobody is there", || {
            fails(|error| of_kind(error, Kind::NoResponder, Kind::Timeout))
        }),
        tampered("B125", "takes silence for nobody", || {
            fails(|error| of_kind(error, Kind::Timeout, Kind::NoResponder))
        }),
        tampered("B125", "waits for ever", || waits(|_| Duration::MAX)),
        tampered("B125", "gives up early", || waits(|within| within / 4)),
        tampered("B125", "gives a late reply to the next request", keeps_what_is_late),
    ]
}
