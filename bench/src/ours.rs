//! micro-rpc: the server, the client, and callers on its cores.

use std::sync::Arc;
use std::time::Duration;

use micro_core::Result;
use micro_core::registry::{Memory, Node, Registry as _, Service};
use micro_rpc::{Client, Endpoint, Server, ServerOptions, Stream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::child::until_parent_ends;
use crate::driver::Task;
use crate::echo::Echo;

const SERVICE: &str = "bench";
const UNARY: &str = "Echo.Unary";
const STREAM: &str = "Echo.Stream";

/// The server: every message comes back.
pub(crate) fn server() -> Server {
    let mut server = Server::new(ServerOptions::new(SERVICE).address("127.0.0.1:0"));
    server.handle(Endpoint::unary(UNARY, |_, echo: Echo| async move { Ok(echo) }));
    server.handle(Endpoint::stream(STREAM, |_, mut requests: micro_rpc::Receiver<Echo>, responses| async move {
        while let Some(echo) = requests.recv().await? {
            responses.send(echo).await?;
        }
        Ok(())
    }));
    server
}

/// Serves until the parent ends; prints the address.
pub(crate) fn serve() -> crate::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let running = runtime.block_on(server().start()).map_err(|e| e.to_string())?;
    println!("{}", running.address());
    until_parent_ends();
    Ok(())
}

/// A client with connections of its own, that finds the server in a registry as any client does.
pub(crate) async fn client(address: &str) -> Result<Client> {
    let registry = Memory::new();
    let node = Node::new("bench-1", address);
    registry.register(&Service::new(SERVICE, "latest").node(node), Duration::from_secs(3600)).await?;
    Ok(Client::builder().registry(Arc::new(registry)).build())
}

/// One call.
pub(crate) async fn call(client: &Client, echo: &Echo) -> Result<Echo> {
    client.call(SERVICE, UNARY, echo).await
}

/// One bidirectional stream.
pub(crate) async fn stream(client: &Client) -> Result<Stream<Echo, Echo>> {
    client.stream(SERVICE, STREAM).await
}

/// Places on the cores: what is spawned on one place shares a core, as the calls that a handler makes do.
#[derive(Debug)]
pub(crate) struct Places(Vec<UnboundedSender<Task>>);

impl Places {
    /// Takes this many places, on the cores in turn.
    pub(crate) fn new(count: usize) -> Self {
        let place = |_| {
            let (sender, mut tasks) = unbounded_channel::<Task>();
            micro_rpc::spawn(async move {
                while let Some(task) = tasks.recv().await {
                    micro_rpc::spawn(task);
                }
            });
            sender
        };
        Self((0..count).map(place).collect())
    }

    /// Runs a task there.
    pub(crate) fn spawn(&self, place: usize, task: Task) {
        // The receiver lives as long as the process.
        let _ = self.0[place % self.0.len()].send(task);
    }
}
