use std::fmt;
use std::time::Duration;

/// What a soak needs of a plugin.
pub trait Fixture: fmt::Debug {
    /// Returns the plugin's name, as it stands in the report.
    fn name(&self) -> &'static str;

    /// Returns the address that each program makes its client of.
    fn address(&self) -> String;

    /// Returns the server that may be killed, where there is one.
    fn server(&self) -> Option<&dyn Server> {
        None
    }

    /// Returns the lease of a member. Default 30 s; shorter where a server learns of a death only by it.
    fn lease(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// Returns how long programs are killed in a round, before the rest is handled in peace. Default 1 s.
    fn trouble(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Returns how often somebody is killed in a round, at most. Default 6.
    fn kills(&self) -> usize {
        6
    }
}

/// A server that a soak kills. A method that cannot do its work panics.
pub trait Server: fmt::Debug {
    /// Kills it without a warning.
    fn kill(&self);

    /// Starts it again, with what it has on disk, and returns when it is ready.
    fn start(&self);
}
