use std::sync::Arc;

use micro_core::broker::{Capability, Message, Outcomes, Receipts, Topic};

use crate::config::Settings;
use crate::folder::Folder;
use crate::job::{Job, Publish};

/// As large a body as a message may have: it is one value in the database and one piece of memory.
pub(crate) const MAX_BODY: usize = 64 << 20;

/// Enqueues messages for the writer thread; what cannot be sent is answered at once, the others go on.
pub(crate) fn publish(
    folder: &Folder,
    settings: &Arc<Settings>,
    capability: &Capability,
    topic: &Topic,
    mut messages: Vec<Message>,
) -> Receipts {
    if messages.is_empty() {
        return Receipts::ready(Vec::new());
    }
    let (receipts, promise) = Outcomes::pending(messages.len());
    let mut entries = None;
    if messages.iter().any(|message| message.check("embedded", capability).is_err()) {
        let mut kept = Vec::new();
        let mut entry = 0;
        messages.retain(|message| {
            let checked = message.check("embedded", capability);
            entry += 1;
            match checked {
                Ok(()) => kept.push(entry - 1),
                Err(error) => promise.complete(entry - 1, Err(error.operation("broker.publish").with("topic", topic))),
            }
            kept.last() == Some(&(entry - 1))
        });
        entries = Some(kept);
    }
    if !messages.is_empty() {
        let places = Vec::with_capacity(messages.len());
        let (topic, settings) = (topic.clone(), Arc::clone(settings));
        folder.push(Job::Publish(Publish { topic, messages, entries, settings, places, refused: None, promise }));
    }
    receipts
}
