use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream;
use http::uri::PathAndQuery;
use micro_tls::Connector;
use prost::Message;
use tokio::sync::{Mutex, oneshot};
use tokio::time::{Instant, timeout};
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::config::{Account, Config, text_of};
use crate::dial::Dial;
use crate::error::Failed;
use crate::wire::{self, AuthenticateRequest, AuthenticateResponse};

/// What one answer may be long. A record is 1.5 MiB at most, and a page asks for fewer of them when it is too long.
const LONGEST: usize = 16 << 20;

/// The servers, tried in turn; one connection to the one that answers.
pub(crate) struct Client {
    pub(crate) config: Config,
    tls: Option<Arc<Connector>>,
    servers: Vec<Mutex<Server>>,
    /// The place of the server that answered last.
    current: AtomicUsize,
    token: Mutex<Token>,
}

#[derive(Default)]
struct Server {
    channel: Option<Channel>,
    /// Which connection it is, so that a late failure of an old one leaves the new one alone.
    generation: u64,
}

#[derive(Default)]
struct Token {
    /// Empty where the server has no accounts.
    text: Option<String>,
    generation: u64,
}

/// One connection, with a token.
#[derive(Clone)]
pub(crate) struct Lane {
    channel: Channel,
    token: String,
}

/// The answers of a stream. Dropped, its requests end too: without that neither side would ever forget the stream.
pub(crate) struct Answers<A> {
    answers: Streaming<A>,
    _open: oneshot::Sender<()>,
}

impl<A> Answers<A> {
    /// Waits for the next one; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<A>, Status> {
        self.answers.message().await
    }
}

/// What was used for an attempt.
#[derive(Default)]
struct Used {
    server: u64,
    /// The connection was there before.
    old: bool,
    token: u64,
}

impl Client {
    pub(crate) fn new(config: Config) -> Self {
        let servers = config.servers.iter().map(|_| Mutex::default()).collect();
        let tls = config.tls.clone().map(|tls| Arc::new(Connector::new(tls, &["h2"])));
        Self { config, tls, servers, current: AtomicUsize::new(0), token: Mutex::default() }
    }

    /// Does something with a server that answers, within the limit of a call as a whole.
    ///
    /// It may be done twice: when a connection breaks nobody knows what was done.
    pub(crate) async fn call<T, Fut>(&self, run: impl Fn(Lane) -> Fut + Send + Sync) -> Result<T, Failed>
    where
        Fut: Future<Output = Result<T, Status>> + Send,
    {
        let until = Instant::now() + self.config.timeout;
        let mut place = self.current.load(Ordering::Relaxed) % self.servers.len();
        // One more than there are servers: a connection that was there may be dead, and its server not.
        let mut left = self.servers.len() + 1;
        let (mut renewed, mut failed) = (false, Failed::Late);
        while left > 0 {
            let time = until.saturating_duration_since(Instant::now());
            if time.is_zero() {
                break;
            }
            let mut used = Used::default();
            let limit = time / u32::try_from(left).unwrap_or(u32::MAX);
            left -= 1;
            failed = match timeout(limit, self.attempt(place, limit, &mut used, &run)).await {
                Ok(Ok(done)) => {
                    self.current.store(place, Ordering::Relaxed);
                    return Ok(done);
                }
                Ok(Err(failed)) => failed,
                Err(_) => Failed::Late,
            };
            if failed.wants_token() && self.config.account.is_some() && !renewed {
                renewed = true;
                left += 1;
                self.forget_token(used.token).await;
                continue;
            }
            if !failed.passes() {
                break;
            }
            if !matches!(failed, Failed::Answer(_)) {
                self.forget_server(place, used.server).await;
            }
            if !used.old {
                place = (place + 1) % self.servers.len();
            }
        }
        Err(failed)
    }

    async fn attempt<T, Fut>(
        &self,
        place: usize,
        limit: Duration,
        used: &mut Used,
        run: &(impl Fn(Lane) -> Fut + Sync),
    ) -> Result<T, Failed>
    where
        Fut: Future<Output = Result<T, Status>> + Send,
    {
        let channel = self.channel(place, limit, used).await?;
        let token = match &self.config.account {
            Some(account) => self.token(&channel, account, used).await?,
            None => String::new(),
        };
        Ok(run(Lane { channel, token }).await?)
    }

