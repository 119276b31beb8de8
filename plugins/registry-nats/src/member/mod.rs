//! What a client does: it answers for its own nodes, tells what changes of them, and hears of those of others.

mod listen;
mod look;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use micro_core::registry::{Service, Unreadable, grouped};
use micro_tls::Connector;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::config::Config;
use crate::error::Failed;
use crate::gone::Gone;
use crate::link::Link;
use crate::message::{Action, Message, Sender};
use crate::own::{Own, key_of};
use crate::watch::{Watched, Watches};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) config: Config,
    tls: Option<Connector>,
    /// Tells what is ours from what others say.
    name: String,
    link: tokio::sync::Mutex<Option<Arc<Link>>>,
    state: Mutex<State>,
    unreadable: Unreadable,
    /// There is something to keep, or nothing any more.
    changed: Notify,
    /// Something may be over sooner than was thought.
    sooner: Notify,
}

#[derive(Debug, Default)]
struct State {
    own: Own,
    gone: Gone,
    watches: Watches,
    /// What waits to hear itself, by its number.
    waiting: HashMap<u64, oneshot::Sender<()>>,
    numbers: u64,
    /// When something may be over.
    due: Option<Instant>,
    /// The client was dropped: its nodes go.
    leaving: bool,
}

impl Member {
    pub(crate) fn new(config: Config) -> Self {
        let tls = config.tls.clone().map(|tls| Connector::new(tls, &[]));
        let name = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let unreadable = Unreadable::new("nats");
        let (link, state, changed, sooner) = Default::default();
        Self { config, tls, name, link, state, unreadable, changed, sooner }
    }

    /// Registers nodes, each a record of its own, or refreshes them. Done when the server has told everybody.
    pub(crate) async fn register(self: Arc<Self>, records: Vec<Service>, ttl: Duration) -> Result<(), Failed> {
        let link = self.link().await?;
        for record in &records {
            let sender = Sender::new(&self.name).numbered(u64::MAX).ttl(ttl);
            link.check_size(&json(&Message { action: Action::Create, service: Some(Cow::Borrowed(record)), sender })?)?;
        }
        for record in records {
            let (before, until) = self.lock().own.put(record.clone(), ttl);
            self.due_by(until);
            self.changed.notify_one();
            let is_new = before.is_none();
            if let Some(before) = before.filter(|before| before.version != record.version) {
                self.tell(&link, Action::Delete, &before, None).await?;
            }
            let told = self.tell(&link, Action::Create, &record, Some(ttl)).await;
            if told.is_err() && is_new {
                self.lock().own.remove(&key_of(&record), &record.version);
            }
            told?;
        }
        Ok(())
    }

    /// Takes nodes away, whoever registered them. Done when the server has told everybody.
    pub(crate) async fn deregister(self: Arc<Self>, records: Vec<Service>) -> Result<(), Failed> {
        for record in &records {
            // Whether anybody hears of it or not: we answer for it no more.
            self.lock().own.remove(&key_of(record), &record.version);
        }
        let link = self.link().await?;
        for record in &records {
            self.tell(&link, Action::Delete, record, None).await?;
        }
        Ok(())
    }

    /// Asks for a service, or for all.
    pub(crate) async fn services(self: Arc<Self>, service: Option<String>) -> Result<Vec<Service>, Failed> {
        let link = self.link().await?;
        let answers = self.ask(&link, service.as_deref()).await?;
        let by_key: HashMap<_, _> = answers.into_iter().map(|answer| (key_of(&answer.record), answer.record)).collect();
        let mut nodes: Vec<_> = by_key.into_iter().collect();
        nodes.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(grouped(nodes.into_iter().map(|(_, record)| record)))
    }

