use std::sync::Arc;
use std::time::Duration;

use micro_core::{Error, Kind, Result};
use micro_faults::Proxy;
use tokio::time::{Instant, sleep, timeout};

use super::{Client, ClientOptions, Fixture, Limits, Method, Receiver, Server, ServerOptions};
use crate::Failed;
use crate::failed::ensure;

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(5);

/// Any free port.
const ANYWHERE: &str = "127.0.0.1:0";

/// Where a case runs: servers, clients, and waiting with a limit.
#[derive(Debug, Clone)]
pub struct Stage {
    fixture: Arc<dyn Fixture>,
}

/// A server and a client that reaches it through a proxy.
#[derive(Debug)]
#[expect(missing_docs, reason = "the sentence above says it")]
pub struct World {
    pub client: Arc<dyn Client>,
    pub server: Box<dyn Server>,
    pub proxy: Proxy,
}

impl Stage {
    pub(super) fn new(fixture: Arc<dyn Fixture>) -> Self {
        Self { fixture }
    }

    /// Returns how long to wait.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.fixture.limits()
    }

    /// Starts a server of these methods, and a client of it.
    ///
    /// # Errors
    ///
    /// If one cannot be had.
    pub async fn world(&self, methods: Vec<Method>) -> Result<World, Failed> {
        self.world_with(methods, ServerOptions::default(), ClientOptions::default()).await
    }

    /// As [`world`](Self::world), with options.
    ///
    /// # Errors
    ///
    /// As [`world`](Self::world).
    pub async fn world_with(
        &self,
        methods: Vec<Method>,
        server: ServerOptions,
        client: ClientOptions,
    ) -> Result<World, Failed> {
        let server = self.serve_with(methods, server).await?;
        let proxy = Proxy::to(server.address()).map_err(|error| Failed::new(error.to_string()))?;
        let client = self.fixture.client(&proxy.address(), client);
        Ok(World { client, server, proxy })
    }

    /// Starts a server.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or not in time.
    pub async fn serve(&self, methods: Vec<Method>) -> Result<Box<dyn Server>, Failed> {
        self.serve_with(methods, ServerOptions::default()).await
    }

    pub(super) async fn serve_with(
        &self,
        methods: Vec<Method>,
        options: ServerOptions,
    ) -> Result<Box<dyn Server>, Failed> {
        Ok(self.present("a server", self.fixture.serve(ANYWHERE, methods, options)).await??)
    }

    /// Makes a client of an address.
    #[must_use]
    pub fn client(&self, address: &str) -> Arc<dyn Client> {
        self.client_with(address, ClientOptions::default())
    }

    pub(super) fn client_with(&self, address: &str, options: ClientOptions) -> Arc<dyn Client> {
        self.fixture.client(address, options)
    }

    /// Waits for what must come.
    ///
    /// # Errors
    ///
    /// If it did not in time.
    pub async fn present<T>(&self, what: &str, future: impl Future<Output = T>) -> Result<T, Failed> {
        self.within(self.limits().present, what, future).await
    }

    /// Waits so long for what must come.
    ///
    /// # Errors
    ///
    /// If it did not in time.
    pub async fn within<T>(&self, limit: Duration, what: &str, future: impl Future<Output = T>) -> Result<T, Failed> {
        timeout(limit, future).await.map_err(|_| Failed::new(format!("{what}: not within {limit:?}")))
    }

    /// Waits until a condition holds.
    ///
    /// # Errors
    ///
    /// If it does not in time.
    pub async fn until(&self, what: &str, holds: impl Fn() -> bool) -> Result<(), Failed> {
        self.until_within(self.limits().present, what, holds).await
    }

    /// Waits so long until a condition holds.
    ///
    /// # Errors
    ///
    /// If it does not in time.
    pub async fn until_within(&self, limit: Duration, what: &str, holds: impl Fn() -> bool) -> Result<(), Failed> {
        let end = Instant::now() + limit;
        while !holds() {
            ensure!(Instant::now() < end, "{what}: not within {limit:?}");
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Waits until a number grows no longer, and returns it.
    ///
    /// # Errors
    ///
    /// If it goes on growing, or never begins to.
    pub async fn rest(&self, what: &str, number: impl Fn() -> u64) -> Result<u64, Failed> {
        let end = Instant::now() + self.limits().present;
        let mut before = 0;
        loop {
            sleep(self.limits().absent).await;
            let now = number();
            if now == before && now > 0 {
                return Ok(now);
            }
            ensure!(Instant::now() < end, "{what} came to no rest: {now}");
            before = now;
        }
    }

    /// Receives the next message, which must be there.
    ///
    /// # Errors
    ///
    /// If the stream ended or failed, or nothing came in time.
    pub async fn next(&self, messages: &mut Box<dyn Receiver>) -> Result<bytes::Bytes, Failed> {
        let message = self.present("a message", messages.recv()).await??;
        message.ok_or_else(|| Failed::new("the stream ended where a message was due"))
    }

    /// Receives the end of a stream.
    ///
    /// # Errors
    ///
    /// If a message or an error comes in its place, or nothing in time.
    pub async fn end(&self, messages: &mut Box<dyn Receiver>) -> Result<(), Failed> {
        match self.present("the end of the stream", messages.recv()).await?? {
            None => Ok(()),
            Some(message) => Err(Failed::new(format!("{} bytes came where the end was due", message.len()))),
        }
    }
}

/// Returns the error that something must have ended with, if it is of one of these kinds.
pub(super) fn failed<T>(what: &str, result: Result<T>, kinds: &[Kind]) -> Result<Error, Failed> {
    match result {
        Ok(_) => Err(Failed::new(format!("{what} went well, and must not"))),
        Err(error) if kinds.contains(&error.kind()) => Ok(error),
        Err(error) => Err(Failed::new(format!("{what} is {:?}, not one of {kinds:?}: {error}", error.kind()))),
    }
}