    async fn channel(&self, place: usize, limit: Duration, used: &mut Used) -> Result<Channel, Failed> {
        let mut server = self.servers[place].lock().await;
        used.server = server.generation;
        if let Some(channel) = &server.channel {
            used.old = true;
            return Ok(channel.clone());
        }
        let name = &self.config.servers[place];
        let endpoint = self.config.endpoint(name).map_err(Failed::Setting)?.connect_timeout(limit);
        let channel = match &self.tls {
            None => endpoint.connect().await,
            Some(connector) => {
                // What is wrong with the files is said before anybody is dialled.
                connector.config().map_err(Failed::Setting)?;
                let dial = Dial { connector: Arc::clone(connector), server: name.clone() };
                endpoint.connect_with_connector(dial).await
            }
        };
        let channel = channel.map_err(|error| Failed::Broken(text_of(&error)))?;
        server.channel = Some(channel.clone());
        server.generation += 1;
        used.server = server.generation;
        Ok(channel)
    }

    async fn token(&self, channel: &Channel, account: &Account, used: &mut Used) -> Result<String, Failed> {
        let mut token = self.token.lock().await;
        used.token = token.generation;
        if let Some(text) = &token.text {
            return Ok(text.clone());
        }
        let lane = Lane { channel: channel.clone(), token: String::new() };
        let request =
            AuthenticateRequest { name: account.user.clone(), password: account.password.reveal().to_owned() };
        let text = match lane.ask::<_, AuthenticateResponse>(wire::AUTHENTICATE, request).await {
            Ok(answer) => answer.token,
            // As go-micro does it: an account does no harm where none is asked for.
            Err(status) if status.code() == Code::FailedPrecondition && status.message().contains("not enabled") => {
                String::new()
            }
            Err(status) => return Err(status.into()),
        };
        token.text = Some(text.clone());
        token.generation += 1;
        used.token = token.generation;
        Ok(text)
    }

    async fn forget_token(&self, generation: u64) {
        let mut token = self.token.lock().await;
        if token.generation == generation {
            token.text = None;
        }
    }

    async fn forget_server(&self, place: usize, generation: u64) {
        // Whoever holds it dials already.
        if let Ok(mut server) = self.servers[place].try_lock()
            && server.generation == generation
        {
            server.channel = None;
        }
    }

    /// Asks one thing.
    pub(crate) async fn ask<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Failed>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        self.call(|lane| {
            let request = request.clone();
            async move { lane.ask(path, request).await }
        })
        .await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Lane {
    /// Asks one thing.
    pub(crate) async fn ask<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.ready().await?;
        let answer = grpc.unary(self.request(request), PathAndQuery::from_static(path), ProstCodec::default()).await?;
        Ok(answer.into_inner())
    }

    /// Opens a stream with one request, and leaves it open until it is dropped.
    pub(crate) async fn stream<Q, A>(&self, path: &'static str, request: Q) -> Result<Answers<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        use futures_util::StreamExt;

        let mut grpc = self.ready().await?;
        let (open, closed) = oneshot::channel::<()>();
        let requests = stream::iter([request]).chain(stream::once(closed).filter_map(|_| std::future::ready(None)));
        let answer =
            grpc.streaming(self.request(requests), PathAndQuery::from_static(path), ProstCodec::default()).await?;
        Ok(Answers { answers: answer.into_inner(), _open: open })
    }

    async fn ready(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(LONGEST);
        grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        Ok(grpc)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        // A server that is cut off from its cluster says so, instead of being silent.
        metadata.insert("hasleader", MetadataValue::from_static("true"));
        if !self.token.is_empty()
            && let Ok(mut token) = self.token.parse::<MetadataValue<_>>()
        {
            token.set_sensitive(true);
            metadata.insert("token", token);
        }
        request
    }
}
