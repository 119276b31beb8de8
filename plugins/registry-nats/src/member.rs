//! What a client does: it answers for its own nodes, tells what changes of them, and hears of those of others.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use micro_core::registry::{Service, Unreadable, grouped};
use micro_tls::Connector;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::Config;
use crate::error::Failed;
use crate::gone::Gone;
use crate::link::{Ears, Link};
use crate::message::{Action, Answer, Message, Sender, key};
use crate::own::{Own, key_of};
use crate::watch::{ROUND, Watched, Watches};

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
    /// Something is to be done sooner than was thought.
    changed: Notify,
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

/// What somebody answered.
struct Answered {
    record: Service,
    sender: Sender,
}

impl Member {
    pub(crate) fn new(config: Config) -> Self {
        let tls = config.tls.clone().map(|tls| Connector::new(tls, &[]));
        let name = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let unreadable = Unreadable::new("nats");
        let (link, state, changed) = Default::default();
        Self { config, tls, name, link, state, unreadable, changed }
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
            self.lock().due_by(until);
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

    /// Hears and answers until the link is over, and then ends the watches: what they miss they would not know.
    async fn listen(self: Arc<Self>, link: Arc<Link>, mut ears: Ears) {
        loop {
            let due = self.lock().due;
            tokio::select! {
                biased;
                () = link.over() => break,
                told = ears.told.next() => match told {
                    Some(told) => self.hear(&told.payload),
                    None => break,
                },
                // After what was told before it: who asks after a change is told of that.
                asked = ears.asked.next() => match asked {
                    Some(asked) => {
                        if let Some(to) = asked.reply {
                            self.answer(&link, &asked.payload, &to).await;
                        }
                    }
                    None => break,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.expire(&link).await,
            }
        }
        let error = Failed::Away("the connection ended".to_owned()).error(&self.config, "registry.watch");
        self.lock().watches.end(&error);
        self.changed.notify_one();
    }

    /// Asks what is watched again and again, and at first whether somebody else has by now what we had.
    async fn look_around(self: Arc<Self>, link: Arc<Link>, had: Vec<String>) {
        self.come_back(&link, had).await;
        loop {
            let wait = ROUND.mul_f64(0.9 + fastrand::f64() / 5.0);
            tokio::select! {
                () = link.over() => return,
                () = sleep(wait) => {}
                () = link.missed.notified() => {}
            }
            let watches: Vec<_> = self.lock().watches.all().collect();
            let services: BTreeSet<_> = match watches.iter().any(|watched| watched.service.is_none()) {
                true => [None].into(),
                false => watches.iter().map(|watched| watched.service.as_deref()).collect(),
            };
            for service in services {
                if let Err(failed) = self.look(&link, service, &watches).await {
                    tracing::debug!(?failed, "the NATS registry cannot ask what it watches now; it tries again");
                }
            }
        }
    }

    /// Says that we are here with the nodes that we had, but for those that somebody else has by now.
    async fn come_back(&self, link: &Link, had: Vec<String>) {
        let services: BTreeSet<_> =
            had.iter().filter_map(|key| self.lock().own.record(key)).map(|(r, _)| r.name).collect();
        for service in services {
            for answer in self.ask(link, Some(&service)).await.unwrap_or_default() {
                if !self.is_ours(&answer.sender) {
                    self.lock().own.superseded(&key_of(&answer.record));
                }
            }
        }
        for key in had {
            // As it is now: it may have gone meanwhile.
            let still = self.lock().own.record(&key);
            if let Some((record, left)) = still {
                let _ = self.tell(link, Action::Create, &record, Some(left)).await;
            }
        }
    }

    /// Asks for a service, or for all, and tells the watches that it is for.
    async fn look(&self, link: &Link, service: Option<&str>, watches: &[Arc<Watched>]) -> Result<(), Failed> {
        let asked = Instant::now();
        for Answered { record, sender } in self.ask(link, service).await? {
            for watched in watches.iter().filter(|watched| watched.is_of(&record.name)) {
                if let Some(until) = watched.answered(&record, sender.get_ttl(), asked) {
                    self.lock().due_by(until);
                }
            }
        }
        self.changed.notify_one();
        Ok(())
    }

    /// Returns what is answered, one node a record, but for what is known to be gone.
    async fn ask(&self, link: &Link, service: Option<&str>) -> Result<Vec<Answered>, Failed> {
        let asked = Instant::now();
        let question = Message {
            action: if service.is_some() { Action::Get } else { Action::List },
            service: service.map(|service| Cow::Owned(Service::new(service, ""))),
            sender: Sender::new(&self.name),
        };
        let answers = link.ask(json(&question)?).await?;
        let mut found = Vec::new();
        for answer in answers {
            let Some(record) = self.unreadable.read(service.unwrap_or(&self.config.query), &answer) else { continue };
            if service.is_some_and(|service| service != record.name) {
                continue;
            }
            let sender = Sender::of(&answer);
            let state = self.lock();
            for node in &record.nodes {
                // go-micro's programs answer for what they deregistered.
                let is_told = sender.get_ttl().is_none();
                if !state.gone.is_gone(&key(&record.name, &node.id), &record.version, asked, is_told) {
                    found.push(Answered { record: record.with_only(node.clone()), sender: sender.clone() });
                }
            }
        }
        Ok(found)
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

    fn hear(&self, told: &Bytes) {
        let at = self.config.watch.as_str();
        let Ok(Message { action, service: Some(service), sender }) = serde_json::from_slice::<Message<'_>>(told) else {
            self.unreadable.leave_out::<()>(at, &"it is no message of a registry");
            return;
        };
        let (ours, now) = (self.is_ours(&sender), Instant::now());
        let mut state = self.lock();
        for node in &service.nodes {
            let (key, record) = (key(&service.name, &node.id), service.with_only(node.clone()));
            match action {
                Action::Create | Action::Update => {
                    if !ours {
                        state.own.superseded(&key);
                    }
                    state.gone.came(&key);
                    let watches: Vec<_> = state.watches.of(&service.name).collect();
                    for watched in watches {
                        state.due_by(watched.hear(&record, sender.get_ttl()));
                    }
                }
                Action::Delete => {
                    if !ours {
                        state.own.remove(&key, &service.version);
                    }
                    for watched in state.watches.of(&service.name) {
                        watched.remove(&key, &service.version);
                    }
                    state.gone.went(key, &service.version, now);
                }
                Action::Get | Action::List => {}
            }
        }
        if ours && let Some(waits) = sender.number.and_then(|number| state.waiting.remove(&number)) {
            let _ = waits.send(());
        }
    }

    async fn answer(&self, link: &Link, asked: &Bytes, to: &async_nats::Subject) {
        let question = match serde_json::from_slice::<Message<'_>>(asked) {
            Ok(question) if matches!(question.action, Action::Get | Action::List) => question,
            _ => return self.unreadable.leave_out::<()>(&self.config.query, &"it is no question").unwrap_or_default(),
        };
        let service = match (question.action, &question.service) {
            (Action::Get, Some(service)) => Some(service.name.as_str()),
            (Action::Get, None) => return,
            _ => None,
        };
        let records = self.lock().own.records(service, Instant::now());
        for (record, left) in records {
            let sender = Sender::new(&self.name).ttl(left);
            let answered = match serde_json::to_vec(&Answer { record: &record, sender }) {
                Ok(answer) => link.publish(to.clone(), answer).await,
                Err(_) => continue,
            };
            if let Err(failed) = answered {
                tracing::debug!(?failed, "who asked the NATS registry for a node gets no answer");
            }
        }
    }

    /// Takes away what is over, and tells so of what is ours.
    async fn expire(&self, link: &Link) {
        let now = Instant::now();
        let over = {
            let mut state = self.lock();
            let over = state.own.expire(now);
            let watches = state.watches.all().filter_map(|watched| watched.expire(now)).min();
            state.due = state.own.next_end().into_iter().chain(watches).min();
            over
        };
        for record in over {
            let told =
                Message { action: Action::Delete, service: Some(Cow::Owned(record)), sender: Sender::new(&self.name) };
            if let Ok(told) = json(&told) {
                let _ = link.publish(self.config.watch.clone(), told).await;
            }
        }
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
