//! Asks what there is.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use micro_core::registry::Service;
use tokio::time::{Instant, sleep};

use super::{Member, json};
use crate::error::Failed;
use crate::link::Link;
use crate::message::{Action, Message, Sender, key};
use crate::own::key_of;
use crate::watch::{ROUND, Watched};

/// What somebody answered.
pub(super) struct Answered {
    pub(super) record: Service,
    sender: Sender,
}

impl Member {
    /// Asks what is watched again and again, and at first whether somebody else has by now what we had.
    pub(super) async fn look_around(self: Arc<Self>, link: Arc<Link>, had: Vec<String>) {
        self.come_back(&link, had).await;
        loop {
            let wait = ROUND.mul_f64(0.9 + fastrand::f64() / 5.0);
            tokio::select! {
                () = link.over() => return,
                () = sleep(wait) => {}
                () = link.missed.notified() => {}
            }
            let watches: Vec<_> = self.lock().watches.all().collect();
            let services: BTreeSet<_> = match watches.iter().any(|watched| watched.service.is_none()) {
                true => [None].into(),
                false => watches.iter().map(|watched| watched.service.as_deref()).collect(),
            };
            for service in services {
                if let Err(failed) = self.look(&link, service, &watches).await {
                    tracing::debug!(?failed, "the NATS registry cannot ask what it watches now; it tries again");
                }
            }
        }
    }

    /// Says that we are here with the nodes that we had, but for those that somebody else has by now.
    async fn come_back(&self, link: &Link, had: Vec<String>) {
        let services: BTreeSet<_> =
            had.iter().filter_map(|key| self.lock().own.record(key)).map(|(r, _)| r.name).collect();
        for service in services {
            let asked = Instant::now();
            for answer in self.ask(link, Some(&service)).await.unwrap_or_default() {
                if !self.is_ours(&answer.sender) {
                    self.lock().own.superseded(&key_of(&answer.record), asked);
                }
            }
        }
        for key in had {
            // As it is now: it may have gone meanwhile.
            let still = self.lock().own.record(&key);
            if let Some((record, left)) = still {
                let _ = self.tell(link, Action::Create, &record, Some(left)).await;
            }
        }
    }

    /// Asks for a service, or for all, and tells the watches that it is for.
    pub(super) async fn look(
        &self,
        link: &Link,
        service: Option<&str>,
        watches: &[Arc<Watched>],
    ) -> Result<(), Failed> {
        let asked = Instant::now();
        for Answered { record, sender } in self.ask(link, service).await? {
            for watched in watches.iter().filter(|watched| watched.is_of(&record.name)) {
                if let Some(until) = watched.answered(&record, sender.get_ttl(), asked) {
                    self.due_by(until);
                }
            }
        }
        Ok(())
    }

    /// Returns what is answered, one node a record, but for what is known to be gone.
    pub(super) async fn ask(&self, link: &Link, service: Option<&str>) -> Result<Vec<Answered>, Failed> {
        let asked = Instant::now();
        let question = Message {
            action: if service.is_some() { Action::Get } else { Action::List },
            service: service.map(|service| Cow::Owned(Service::new(service, ""))),
            sender: Sender::new(&self.name),
        };
        let answers = link.ask(json(&question)?).await?;
        let mut found = Vec::new();
        for answer in answers {
            let Some(record) = self.unreadable.read(service.unwrap_or(&self.config.query), &answer) else { continue };
            if service.is_some_and(|service| service != record.name) {
                continue;
            }
            let sender = Sender::of(&answer);
            let state = self.lock();
            for node in &record.nodes {
                // go-micro's programs answer for what they deregistered.
                let is_told = sender.get_ttl().is_none();
                if !state.gone.is_gone(&key(&record.name, &node.id), &record.version, asked, is_told) {
                    found.push(Answered { record: record.with_only(node.clone()), sender: sender.clone() });
                }
            }
        }
        Ok(found)
    }
}
