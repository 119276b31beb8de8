//! Whether a service can be found and does its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What `/ready` asks. A service is ready once it has started, which includes a connected broker, while it is registered,
/// and until it begins to stop.
#[derive(Debug)]
pub(crate) struct Ready {
    service: String,
    started: AtomicBool,
    registered: Arc<AtomicBool>,
    stopping: AtomicBool,
}

impl Ready {
    pub(crate) fn new(service: &str) -> Self {
        Self {
            service: service.to_owned(),
            started: AtomicBool::new(false),
            registered: Arc::default(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Returns the mark that the registration keeps.
    pub(crate) fn registered(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.registered)
    }

    pub(crate) fn started(&self) {
        self.started.store(true, Ordering::Release);
    }

    pub(crate) fn stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Returns the service's name and what is missing.
    pub(crate) fn missing(&self) -> Option<String> {
        let missing = if self.stopping.load(Ordering::Acquire) {
            "is stopping"
        } else if !self.started.load(Ordering::Acquire) {
            "is starting: its broker is not connected or its subscriptions are not live"
        } else if !self.registered.load(Ordering::Acquire) {
            "is not registered: its registry does not answer"
        } else {
            return None;
        };
        Some(format!("{} {missing}", self.service))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // features: M5
    #[test]
    fn a_service_is_ready_from_its_registration_until_its_stop() {
        let ready = Ready::new("greeter");
        assert!(ready.missing().unwrap().starts_with("greeter is starting"));
        ready.started();
        assert!(ready.missing().unwrap().starts_with("greeter is not registered"));
        ready.registered().store(true, Ordering::Release);
        assert_eq!(ready.missing(), None);
        ready.stopping();
        assert_eq!(ready.missing().unwrap(), "greeter is stopping");
    }
}
