use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chitchat::transport::{Socket, UdpSocket};
use chitchat::{
    Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, ListenerHandle, ProtocolVersion,
    spawn_chitchat,
};
use micro_core::registry::{Change, Service, Unreadable};
use micro_core::{Error, Kind, Result};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, sleep, timeout, timeout_at};

use crate::book::Book;
use crate::config::Config;
use crate::own::Own;
use crate::peers::Peers;
use crate::socket::Bound;
use crate::value::{self, Held};

/// To how many members a change is told at once; they tell the others.
const FAN_OUT: usize = 3;

/// So many members hear the farewell of one that leaves.
const FAREWELL: usize = 16;

/// Changes within this time are told together.
const TOGETHER: Duration = Duration::from_millis(5);

/// How long a change that goes with its process is waited for at most.
const LONGEST_TELL: Duration = Duration::from_millis(500);

/// How long chitchat remembers what is gone, so that nobody brings it back.
const REMEMBERED: Duration = Duration::from_secs(120);

/// One member of a cluster: what it says of its own nodes, and what it knows of those of others.
pub(crate) struct Member {
    config: Config,
    pub(crate) address: SocketAddr,
    name: Arc<str>,
    handle: ChitchatHandle,
    chitchat: Arc<tokio::sync::Mutex<Chitchat>>,
    state: Mutex<State>,
    unreadable: Unreadable,
    told: Arc<watch::Sender<u64>>,
    wake: Arc<Notify>,
    /// Something of our own changed, and was not told yet.
    changed: AtomicBool,
    began: Instant,
    /// Whether what is known can be relied on.
    ready: watch::Sender<bool>,
    _listener: ListenerHandle,
}

#[derive(Default)]
struct State {
    book: Book,
    own: Own,
    peers: Peers,
}

