//! Hears what others tell and ask, and answers.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep_until};

use super::{Member, json};
use crate::error::Failed;
use crate::link::{Ears, Link};
use crate::message::{Action, Answer, Message, Sender, key};

impl Member {
    /// Hears and answers until the link is over, and then ends the watches: what they miss they would not know.
    pub(super) async fn listen(self: Arc<Self>, link: Arc<Link>, mut ears: Ears) {
        loop {
            let due = self.lock().due;
            tokio::select! {
                biased;
                () = link.over() => break,
                told = ears.told.next() => match told {
                    Some(told) => self.hear(&told.payload),
                    None => break,
                },
                // After what was told before it: who asks after a change is told of that.
                asked = ears.asked.next() => match asked {
                    Some(asked) => {
                        if let Some(to) = asked.reply {
                            self.answer(&link, &asked.payload, &to).await;
                        }
                    }
                    None => break,
                },
                () = self.sooner.notified() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.expire(&link).await,
            }
        }
        let error = Failed::Away("the connection ended".to_owned()).error(&self.config, "registry.watch");
        self.lock().watches.end(&error);
        self.changed.notify_one();
    }

    fn hear(&self, told: &Bytes) {
        let at = self.config.watch.as_str();
        let Ok(Message { action, service: Some(service), sender }) = serde_json::from_slice::<Message<'_>>(told) else {
            self.unreadable.leave_out::<()>(at, &"it is no message of a registry");
            return;
        };
        let (ours, now) = (self.is_ours(&sender), Instant::now());
        let mut state = self.lock();
        for node in &service.nodes {
            let (key, record) = (key(&service.name, &node.id), service.with_only(node.clone()));
            match action {
                Action::Create | Action::Update => {
                    if ours {
                        state.own.told(&key, now);
                    } else {
                        state.own.superseded(&key, now);
                    }
                    state.gone.came(&key);
                    let watches: Vec<_> = state.watches.of(&service.name).collect();
                    for watched in watches {
                        state.due_by(watched.hear(&record, sender.get_ttl()));
                    }
                }
                Action::Delete => {
                    if !ours {
                        state.own.remove(&key, &service.version);
                    }
                    for watched in state.watches.of(&service.name) {
                        watched.remove(&key, &service.version);
                    }
                    state.gone.went(key, &service.version, now);
                }
                Action::Get | Action::List => {}
            }
        }
        if ours && let Some(waits) = sender.number.and_then(|number| state.waiting.remove(&number)) {
            let _ = waits.send(());
        }
    }

    async fn answer(&self, link: &Link, asked: &Bytes, to: &async_nats::Subject) {
        let question = match serde_json::from_slice::<Message<'_>>(asked) {
            Ok(question) if matches!(question.action, Action::Get | Action::List) => question,
            _ => return self.unreadable.leave_out::<()>(&self.config.query, &"it is no question").unwrap_or_default(),
        };
        let service = match (question.action, &question.service) {
            (Action::Get, Some(service)) => Some(service.name.as_str()),
            (Action::Get, None) => return,
            _ => None,
        };
        let records = self.lock().own.records(service, Instant::now());
        for (record, left) in records {
            let sender = Sender::new(&self.name).ttl(left);
            let answered = match serde_json::to_vec(&Answer { record: &record, sender }) {
                Ok(answer) => link.publish(to.clone(), answer).await,
                Err(_) => continue,
            };
            if let Err(failed) = answered {
                tracing::debug!(?failed, "who asked the NATS registry for a node gets no answer");
            }
        }
    }

    /// Takes away what is over, and tells so of what is ours.
    async fn expire(&self, link: &Link) {
        let now = Instant::now();
        let over = {
            let mut state = self.lock();
            let over = state.own.expire(now);
            let watches = state.watches.all().filter_map(|watched| watched.expire(now)).min();
            state.due = state.own.next_end().into_iter().chain(watches).min();
            over
        };
        for record in over {
            let told =
                Message { action: Action::Delete, service: Some(Cow::Owned(record)), sender: Sender::new(&self.name) };
            if let Ok(told) = json(&told) {
                let _ = link.publish(self.config.watch.clone(), told).await;
            }
        }
    }
}
