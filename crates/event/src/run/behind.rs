use micro_core::broker::{Queue, Topic};

use super::member::Member;

/// Tells when handlers are slower than what comes: all that may be in flight is, and was not even taken once since the last
/// look. One that works off a backlog takes it many times meanwhile.
#[derive(Debug, Default)]
pub(super) struct Behind {
    pulled: usize,
    told: bool,
}

impl Behind {
    pub(super) fn pulled(&mut self, deliveries: usize) {
        self.pulled += deliveries;
    }

    /// Looks at a member, and tells once when it falls behind, and once when it has caught up.
    pub(super) fn look(&mut self, member: &Member, topic: &Topic, queue: Option<&Queue>, in_flight: usize) {
        let full = member.in_hand() >= in_flight;
        let behind = full && std::mem::take(&mut self.pulled) < in_flight;
        self.pulled = 0;
        member.measure.behind.set(f64::from(u8::from(behind)));
        let queue = queue.map_or("", Queue::as_str);
        match (self.told, behind) {
            (false, true) => tracing::warn!(
                %topic, queue, in_flight,
                "a slow consumer: its handlers have all that it may have in flight, and nothing more is taken meanwhile; \
                 let more of them run at once (concurrency), or start more members of the queue"
            ),
            (true, false) if !full => tracing::info!(%topic, queue, "the slow consumer has caught up"),
            (true, false) => return,
            _ => {}
        }
        self.told = behind;
    }
}
