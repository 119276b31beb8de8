//! The one session of a client, opened when it is needed and anew when it is lost.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use micro_core::registry::{Service, Unreadable};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use zookeeper_client::{Acl, Acls, Client, CreateMode, Error as Zk, MultiWriteError, Permission, SessionState, Stat};

use crate::config::Config;
use crate::error::Failed;

/// The longest timeout of a session: so long a process may be dead before it is missed.
const LONGEST: Duration = Duration::from_secs(6);
/// No server is asked for less.
const SHORTEST: Duration = Duration::from_millis(500);

/// Who refuses does so sooner.
const REFUSED: Duration = Duration::from_millis(300);

/// How many reads are on their way at once.
const AT_ONCE: usize = 64;

/// How often a thing is done anew that somebody else changed meanwhile.
pub(crate) const TRIES: usize = 8;

/// What a server takes is 1 MiB, with the path and the rest.
const LARGEST: usize = (1 << 20) - (16 << 10);

static CREATOR: &[Acl] = &[Acl::new_const(Permission::ALL, "auth", "")];

/// Opens sessions, one after the other.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) config: Config,
    open: Mutex<Option<Session>>,
    /// Those that still have nodes.
    before: std::sync::Mutex<Vec<Session>>,
    /// The timeout that the next one asks for, in milliseconds.
    wanted: AtomicU64,
    /// Counts them.
    opened: AtomicU64,
}

/// A session of the server.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) client: Client,
    /// Which one it is.
    pub(crate) number: u64,
    asked: Duration,
    private: bool,
}

impl Sessions {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            open: Mutex::default(),
            before: std::sync::Mutex::default(),
            wanted: AtomicU64::new(millis(LONGEST)),
            opened: AtomicU64::new(0),
        }
    }

    /// Says that a node is to be missed after this time: sessions from now on do not last longer.
    pub(crate) fn at_most(&self, ttl: Duration) {
        self.wanted.fetch_min(millis(ttl.max(SHORTEST)), Ordering::Relaxed);
    }

    /// Returns the session; opens one if there is none that lives and is short enough.
    pub(crate) async fn get(&self) -> Result<Session, Failed> {
        let mut open = self.open.lock().await;
        let wanted = Duration::from_millis(self.wanted.load(Ordering::Relaxed));
        if let Some(session) = open.as_ref().filter(|session| session.is_alive() && session.asked <= wanted) {
            return Ok(session.clone());
        }
        let config = &self.config;
        let mut connector = Client::connector().with_session_timeout(wanted).with_fail_eagerly();
        if let Some(account) = &config.account {
            let text = format!("{}:{}", account.user, account.password.reveal());
            connector = connector.with_auth("digest", text.as_bytes());
        }
        let client = loop {
            let began = Instant::now();
            match connector.clone().connect(&config.servers.join(",")).await {
                Ok(client) => break client,
                // A server that is there and slow is given all the time that the call has.
                Err(Zk::NoHosts | Zk::ConnectionLoss | Zk::Timeout | Zk::Custom(_)) if began.elapsed() > REFUSED => {}
                Err(error) => return Err(error.into()),
            }
        };
        let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let session = Session { client, number, asked: wanted, private: config.private };
        if let Some(before) = open.replace(session.clone()).filter(Session::is_alive) {
            self.before.lock().unwrap_or_else(PoisonError::into_inner).push(before);
        }
        Ok(session)
    }

    /// Says that all nodes are in this session: those before it are closed by their last user.
    pub(crate) fn moved(&self, number: u64) {
        self.before.lock().unwrap_or_else(PoisonError::into_inner).retain(|before| before.number > number);
    }

    /// Does something with the session, within the limit of a call as a whole.
    pub(crate) async fn call<T, Fut>(&self, run: impl FnOnce(Session) -> Fut) -> Result<T, Failed>
    where
        Fut: Future<Output = Result<T, Failed>>,
    {
        let mut used = None;
        let work = async {
            let session = self.get().await?;
            used = Some(session.client.clone());
            run(session).await
        };
        match timeout(self.config.timeout, work).await {
            Ok(done) => done,
            Err(_) if used.is_some_and(|client| client.state() != SessionState::SyncConnected) => {
                Err(Failed::Away("the connection is lost".to_owned()))
            }
            Err(_) => Err(Failed::Late),
        }
    }
}

impl Session {
    pub(crate) fn is_alive(&self) -> bool {
        !self.client.state().is_terminated()
    }

    /// Returns whether a node is this session's.
    pub(crate) fn owns(&self, stat: &Stat) -> bool {
        stat.ephemeral_owner == self.client.session_id().0
    }