    /// Begins a watch of a service, or of all, that knows what there is.
    pub(crate) async fn watch(self: Arc<Self>, service: Option<String>) -> Result<Arc<Watched>, Failed> {
        let link = self.link().await?;
        let watched = Arc::new(Watched::new(service));
        let known = {
            let mut state = self.lock();
            let known = state.watches.like(&watched).map(|other| watched.know_as(&other)).is_some();
            // What changes while it is asked is heard already.
            state.watches.add(&watched);
            known
        };
        if !known {
            self.look(&link, watched.service.as_deref(), &[Arc::clone(&watched)]).await?;
            watched.known();
        }
        // The end of a link ends the watches that it finds.
        if link.is_over() { Err(Failed::Away("the connection ended".to_owned())) } else { Ok(watched) }
    }

    /// Ends the nodes soon: the client was dropped, though a watch may live on.
    pub(crate) fn leave(&self) {
        self.lock().leaving = true;
        self.changed.notify_one();
    }

    /// Takes all nodes away.
    pub(crate) async fn farewell(&self) {
        let records = self.lock().own.clear();
        let Some(link) = self.link.lock().await.clone().filter(|link| !link.is_over()) else { return };
        for record in &records {
            let _ = self.tell(&link, Action::Delete, record, None).await;
        }
    }

    /// Keeps a connection open for as long as there are nodes to answer for.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let (leaving, idle) = {
                let state = self.lock();
                (state.leaving, state.own.is_empty())
            };
            if leaving {
                self.farewell().await;
            }
            if leaving || idle {
                self.changed.notified().await;
                continue;
            }
            match self.link().await {
                Ok(link) => {
                    pause = FIRST_PAUSE;
                    tokio::select! {
                        () = link.over() => {}
                        () = self.changed.notified() => {}
                    }
                }
                Err(failed) => {
                    tracing::debug!(?failed, "the NATS registry cannot answer for its nodes now; it tries again");
                    sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    self.lock().own.expire(Instant::now());
                }
            }
        }
    }

    /// Returns the connection, opened if need be.
    async fn link(self: &Arc<Self>) -> Result<Arc<Link>, Failed> {
        let open = async {
            let mut slot = self.link.lock().await;
            if let Some(link) = slot.as_ref().filter(|link| !link.is_over()) {
                return Ok(Arc::clone(link));
            }
            let had = self.lock().own.keys();
            let (link, ears) = Link::open(&self.config, self.tls.as_ref(), &self.name).await?;
            let link = Arc::new(link);
            tokio::spawn(Arc::clone(self).listen(Arc::clone(&link), ears));
            tokio::spawn(Arc::clone(self).look_around(Arc::clone(&link), had));
            Ok(Arc::clone(slot.insert(link)))
        };
        timeout(self.config.timeout, open).await.unwrap_or(Err(Failed::Late))
    }

    /// Tells everybody, and waits until the server has.
    async fn tell(&self, link: &Link, action: Action, record: &Service, ttl: Option<Duration>) -> Result<(), Failed> {
        let (heard, hears) = oneshot::channel();
        let number = {
            let mut state = self.lock();
            state.numbers += 1;
            let number = state.numbers;
            state.waiting.retain(|_, waits| !waits.is_closed());
            state.waiting.insert(number, heard);
            number
        };
        let sender = Sender::new(&self.name).numbered(number);
        let sender = ttl.into_iter().fold(sender, Sender::ttl);
        let told = json(&Message { action, service: Some(Cow::Borrowed(record)), sender })?;
        link.publish(self.config.watch.clone(), told).await?;
        link.or_trouble(async { hears.await.map_err(|_| Failed::Late) }).await
    }

    fn due_by(&self, until: Instant) {
        self.lock().due_by(until);
        self.sooner.notify_one();
    }

    fn is_ours(&self, sender: &Sender) -> bool {
        sender.from.as_ref() == Some(&self.name)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn due_by(&mut self, until: Instant) {
        self.due = Some(self.due.map_or(until, |due| due.min(until)));
    }
}

fn json(message: &Message<'_>) -> Result<Vec<u8>, Failed> {
    serde_json::to_vec(message).map_err(|error| Failed::Setting(format!("a record is no JSON: {error}")))
}
