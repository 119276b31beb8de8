use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Memory;
use super::client::Client;
use crate::broker::{Message, Receipt, ReplyTo, Topic};
use crate::{Error, Kind, Result};

/// So many may wait for their reply at once, in one world.
const OPEN: usize = 65_536;

/// What a reply's address begins with.
const PREFIX: &str = "memory/";

/// The requests of a world that wait for their reply, by number.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<HashMap<u64, Waiting>>);

#[derive(Debug)]
struct Waiting {
    /// The address of the client: its disconnect ends them.
    client: usize,
    reply: oneshot::Sender<Message>,
}

/// A request that waits until this is dropped.
struct Open<'a> {
    requests: &'a Requests,
    number: u64,
    reply: oneshot::Receiver<Message>,
}

impl Requests {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, client: &Client) -> Result<Open<'_>> {
        // Counted over all worlds: what belongs to one means nothing in another.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut waiting = self.lock();
        if waiting.len() >= OPEN {
            let text = format!("{OPEN} requests wait for their replies already; wait for some of them before the next");
            return Err(Error::new(Kind::ResourceExhausted, text));
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (sender, reply) = oneshot::channel();
        waiting.insert(number, Waiting { client: std::ptr::from_ref(client).addr(), reply: sender });
        Ok(Open { requests: self, number, reply })
    }

    /// Gives up what a client waits for.
    pub(super) fn close(&self, client: &Client) {
        let client = std::ptr::from_ref(client).addr();
        self.lock().retain(|_, waiting| waiting.client != client);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.requests.lock().remove(&self.number);
    }
}

/// Publishes a request and waits for its reply.
pub(super) async fn request(
    client: &Arc<Client>,
    topic: &Topic,
    mut message: Message,
    within: Duration,
) -> Result<Message> {
    let capability = client.capability();
    if !capability.reply {
        return Err(Error::unsupported("memory", "requests"));
    }
    Memory::check(&message, &capability)?;
    let mut open = client.world.requests.open(client)?;
    // After the opening, so that a disconnect finds it or is seen here.
    client.check_open()?;
    message.headers.set(ReplyTo::HEADER, format!("{PREFIX}{}", open.number));
    if message.options().is_none_or(|options| options.ttl.is_none()) {
        message = message.ttl(within);
    }
    let answered = async {
        publish(client, topic, message).await?;
        match (&mut open.reply).await {
            Ok(reply) => Ok(reply),
            Err(_) => Err(Error::new(Kind::Closed, "the memory broker was disconnected while a request waited")),
        }
    };
    tokio::time::timeout(within, answered).await.unwrap_or_else(|_| {
        let text = format!("no reply came within {within:?}; whoever has the request may have handled it all the same");
        Err(Error::new(Kind::Timeout, text))
    })
}

/// Publishes if somebody listens, and waits for room before.
async fn publish(client: &Arc<Client>, topic: &Topic, message: Message) -> Result<()> {
    let nobody = || {
        let text = "nobody subscribes to the topic, so that nobody can reply; start the service that does";
        Error::new(Kind::NoResponder, text)
    };
    let Some(shared) = client.world.known(topic) else { return Err(nobody()) };
    loop {
        client.check_open()?;
        let room = {
            let mut state = shared.lock();
            if !state.live() {
                return Err(nobody());
            }
            let limit = client.limit();
            match state.full(limit) {
                Some(room) => room,
                None => {
                    state.append(message, SystemTime::now(), Instant::now(), limit)?;
                    state.appended(1, limit);
                    return Ok(());
                }
            }
        };
        room.notified().await;
    }
}

/// Gives a reply to the request that waits for it, if it still does.
pub(super) fn reply(client: &Client, to: &ReplyTo, message: Message) -> Result<Receipt> {
    let capability = client.capability();
    if !capability.reply {
        return Err(Error::unsupported("memory", "replies"));
    }
    if message.options().is_some() {
        return Err(Error::unsupported("memory", "a delay, a time to live, a partition or an id of a reply"));
    }
    message.check("memory", &capability)?;
    client.check_open()?;
    let number = std::str::from_utf8(to.as_bytes()).ok().and_then(|words| words.strip_prefix(PREFIX)?.parse().ok());
    let Some(number) = number else {
        let text = format!("{to:?} is no address of a reply in memory; take it from the delivery");
        return Err(Error::new(Kind::InvalidArgument, text));
    };
    let waiting = client.world.requests.lock().remove(&number);
    if let Some(waiting) = waiting {
        // It may have been given up at this moment; then the reply is late.
        let _ = waiting.reply.send(message);
    }
    Ok(Receipt::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Broker, SubscribeOptions};

    #[tokio::test]
    async fn a_request_that_is_over_or_dropped_leaves_nothing_behind() {
        let memory = Memory::new();
        memory.connect().await.unwrap();
        let topic = Topic::new("asked.in.vain").unwrap();
        let short = Duration::from_millis(20);
        let nobody = memory.request(&topic, Message::new("1"), short).await.unwrap_err();
        assert_eq!(nobody.kind(), Kind::NoResponder);
        assert!(memory.0.world.topics().is_empty(), "asking nobody makes no topic");
        let _subscription = memory.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
        let late = memory.request(&topic, Message::new("2"), short).await.unwrap_err();
        assert_eq!(late.kind(), Kind::Timeout);
        let dropped = tokio::time::timeout(short, memory.request(&topic, Message::new("3"), Duration::MAX)).await;
        assert!(dropped.is_err());
        assert_eq!(memory.0.world.requests.len(), 0);
    }

    #[tokio::test]
    async fn too_many_open_requests_are_refused() {
        let memory = Memory::new();
        memory.connect().await.unwrap();
        let world = &memory.0.world;
        let open: Vec<_> = (0..OPEN).map(|_| world.requests.open(&memory.0).unwrap()).collect();
        let error =
            memory.request(&Topic::new("too.many").unwrap(), Message::new(""), Duration::MAX).await.unwrap_err();
        assert_eq!(error.kind(), Kind::ResourceExhausted, "{error}");
        drop(open);
        assert_eq!(world.requests.len(), 0);
    }
}