    /// Returns the data of a path, if it is there.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<(Vec<u8>, Stat)>, Failed> {
        match self.client.get_data(path).await {
            Ok(found) => Ok(Some(found)),
            Err(Zk::NoNode) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the data of a path so, in an ephemeral node of this session.
    pub(crate) async fn put(&self, path: &str, data: &[u8]) -> Result<(), Failed> {
        if data.len() > LARGEST {
            return Err(Failed::Large(data.len()));
        }
        let mut last = Zk::BadVersion;
        for _ in 0..TRIES {
            let done = match self.find(path).await? {
                None => self.create(path, data).await,
                Some((there, stat)) if self.owns(&stat) && there == data => return Ok(()),
                Some((_, stat)) if self.owns(&stat) => {
                    self.client.set_data(path, data, Some(stat.version)).await.map(drop)
                }
                // Somebody else's, or of a session before: in one step, so that it is never not there.
                Some((_, stat)) => self.replace(path, data, stat.version).await?,
            };
            match done {
                Ok(()) => return Ok(()),
                Err(error @ (Zk::NoNode | Zk::NodeExists | Zk::BadVersion)) => last = error,
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.into())
    }

    async fn create(&self, path: &str, data: &[u8]) -> Result<(), Zk> {
        let options = CreateMode::Ephemeral.with_acls(self.acls());
        match self.client.create(path, data, &options).await {
            Err(Zk::NoNode) => self.make_folders(path).await?,
            done => return done.map(drop),
        }
        self.client.create(path, data, &options).await.map(drop)
    }

    /// Makes what a node lies below. The server removes a container some time after its last node went.
    async fn make_folders(&self, path: &str) -> Result<(), Zk> {
        let Some((service, _)) = path.rsplit_once('/') else { return Ok(()) };
        let Some((root, _)) = service.rsplit_once('/') else { return Ok(()) };
        for (path, mode) in [(root, CreateMode::Persistent), (service, CreateMode::Container)] {
            match self.client.create(path, b"", &mode.with_acls(self.acls())).await {
                Ok(_) | Err(Zk::NodeExists) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn replace(&self, path: &str, data: &[u8], version: i32) -> Result<Result<(), Zk>, Failed> {
        let mut writer = self.client.new_multi_writer();
        writer.add_delete(path, Some(version))?;
        writer.add_create(path, data, &CreateMode::Ephemeral.with_acls(self.acls()))?;
        match writer.commit().await {
            Ok(_) => Ok(Ok(())),
            Err(MultiWriteError::OperationFailed { source, .. } | MultiWriteError::RequestFailed { source }) => {
                Ok(Err(source))
            }
        }
    }

    /// Takes a path away if what is there is as `is_meant` says.
    pub(crate) async fn remove(
        &self,
        path: &str,
        is_meant: impl Fn(&[u8], &Stat) -> bool + Send,
    ) -> Result<(), Failed> {
        for _ in 0..TRIES {
            let Some((data, stat)) = self.find(path).await? else { return Ok(()) };
            if !is_meant(&data, &stat) {
                return Ok(());
            }
            match self.client.delete(path, Some(stat.version)).await {
                Ok(()) | Err(Zk::NoNode) => return Ok(()),
                Err(Zk::BadVersion) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Zk::BadVersion.into())
    }

    /// Returns the names of what lies below a path; none if it is not there.
    pub(crate) async fn children(&self, path: &str) -> Result<Vec<String>, Failed> {
        match self.client.list_children(path).await {
            Ok(names) => Ok(names.into_iter().map(|name| format!("{path}/{name}")).collect()),
            Err(Zk::NoNode) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the records of these nodes, by their paths; those that are gone have none.
    pub(crate) async fn records(
        &self,
        paths: Vec<String>,
        unreadable: &Unreadable,
    ) -> Result<Vec<(String, Option<Service>)>, Failed> {
        let read = stream::iter(paths).map(|path| async move {
            let record = match self.client.get_data(&path).await {
                Ok((data, _)) => unreadable.read(&path, &data),
                Err(Zk::NoNode) => None,
                // Its neighbours may be for us.
                Err(error @ Zk::NoAuth) => unreadable.leave_out(&path, &error),
                Err(error) => return Err(Failed::from(error)),
            };
            Ok((path, record))
        });
        read.buffered(AT_ONCE).try_collect().await
    }

    /// Returns the paths of all nodes below a service's path, or below that of a domain.
    pub(crate) async fn nodes(&self, root: &str, service: Option<&str>) -> Result<Vec<String>, Failed> {
        let services = match service {
            Some(service) => vec![service.to_owned()],
            None => self.children(root).await?,
        };
        let nodes = stream::iter(services).map(|service| async move { self.children(&service).await });
        let nodes: Vec<Vec<String>> = nodes.buffered(AT_ONCE).try_collect().await?;
        Ok(nodes.into_iter().flatten().collect())
    }

    fn acls(&self) -> Acls<'static> {
        if self.private { Acls::new(CREATOR) } else { Acls::anyone_all() }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