impl Member {
    /// Listens, and begins to gossip.
    pub(crate) async fn begin(config: Config) -> Result<Self> {
        let taken = |error: anyhow::Error| {
            let text = format!(
                "the gossip registry cannot listen at udp {}; another process may have it: \
                 give listen=IP:PORT of this machine, port 0 for any, and that one as a seed",
                config.listen
            );
            Error::new(Kind::Unavailable, text).source(format!("{error:#}"))
        };
        let socket = UdpSocket::open(config.listen).await.map_err(taken)?;
        let bound = socket.local_addr().map_err(taken)?;
        let address = advertised(&config, bound).await?;
        let name: Arc<str> = format!("{:016x}", fastrand::Rng::new().u64(..)).into();
        let told = Arc::new(watch::Sender::new(0));
        let transport = Bound::new(socket, config.domain.clone(), Arc::clone(&told));
        let handle = spawn_chitchat(settings(&config, &name, bound, address), Vec::new(), &transport).await;
        let handle = handle.map_err(taken)?;
        let chitchat = handle.chitchat();
        let wake = Arc::new(Notify::new());
        let woken = Arc::clone(&wake);
        let listener = chitchat.lock().await.subscribe_event("", move |_| woken.notify_one());
        Ok(Self {
            config,
            address,
            name,
            handle,
            chitchat,
            state: Mutex::default(),
            unreadable: Unreadable::new("gossip"),
            told,
            wake,
            changed: AtomicBool::new(false),
            began: Instant::now(),
            ready: watch::Sender::new(false),
            _listener: listener,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers one node for a time to live, or refreshes it.
    pub(crate) async fn register(&self, key: String, json: String, record: Service, ttl: Duration) {
        let mut chitchat = self.chitchat.lock().await;
        let mut state = self.lock();
        let State { book, own, .. } = &mut *state;
        let counts = book.counts(&key).map(|(_, held)| held);
        let is_known = own.says(&key, &json) && counts.is_some_and(|held| held.record.as_ref() == Some(&record));
        if is_known {
            own.refresh(&key, ttl);
            return;
        }
        // The last that was registered counts, whoever registered it.
        let stamp = counts.map_or(0, |held| held.stamp).max(own.stamp(&key)).saturating_add(1);
        chitchat.self_node_state().set(&key, value::write(stamp, &json));
        own.put(&key, json, &record.version, stamp, Some(ttl));
        book.put(&key, &self.name, Held { stamp, record: Some(record) });
        self.has_changed();
    }

    /// Takes a node away from a version. Returns whether there was something to take away.
    pub(crate) async fn deregister(&self, key: &str, version: &str) -> bool {
        let mut chitchat = self.chitchat.lock().await;
        let mut state = self.lock();
        let counts = state.book.counts(key).and_then(|(_, held)| Some((held.stamp, held.record.as_ref()?)));
        let counting = counts.filter(|(_, record)| record.version == version).map(|(stamp, _)| stamp);
        match counting {
            // Another says it too, and what it says must not count then.
            Some(stamp) if state.book.is_held_elsewhere(key, &self.name) => {
                let stamp = stamp.saturating_add(1);
                chitchat.self_node_state().set(key, value::write(stamp, ""));
                state.own.put(key, String::new(), version, stamp, None);
                state.book.put(key, &self.name, Held { stamp, record: None });
            }
            Some(_) => self.delete(&mut chitchat, &mut state, key),
            None if state.own.is_of_version(key, version) => self.delete(&mut chitchat, &mut state, key),
            None => return false,
        }
        self.has_changed();
        true
    }

    fn delete(&self, chitchat: &mut Chitchat, state: &mut State, key: &str) {
        if state.own.remove(key) {
            chitchat.self_node_state().delete(key);
        }
        state.book.take(key, &self.name);
    }

    fn has_changed(&self) {
        self.changed.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    /// Returns the records of a service, or of all.
    pub(crate) async fn services(&self, service: Option<&str>) -> Result<Vec<Service>> {
        self.joined().await?;
        Ok(self.lock().book.services(service))
    }

    /// Begins a watch.
    pub(crate) async fn watch(&self, service: Option<String>, changes: mpsc::Sender<Change>) -> Result<()> {
        self.joined().await?;
        self.lock().book.watch(service, changes);
        Ok(())
    }

    /// Waits until what is known can be relied on.
    async fn joined(&self) -> Result<()> {
        let until = self.began + self.config.silence;
        let mut ready = self.ready.subscribe();
        let _ = timeout_at(until, ready.wait_for(|ready| *ready)).await;
        if self.config.is_seed(self.address) || self.lock().peers.is_anybody_known() {
            return Ok(());
        }
        Err(Error::new(
            Kind::Unavailable,
            format!(
                "no member of the domain {} has answered at {} in {:?}; start one of these seeds, or check the way there by UDP",
                self.config.domain,
                self.config.seeds.join(","),
                self.began.elapsed()
            ),
        ))
    }

    /// Looks again and again what others say; ends with the thread.
    pub(crate) async fn follow(&self) {
        let tick = (self.config.interval / 2).min(Duration::from_millis(100));
        let mut ticks = tokio::time::interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.wake.notified() => sleep(TOGETHER).await,
            }
            self.look().await;
            if self.changed.swap(false, Ordering::SeqCst) {
                self.tell(FAN_OUT);
            }
        }
    }

    async fn look(&self) {
        let mut chitchat = self.chitchat.lock().await;
        let mut state = self.lock();
        for key in state.own.over(|key| state.book.is_held_elsewhere(key, &self.name)) {
            self.delete(&mut chitchat, &mut state, &key);
            self.changed.store(true, Ordering::SeqCst);
        }
        let State { book, peers, .. } = &mut *state;
        peers.look(&chitchat, book, &self.unreadable, self.config.silence);
        book.catch_up();
        let rounds = self.began.elapsed().as_secs_f64() / self.config.interval.as_secs_f64();
        let alone = self.config.is_seed(self.address) && rounds > 2.0;
        let unsure = peers.is_unsure(self.config.interval * 4);
        if !unsure && (alone || peers.is_anybody_alive()) {
            self.ready.send_replace(true);
        }
    }

    /// Tells some of the others at once what changed. Returns how many.
    fn tell(&self, most: usize) -> usize {
        let mut others = self.lock().peers.alive();
        fastrand::shuffle(&mut others);
        others.iter().take(most).filter(|address| self.handle.gossip(**address).is_ok()).count()
    }

    /// Tells others, and waits a moment until they are told: the process may end afterwards.
    pub(crate) async fn tell_and_wait(&self, most: usize) {
        let mut told = self.told.subscribe();
        let before = *told.borrow();
        let count = self.tell(most) as u64;
        let limit = (self.config.interval * 2).min(LONGEST_TELL);
        if count > 0 {
            let _ = timeout(limit, told.wait_for(|told| *told >= before + count)).await;
        }
    }

    /// As [`tell_and_wait`](Self::tell_and_wait), for a change.
    pub(crate) async fn tell_change(&self) {
        self.changed.store(false, Ordering::SeqCst);
        self.tell_and_wait(FAN_OUT).await;
    }

    /// Takes all of our nodes away, and tells others.
    pub(crate) async fn farewell(&self) {
        {
            let mut chitchat = self.chitchat.lock().await;
            let mut state = self.lock();
            for key in state.own.keys() {
                self.delete(&mut chitchat, &mut state, &key);
            }
        }
        self.tell_and_wait(FAREWELL).await;
        let _ = self.handle.initiate_shutdown();
    }

    /// Waits until the gossip has ended by itself.
    pub(crate) async fn ended(&self) -> String {
        self.handle.termination_watcher().await.map_or_else(|error| format!("{error:#}"), |()| String::new())
    }

    /// Ends the watches.
    pub(crate) fn close(&self) {
        self.handle.abort();
        *self.lock() = State::default();
    }
}

fn settings(config: &Config, name: &Arc<str>, bound: SocketAddr, address: SocketAddr) -> ChitchatConfig {
    ChitchatConfig {
        chitchat_id: ChitchatId::new(Arc::clone(name), 0, address),
        cluster_id: config.domain.clone(),
        gossip_interval: config.interval,
        listen_addr: bound,
        seed_nodes: config.seeds.clone(),
        // It only decides with whom chitchat gossips; who is listed is decided by `silence`.
        failure_detector_config: FailureDetectorConfig {
            phi_threshold: 8.0,
            sampling_window_size: 64,
            max_interval: config.silence,
            initial_interval: config.interval,
            dead_node_grace_period: REMEMBERED.max(config.silence * 20),
        },
        marked_for_deletion_grace_period: REMEMBERED.max(config.silence * 20),
        catchup_callback: None,
        extra_liveness_predicate: None,
        protocol_version: ProtocolVersion::V1,
    }
}

/// Returns where others reach us. Listening everywhere, it is the interface by which a seed is reached.
async fn advertised(config: &Config, bound: SocketAddr) -> Result<SocketAddr> {
    if let Some(address) = config.advertise {
        let port = if address.port() == 0 { bound.port() } else { address.port() };
        return Ok(SocketAddr::new(address.ip(), port));
    }
    if !bound.ip().is_unspecified() {
        return Ok(bound);
    }
    for seed in &config.seeds {
        let Ok(probe) = tokio::net::UdpSocket::bind(SocketAddr::new(bound.ip(), 0)).await else { continue };
        // It chooses a way, and sends nothing.
        if probe.connect(seed).await.is_ok()
            && let Ok(local) = probe.local_addr()
        {
            return Ok(SocketAddr::new(local.ip(), bound.port()));
        }
    }
    let text = format!(
        "no way leads to {}; check the seeds, or add advertise=IP:PORT of this process",
        config.seeds.join(",")
    );
    Err(Error::new(Kind::Unavailable, text))
}
