//! Whether a service can be found and does its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use micro_core::broker::Broker;

/// What `/ready` asks. A service is ready once it has started, which includes a connected broker, while it is registered
/// and its broker answers, and until it begins to stop.
#[derive(Debug)]
pub(crate) struct Ready {
    service: String,
    broker: Arc<dyn Broker>,
    started: AtomicBool,
    registered: Arc<AtomicBool>,
    stopping: AtomicBool,
}

impl Ready {
    pub(crate) fn new(service: &str, broker: Arc<dyn Broker>) -> Self {
        Self {
            service: service.to_owned(),
            broker,
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

    /// Returns the service's name and what is missing, its broker's answer included, for which it waits up to 3 s.
    pub(crate) async fn missing_now(&self) -> Option<String> {
        if let Some(missing) = self.missing() {
            return Some(missing);
        }
        let ill = self.broker.health().await.err()?;
        Some(format!("{} has no broker that answers: {ill}", self.service))
    }

    /// Returns the service's name and what is missing, as far as it is known without asking anybody.
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
    use micro_core::broker::Memory;

    use super::*;

    // features: M5
    #[test]
    fn a_service_is_ready_from_its_registration_until_its_stop() {
        let ready = Ready::new("greeter", Arc::new(Memory::new()));
        assert!(ready.missing().unwrap().starts_with("greeter is starting"));
        ready.started();
        assert!(ready.missing().unwrap().starts_with("greeter is not registered"));
        ready.registered().store(true, Ordering::Release);
        assert_eq!(ready.missing(), None);
        ready.stopping();
        assert_eq!(ready.missing().unwrap(), "greeter is stopping");
    }

    // features: M5
    #[tokio::test]
    async fn a_service_is_not_ready_while_its_broker_does_not_answer() {
        let broker = Arc::new(Memory::new());
        let ready = Ready::new("greeter", Arc::<Memory>::clone(&broker));
        ready.started();
        ready.registered().store(true, Ordering::Release);
        let missing = ready.missing_now().await.unwrap();
        assert!(
            missing.starts_with("greeter has no broker that answers: the memory broker is not connected"),
            "{missing}"
        );
        broker.connect().await.unwrap();
        assert_eq!(ready.missing_now().await, None);
        ready.stopping();
        assert_eq!(ready.missing_now().await.unwrap(), "greeter is stopping");
    }
}
