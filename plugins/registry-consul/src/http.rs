//! Questions to the agent: one pooled client a registry, each answer within a time and a size.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use micro_core::{Error, Kind, Result};
use micro_tls::Connector;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Method, Response, StatusCode, Url};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;

use crate::config::Config;

/// No answer may be larger.
const LARGEST: usize = 64 << 20;
/// So much of an error's text is read, and so much of it shown.
const ERROR_TEXT: usize = 300;

/// Connections that are kept though nobody needs them now.
const IDLE: usize = 4;
const IDLE_TIME: Duration = Duration::from_secs(60);

const TOKEN: &str = "x-consul-token";
const INDEX: &str = "x-consul-index";
const FILTERED: &str = "x-consul-results-filtered-by-acls";

/// The way to an agent.
pub(crate) struct Http {
    pub(crate) config: Config,
    tls: Option<Connector>,
    made: Mutex<Option<Made>>,
}

/// A client, and the certificates that it was made with.
#[derive(Clone)]
struct Made {
    tls: Option<Arc<ClientConfig>>,
    client: Client,
}

/// What the agent answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    /// Of what is listed: it grows with each change. At least 1, so that the next question waits whatever a server says.
    pub(crate) index: u64,
    /// Something was left out that the token may not see.
    pub(crate) filtered: bool,
}

impl Answer {
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, http: &Http) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let text = format!("what {} answers is not Consul's; is it its HTTP port? {error}", http.config.shown());
            Error::new(Kind::Decode, text)
        })
    }
}

impl Http {
    pub(crate) fn new(config: Config) -> Self {
        let tls = config.tls.clone().map(|tls| Connector::new(tls, &[]));
        Self { config, tls, made: Mutex::default() }
    }

    /// The one client, made anew when the certificates were.
    fn client(&self) -> Result<Client> {
        let tls = self.tls.as_ref().map(Connector::config).transpose()?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |made: &&Made| made.tls.as_ref().map(Arc::as_ptr) == tls.as_ref().map(Arc::as_ptr);
        if let Some(made) = made.as_ref().filter(same) {
            return Ok(made.client.clone());
        }
        let client = client(&self.config, tls.as_deref())?;
        *made = Some(Made { tls, client: client.clone() });
        Ok(client)
    }

    /// Asks. `None` is Consul's "there is no such thing".
    pub(crate) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Option<Answer>> {
        self.call(Method::GET, path, query, None, self.config.timeout).await
    }

    /// Tells. `None` is Consul's "there is no such thing".
    pub(crate) async fn put(&self, path: &[&str], body: Option<Vec<u8>>) -> Result<Option<Answer>> {
        self.call(Method::PUT, path, &[], body, self.config.timeout).await
    }

    /// Asks what is listed, at once where the index is 0, else when it is no longer this one or the wait is over.
    pub(crate) async fn list(&self, path: &[&str], index: u64, wait: Duration) -> Result<Answer> {
        // Consul makes it up to a sixteenth longer.
        let limit = if index == 0 { Duration::ZERO } else { wait + wait / 16 } + self.config.timeout;
        let (index, wait) = (index.to_string(), format!("{}ms", wait.as_millis().max(1)));
        let mut query = if index == "0" { Vec::new() } else { vec![("index", &*index), ("wait", &*wait)] };
        if self.config.stale {
            query.push(("stale", ""));
        }
        let answer = self.call(Method::GET, path, &query, None, limit).await?;
        answer.ok_or_else(|| {
            let text = format!("{} knows no /v1/{}; is it Consul's HTTP port?", self.config.shown(), path.join("/"));
            Error::new(Kind::Config, text)
        })
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
        limit: Duration,
    ) -> Result<Option<Answer>> {
        let url = self.url(path, query)?;
        let mut request = self.client()?.request(method, url);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let answered = timeout(limit, async {
            let response = request.send().await.map_err(|error| self.failed(&error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let limit = if status.is_success() { LARGEST } else { ERROR_TEXT };
            let (body, whole) = self.body(response, limit).await?;
            if status.is_success() && !whole {
                let text = format!("{} answered with more than {LARGEST} bytes", self.config.shown());
                return Err(Error::new(Kind::TooLarge, text));
            }
            Ok((status, headers, body))
        });
        let (status, headers, body) = answered.await.map_err(|_| self.silent(limit))??;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(self.refused(status, &body));
        }
        let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
        let filtered = headers.get(FILTERED).is_some_and(|value| value == "true");
        Ok(Some(Answer { body, index: number(INDEX).unwrap_or(1).max(1), filtered }))
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        let scheme = if self.config.tls.is_some() { "https" } else { "http" };
        let url = Url::parse(&format!("{scheme}://{}/v1", self.config.server)).ok();
        let url = url.and_then(|mut url| {
            url.path_segments_mut().ok()?.extend(path);
            if !query.is_empty() {
                url.query_pairs_mut().extend_pairs(query);
            }
            Some(url)
        });
        url.ok_or_else(|| {
            let text = format!("{} cannot be asked: write its address as consul://host:8500", self.config.shown());
            Error::new(Kind::Config, text)
        })
    }

    /// Reads so much of a body, and tells whether that was all.
    async fn body(&self, mut response: Response, limit: usize) -> Result<(Vec<u8>, bool)> {
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.failed(&error))? {
            if body.len() + part.len() > limit {
                body.extend_from_slice(&part[..limit - body.len()]);
                return Ok((body, false));
            }
            body.extend_from_slice(&part);
        }
        Ok((body, true))
    }

