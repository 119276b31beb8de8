//! How long calls are still taken after the node was taken out of the registry.

use std::time::Duration;

/// Time for the watchers of other processes to hear of it.
const USUAL: Duration = Duration::from_millis(500);

/// What decides it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    wait: Duration,
    /// Also where nobody found the service by the registry.
    always: bool,
}

impl Leave {
    /// `set` is what somebody asked for; else it is the usual time, for a service that other processes may be calling.
    pub(super) fn new(set: Option<Duration>, registry: &str, is_called: bool) -> Self {
        // The memory registry has told everybody when it returns.
        let usual = if registry == "memory" || !is_called { Duration::ZERO } else { USUAL };
        Self { wait: set.unwrap_or(usual), always: set.is_some() }
    }

    /// Returns how long, of the time there is for the whole stop: handlers shall have some of it, too.
    pub(super) fn wait(self, was_registered: bool, drain: Duration) -> Duration {
        if was_registered || self.always { self.wait.min(drain / 2) } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Duration = Duration::from_secs(10);

    #[test]
    fn only_a_service_that_another_process_may_be_calling_waits() {
        assert_eq!(Leave::new(None, "embedded", true).wait(true, DRAIN), USUAL);
        for (leave, registered) in [
            (Leave::new(None, "memory", true), true),
            (Leave::new(None, "embedded", false), true),
            (Leave::new(None, "embedded", true), false),
        ] {
            assert_eq!(leave.wait(registered, DRAIN), Duration::ZERO, "{leave:?} {registered}");
        }
    }

    #[test]
    fn what_is_set_holds_for_all_and_half_the_drain_is_the_most() {
        let leave = Leave::new(Some(Duration::from_secs(3)), "memory", false);
        assert_eq!(leave.wait(false, DRAIN), Duration::from_secs(3));
        assert_eq!(leave.wait(false, DRAIN / 5), Duration::from_secs(1));
        assert_eq!(leave.wait(false, Duration::ZERO), Duration::ZERO);
        assert_eq!(Leave::new(Some(Duration::ZERO), "embedded", true).wait(true, DRAIN), Duration::ZERO);
    }
}
