use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use micro_core::broker::Broker;

use crate::Limits;

/// What the suite needs of a plugin.
pub trait Fixture: fmt::Debug + Send + Sync + 'static {
    /// Returns the plugin's name, as it stands in the report. One plugin may have several, as one a dialect.
    fn name(&self) -> &'static str;

    /// Makes another client of the same server, not connected: as another process would.
    fn client(&self) -> Arc<dyn Broker>;

    /// Makes a client of an address on 127.0.0.1 where nobody listens, with the password `secret` where one can be given;
    /// `None` where a plugin has no server.
    fn nobody(&self) -> Option<Arc<dyn Broker>> {
        None
    }

    /// Starts a server that one case has for itself. Blocks until it is ready. `None` where a plugin has no server.
    fn server(&self) -> Option<Arc<dyn Server>> {
        None
    }

    /// Makes a client that has its topics to itself, and whose consumers can be counted. `None` where they cannot.
    fn counted(&self) -> Option<Arc<dyn Counted>> {
        None
    }

    /// Makes a client that may not make topics; `None` where there is no such setting.
    fn strict(&self) -> Option<Arc<dyn Broker>> {
        None
    }

    /// Gives a server that asks for an account; `None` where a plugin has none.
    fn guarded(&self) -> Option<Arc<dyn Guarded>> {
        None
    }

    /// Tells whether the plugin goes by tokio's clock in everything, so that a case may stop it and let it jump.
    fn simulated(&self) -> bool {
        false
    }

    /// Returns how many nodes the server of [`server`](Self::server) has. Default 1, for which nothing need be given.
    fn nodes(&self) -> usize {
        1
    }

    /// Returns how long the suite waits.
    fn limits(&self) -> Limits {
        Limits::default()
    }
}

/// A client whose consumers can be counted.
pub trait Counted: fmt::Debug + Send + Sync + 'static {
    /// Returns the client, the same at every call, not connected at first.
    fn client(&self) -> Arc<dyn Broker>;

    /// Counts what it holds open to receive: consumers, members, sockets that listen.
    fn consumers(&self) -> usize;
}

/// A server that asks for an account.
pub trait Guarded: fmt::Debug + Send + Sync + 'static {
    /// Makes a client with the right account, not connected.
    fn friend(&self) -> Arc<dyn Broker>;

    /// Returns the passwords of friend and stranger, which nothing may show.
    fn passwords(&self) -> Vec<String>;

    /// Makes a client with a wrong password, not connected. It waits 10 s for the server when it connects.
    fn stranger(&self) -> Arc<dyn Broker>;

    /// Counts how often strangers have dialled so far.
    fn dialled(&self) -> u64;
}

/// How many times what `ready` waits at a narrow client refuses at the most.
pub const REFUSED_AT: usize = 4;

/// A server that a case has for itself, behind something that can cut its connections. Every method may block; one that
/// cannot do its work panics.
pub trait Server: fmt::Debug + Send + Sync + 'static {
    /// Makes a client of it, not connected.
    fn client(&self) -> Arc<dyn Broker>;

    /// Makes a client, not connected, that waits so long for the server when it connects.
    fn patient(&self, limit: Duration) -> Arc<dyn Broker>;

    /// Makes a client, not connected, that keeps so many bytes of bodies, a mebibyte at least, until they are confirmed:
    /// from there on `ready` waits, and at [`REFUSED_AT`] times as many a publish is refused.
    fn narrow(&self, bytes: usize) -> Arc<dyn Broker>;

    /// Kills it without a warning, all nodes of it.
    fn kill(&self);

    /// Starts it again, whatever of it is down, with what it has on disk, and returns when it is ready.
    fn start(&self);

    /// Kills one node without a warning; nodes are counted from 1 to [`Fixture::nodes`]. Default: the only one there is.
    fn kill_node(&self, node: usize) {
        let _ = node;
        self.kill();
    }

    /// Starts one node again, with what it has on disk, and returns when it is ready. Most others are up meanwhile.
    /// Default: the only one there is.
    fn start_node(&self, node: usize) {
        let _ = node;
        self.start();
    }

    /// Cuts its connections, and refuses new ones.
    fn cut(&self);

    /// Swallows what is sent, without closing anything.
    fn hold(&self);

    /// Lets connections and packets through again.
    fn heal(&self);
}