    /// No whole answer came.
    fn failed(&self, error: &reqwest::Error) -> Error {
        // The deepest says it, the others say that something failed.
        let mut deepest: &dyn std::error::Error = error;
        while let Some(source) = deepest.source() {
            deepest = source;
        }
        let refused = deepest
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
        let at = self.config.shown();
        let text = if error.is_connect() {
            format!("cannot reach Consul at {at}: {deepest}; is its agent running, and is this its HTTP port?")
        } else {
            format!("the connection to Consul at {at} broke: {deepest}")
        };
        Error::new(if refused { Kind::Refused } else { Kind::Unavailable }, text)
    }

    fn silent(&self, limit: Duration) -> Error {
        let text = format!(
            "Consul at {} did not answer within {} s; is its agent well, and the network?",
            self.config.shown(),
            limit.as_secs_f32()
        );
        Error::new(Kind::Timeout, text)
    }

    /// The agent said no.
    fn refused(&self, status: StatusCode, body: &[u8]) -> Error {
        let (at, said) = (self.config.shown(), String::from_utf8_lossy(body));
        let said = said.trim();
        let (kind, help) = match status.as_u16() {
            _ if said.contains("ACL not found") => {
                (Kind::Unauthenticated, "it does not know the token; give a valid one by ?token= or CONSUL_HTTP_TOKEN")
            }
            401 | 403 => (
                Kind::Forbidden,
                "the token may not do this; give one with service:write and node:read by ?token= or CONSUL_HTTP_TOKEN",
            ),
            400 if said.contains("HTTPS server") => (Kind::Config, "it speaks TLS there; add ?tls=true"),
            400 => (Kind::InvalidArgument, "Consul does not take that"),
            413 => (Kind::TooLarge, "Consul takes no more"),
            429 => (Kind::ResourceExhausted, "too many ask it; see its setting http_max_conns_per_client"),
            _ if said.contains("No cluster leader") => {
                (Kind::Unavailable, "its servers have elected none; are enough of them running?")
            }
            500.. => (Kind::Unavailable, "see the log of the agent"),
            _ => (Kind::Unknown, "see the log of the agent"),
        };
        Error::new(kind, format!("Consul at {at} answered {}: {said}; {help}", status.as_u16()))
    }

    /// An empty list that a token made empty.
    pub(crate) fn hidden(&self, what: &str) -> Error {
        let text = format!(
            "Consul at {} does not show {what} to this token; give one with service:read and node:read by ?token= or \
             CONSUL_HTTP_TOKEN",
            self.config.shown()
        );
        Error::new(Kind::Forbidden, text)
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("config", &self.config).finish_non_exhaustive()
    }
}

fn client(config: &Config, tls: Option<&ClientConfig>) -> Result<Client> {
    let mut headers = HeaderMap::new();
    if let Some(token) = &config.token {
        let value = HeaderValue::from_str(token.reveal());
        let mut value = value.map_err(|_| Error::new(Kind::Config, "the token for Consul is no header"))?;
        value.set_sensitive(true);
        headers.insert(TOKEN, value);
    }
    let builder = Client::builder()
        .tls_backend_preconfigured(tls.cloned().map_or_else(nobody, Ok)?)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .user_agent("micro-rs")
        .connect_timeout(config.timeout)
        .pool_max_idle_per_host(IDLE)
        .pool_idle_timeout(IDLE_TIME)
        .default_headers(headers);
    builder.build().map_err(|error| Error::new(Kind::Config, format!("no client for Consul can be made: {error}")))
}

/// An address without TLS gets settings that trust nobody: the client wants some.
fn nobody() -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Kind::Internal, "TLS has no version to speak").source(error))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}
