use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use micro_conformance::transport::{Receiver, Sender, Upload};
use micro_core::Result;
use tokio::time::sleep;

use super::wrong::Wrong;

/// Where the messages of a stream go wrong.
const AT: usize = 100;

/// Counts the streams of a client that are open.
#[derive(Debug, Clone, Default)]
pub(super) struct Open(Arc<AtomicUsize>);

impl Open {
    pub(super) fn begin(&self) -> Self {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.clone()
    }

    fn end(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) async fn none(&self) {
        while self.0.load(Ordering::SeqCst) > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The receiving direction at the client.
pub(super) struct In {
    pub(super) inner: Option<Box<dyn Receiver>>,
    pub(super) wrong: Wrong,
    pub(super) sent_all: Arc<AtomicBool>,
    pub(super) open: Open,
    count: usize,
    ready: VecDeque<Bytes>,
}

impl In {
    pub(super) fn new(inner: Box<dyn Receiver>, wrong: Wrong, sent_all: &Arc<AtomicBool>, open: Open) -> Self {
        let (sent_all, ready) = (Arc::clone(sent_all), VecDeque::new());
        Self { inner: Some(inner), wrong, sent_all, open, count: 0, ready }
    }

    async fn pull(&mut self) -> Result<Option<Bytes>> {
        self.count += 1;
        self.inner.as_mut().unwrap().recv().await
    }
}

#[async_trait]
impl Receiver for In {
    async fn recv(&mut self) -> Result<Option<Bytes>> {
        if let Some(message) = self.ready.pop_front() {
            return Ok(Some(message));
        }
        if self.wrong == Wrong::EndsBothSides && self.sent_all.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let pulled = self.pull().await;
        match (self.wrong, pulled) {
            (Wrong::LosesMessages, Ok(Some(_))) if self.count == AT => self.pull().await,
            (Wrong::DoublesMessages, Ok(Some(message))) if self.count == AT => {
                self.ready.push_back(message.clone());
                Ok(Some(message))
            }
            (Wrong::SwapsMessages, Ok(Some(message))) if self.count == AT => {
                let next = self.pull().await?;
                self.ready.push_back(message);
                Ok(next)
            }
            (Wrong::LosesTheLastMessage, Ok(Some(message))) => Ok(self.pull().await?.map(|next| {
                self.ready.push_back(next);
                message
            })),
            (Wrong::EndsWellInAnyCase, Err(_)) => Ok(None),
            (Wrong::TellsTheEndLate, end @ (Ok(None) | Err(_))) => {
                while !self.sent_all.load(Ordering::SeqCst) {
                    sleep(Duration::from_millis(5)).await;
                }
                end
            }
            (_, pulled) => pulled,
        }
    }
}

impl Drop for In {
    fn drop(&mut self) {
        self.open.end();
        if self.wrong == Wrong::ReceivesOn {
            std::mem::forget(self.inner.take());
        }
    }
}

/// The sending direction at the client.
pub(super) struct Out {
    pub(super) inner: Option<Box<dyn Sender>>,
    pub(super) wrong: Wrong,
    pub(super) sent_all: Arc<AtomicBool>,
}

#[async_trait]
impl Sender for Out {
    async fn send(&self, message: Bytes) -> Result<()> {
        if self.wrong == Wrong::HoldsMessagesBack {
            return Ok(());
        }
        let sent = self.inner.as_ref().unwrap().send(message).await;
        if self.wrong == Wrong::SendsToNobody { Ok(()) } else { sent }
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        self.sent_all.store(true, Ordering::SeqCst);
        if self.wrong == Wrong::NeverEndsItsSide {
            std::mem::forget(self.inner.take());
        }
    }
}

/// A call of many messages for one.
pub(super) struct Up {
    pub(super) inner: Option<Box<dyn Upload>>,
    pub(super) wrong: Wrong,
    pub(super) open: Open,
    pub(super) queued: Mutex<Vec<Bytes>>,
}

#[async_trait]
impl Upload for Up {
    async fn send(&self, message: Bytes) -> Result<()> {
        if self.wrong == Wrong::SendsWithoutLimit {
            self.queued.lock().unwrap().push(message);
            return Ok(());
        }
        self.inner.as_ref().unwrap().send(message).await
    }

    async fn finish(mut self: Box<Self>) -> Result<Bytes> {
        let (upload, queued) = (self.inner.take().unwrap(), std::mem::take(self.queued.get_mut().unwrap()));
        for message in queued {
            upload.send(message).await?;
        }
        upload.finish().await
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.open.end();
    }
}
