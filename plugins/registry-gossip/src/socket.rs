use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chitchat::transport::{RecvOutcome, SendOutcome, Socket, Transport, UdpSocket};
use chitchat::{ChitchatEnvelope, ChitchatMessage};
use tokio::sync::watch;

/// Hands over the one socket, which was bound before so that its port is known.
pub(crate) struct Bound(Mutex<Option<Box<dyn Socket>>>);

/// Keeps other clusters out, and counts what tells others of our changes.
struct Guarded {
    socket: UdpSocket,
    domain: String,
    /// How often others were sent what they did not know.
    told: Arc<watch::Sender<u64>>,
    failing: bool,
}

impl Bound {
    pub(crate) fn new(socket: UdpSocket, domain: String, told: Arc<watch::Sender<u64>>) -> Self {
        Self(Mutex::new(Some(Box::new(Guarded { socket, domain, told, failing: false }))))
    }
}

#[async_trait]
impl Transport for Bound {
    async fn open(&self, listen: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        socket.ok_or_else(|| anyhow::anyhow!("the socket at {listen} was taken already"))
    }
}

#[async_trait]
impl Socket for Guarded {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        self.socket.local_addr()
    }

    async fn send(&mut self, to: SocketAddr, envelope: ChitchatEnvelope) -> anyhow::Result<SendOutcome> {
        let tells = matches!(envelope.message, ChitchatMessage::SynAck { .. } | ChitchatMessage::Ack { .. });
        match self.socket.send(to, envelope).await {
            Ok(sent) => {
                self.failing = false;
                if tells {
                    self.told.send_modify(|told| *told += 1);
                }
                Ok(sent)
            }
            // A network that is away is silence, and said once.
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%to, error = format!("{error:#}"), "the gossip registry cannot send; it goes on trying");
                }
                Ok(SendOutcome { num_bytes_sent: 0 })
            }
        }
    }

    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        loop {
            let heard = self.socket.recv().await?;
            match &heard.envelope.message {
                ChitchatMessage::Syn { cluster_id, .. } if *cluster_id != self.domain => {
                    tracing::debug!(from = %heard.from_addr, domain = %cluster_id, "gossip of another domain is left out");
                }
                ChitchatMessage::BadCluster => {}
                _ => return Ok(heard),
            }
        }
    }
}
