//! The socket, and the one that hands its connections to the cores in turn.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use micro_core::{Error, Kind, Result};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Phase, Shared, connection};
use crate::cores;
use crate::wire::socket;

const BACKLOG: i32 = 1024;

/// Opens `host:port`; without a host every address, IPv6 and IPv4.
pub(super) async fn open(address: &str) -> Result<StdListener> {
    let (host, port) = address.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).ok_or_else(|| {
        Error::new(
            Kind::Config,
            format!("the server address {address:?} is none; write host:port, or :0 for a free port"),
        )
    })?;
    let port = port.parse().unwrap_or(0);
    let opened = if host.is_empty() {
        // Where IPv6 is switched off, IPv4 alone.
        bind((Ipv6Addr::UNSPECIFIED, port).into()).or_else(|_| bind(([0, 0, 0, 0], port).into()))
    } else {
        resolve(host, port).await.and_then(bind)
    };
    opened.map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("port {port} is in use already (address {address}); stop who has it, or choose another port")
            }
            _ => format!("the server cannot listen at {address}"),
        };
        Error::new(Kind::Unavailable, what).operation("server.start").source(error)
    })
}

async fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if let Ok(ip) = host.parse() {
        return Ok(SocketAddr::new(ip, port));
    }
    let found = cores::hop(async move { tokio::net::lookup_host((host, port)).await.map(|mut found| found.next()) });
    found.await.map_err(io::Error::other)??.ok_or_else(|| io::Error::other("the host has no address"))
}

fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes connections until the server stops. One acceptor that deals them out, not one socket a core: the kernel spreads
/// few connections badly.
pub(super) fn accept(listener: StdListener, shared: Arc<Shared>, mut phase: watch::Receiver<Phase>) {
    cores::handle(cores::next()).spawn(async move {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "the server cannot accept connections"),
        };
        let mut pause = Pause::default();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    pause = Pause::default();
                    hand_out(stream, peer, &shared, &phase);
                }
                Err(error) => pause.after(&error).await,
            }
        }
        // Those that came before the end wait in the kernel: closed with the listener they would be reset, and their callers
        // could not know whether their calls ran. Taken, they are told to go elsewhere.
        let Ok(listener) = listener.into_std() else { return };
        for _ in 0..BACKLOG {
            let Ok((stream, peer)) = listener.accept() else { return };
            if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                hand_out(stream, peer, &shared, &phase);
            }
        }
    });
}

/// How long to wait after a failed accept: out of file handles, it fails again at once.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(5))
    }
}

impl Pause {
    async fn after(&mut self, error: &io::Error) {
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            return;
        }
        tracing::warn!(%error, "a connection could not be accepted; trying again");
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(1));
    }
}

fn hand_out(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>, phase: &watch::Receiver<Phase>) {
    if shared.stats.connections() >= shared.options.connection_limit() {
        tracing::warn!(%peer, "a connection is closed at once: the server has as many as it may");
        return;
    }
    let connected = shared.stats.connect();
    let keep_alive = shared.options.keep_alive_times();
    socket::prepare(&stream, keep_alive.interval + keep_alive.timeout);
    let Ok(stream) = stream.into_std() else { return };
    let (shared, phase) = (shared.clone(), phase.clone());
    cores::handle(cores::next()).spawn(async move {
        if let Ok(stream) = TcpStream::from_std(stream) {
            connection::serve(stream, peer, shared, phase).await;
        }
        drop(connected);
    });
}
