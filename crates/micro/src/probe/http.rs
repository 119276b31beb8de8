//! The HTTP server of the probes, one for each address however many services of the process ask for it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use micro_core::{Error, Kind, Result};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use super::metrics::Metrics;
use super::ready::Ready;

/// Connections at once; a prober needs one.
const CONNECTIONS: usize = 64;
/// Limit for the head of a request, and for an idle connection.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// One service's part in a probe port; the port closes with the last.
#[derive(Debug)]
pub(crate) struct Probe {
    port: Arc<Port>,
    ready: Arc<Ready>,
}

#[derive(Debug)]
struct Port {
    address: SocketAddr,
    services: Mutex<Vec<Arc<Ready>>>,
    tasks: [AbortHandle; 2],
}

impl Probe {
    /// Serves at an address, together with the services of this process that do so already.
    pub(crate) async fn serve(address: &str, ready: Arc<Ready>) -> Result<Self> {
        let wrong = |error: std::io::Error| {
            let text = format!("cannot serve /metrics, /live and /ready at {address}; give another --http_address");
            Error::new(Kind::Unavailable, text).operation("service.start").source(error)
        };
        if let Some(port) = shared(address) {
            port.services().push(Arc::clone(&ready));
            return Ok(Self { port, ready });
        }
        let listener = TcpListener::bind(address).await.map_err(wrong)?;
        let bound = listener.local_addr().map_err(wrong)?;
        let metrics = Metrics::of_process();
        let port = Arc::new_cyclic(|port: &Weak<Port>| Port {
            address: bound,
            services: Mutex::new(vec![Arc::clone(&ready)]),
            tasks: [
                tokio::spawn(metrics.clone().keep_up()).abort_handle(),
                tokio::spawn(accept(listener, metrics, Weak::clone(port))).abort_handle(),
            ],
        });
        ports().lock().unwrap_or_else(PoisonError::into_inner).insert(bound, Arc::downgrade(&port));
        tracing::info!("Probes [http] Listening on {bound}");
        Ok(Self { port, ready })
    }

    /// Returns the address listened on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.port.services().retain(|ready| !Arc::ptr_eq(ready, &self.ready));
    }
}

impl Port {
    fn services(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Ready>>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

fn ports() -> &'static Mutex<HashMap<SocketAddr, Weak<Port>>> {
    static PORTS: OnceLock<Mutex<HashMap<SocketAddr, Weak<Port>>>> = OnceLock::new();
    PORTS.get_or_init(Mutex::default)
}

fn shared(address: &str) -> Option<Arc<Port>> {
    let address: SocketAddr = address.parse().ok()?;
    let mut ports = ports().lock().unwrap_or_else(PoisonError::into_inner);
    ports.retain(|_, port| port.strong_count() > 0);
    ports.get(&address).and_then(Weak::upgrade)
}

async fn accept(listener: TcpListener, metrics: Metrics, port: Weak<Port>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = stream else {
            // Out of file descriptors, most likely; asking at once would spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (metrics, port) = (metrics.clone(), Weak::clone(&port));
        connections.spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let (metrics, port) = (metrics.clone(), Weak::clone(&port));
                async move { Ok::<_, Infallible>(answer(&request, &metrics, &port).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_LIMIT)
                .max_buf_size(16 << 10)
                .serve_connection(TokioIo::new(stream), service);
            // What a prober does wrong is its own business.
            let _ = connection.await;
            drop(permit);
        });
    }
}

async fn answer(request: &Request<Incoming>, metrics: &Metrics, port: &Weak<Port>) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "ask with GET\n".into());
    }
    match request.uri().path() {
        "/live" => reply(StatusCode::OK, TEXT, "live\n".into()),
        "/ready" => {
            let services = port.upgrade().map(|port| port.services().clone()).unwrap_or_default();
            let missing = join_all(services.iter().map(|ready| ready.missing_now())).await;
            let missing: Vec<_> = missing.into_iter().flatten().collect();
            match missing.is_empty() {
                true => reply(StatusCode::OK, TEXT, "ready\n".into()),
                false => reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, missing.join("\n") + "\n"),
            }
        }
        "/metrics" => match metrics.text() {
            Ok(text) => reply(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
            Err(why) => reply(StatusCode::NOT_IMPLEMENTED, TEXT, why.into()),
        },
        _ => reply(StatusCode::NOT_FOUND, TEXT, "there are /metrics, /live and /ready\n".into()),
    }
}

fn reply(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}
