//! What the library carries beside a record, and gives back with its outcome.
#![allow(unsafe_code, reason = "it carries one pointer")]

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;

use micro_core::Error;
use micro_core::broker::{Message, Position, Promise, Receipt, Topic};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::Message as _;
use rdkafka::producer::DeliveryResult;
use rdkafka::util::IntoOpaque;

use crate::error::convert;
use crate::publisher::Flow;
use crate::topics::Topics;

/// A record on its way: where its receipt goes.
///
/// It points into its batch and holds one reference to it: a batch is one allocation for all of its messages.
pub(crate) struct Sent(NonNull<Slot>);

/// One message of a batch.
struct Slot {
    batch: *const Batch,
    entry: usize,
    bytes: usize,
}

// SAFETY: a slot does not change, and its batch, to which a reference is held, may be used by all threads.
unsafe impl Send for Sent {}
// SAFETY: as above.
unsafe impl Sync for Sent {}

impl Sent {
    pub(crate) fn new(batch: &Arc<Batch>, entry: usize) -> Self {
        let slot = NonNull::from(&batch.slots[entry]);
        let _held = ManuallyDrop::new(Arc::clone(batch));
        Self(slot)
    }

    fn slot(&self) -> &Slot {
        // SAFETY: the slot lies in the batch, to which this holds a reference.
        unsafe { self.0.as_ref() }
    }

    fn batch(&self) -> &Batch {
        // SAFETY: as above.
        unsafe { &*self.slot().batch }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        // SAFETY: the reference that was taken in `new` is given back once.
        drop(unsafe { Arc::from_raw(self.slot().batch) });
    }
}

impl IntoOpaque for Sent {
    fn into_ptr(self) -> *mut c_void {
        ManuallyDrop::new(self).0.as_ptr().cast()
    }

    unsafe fn from_ptr(pointer: *mut c_void) -> Self {
        // SAFETY: the library gives back what `into_ptr` gave it, once.
        Self(unsafe { NonNull::new_unchecked(pointer.cast()) })
    }
}

/// Messages that were published in one call.
pub(crate) struct Batch {
    topic: Topic,
    address: Arc<str>,
    promise: Promise<Receipt>,
    slots: Box<[Slot]>,
}

// SAFETY: the pointers in its slots are to itself, and are only read.
unsafe impl Send for Batch {}
// SAFETY: as above.
unsafe impl Sync for Batch {}

impl Sent {
    /// Fills in the receipt. Called by the client's own thread.
    pub(crate) fn delivered(self, result: &DeliveryResult<'_>, flow: &Flow, topics: &Topics) {
        let outcome = match result {
            Ok(message) => Ok(receipt(message.partition(), message.offset())),
            Err((error, _)) => {
                if let Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::TopicAuthorizationFailed) =
                    error.rdkafka_error_code()
                {
                    // Deleted meanwhile: the next message looks for it anew. Where it was forbidden, the library refuses
                    // all that follows, until it hears of the topic again; that may take minutes.
                    topics.forget(&self.batch().topic);
                }
                Err(self.batch().error(convert("the message was not published", error)))
            }
        };
        if outcome.is_err() {
            flow.refuse();
        }
        flow.remove(self.slot().bytes);
        self.batch().promise.complete(self.slot().entry, outcome);
    }

    /// Fills in why it did not even begin.
    pub(crate) fn refused(self, error: Error, flow: &Flow) {
        flow.remove(self.slot().bytes);
        self.batch().refuse(self.slot().entry, error, flow);
    }
}

fn receipt(partition: i32, offset: i64) -> Receipt {
    match (u32::try_from(partition), u64::try_from(offset)) {
        (Ok(partition), Ok(offset)) => Receipt::at(Position::Offset { partition, offset }),
        _ => Receipt::default(),
    }
}

impl Batch {
    pub(crate) fn new(topic: Topic, address: Arc<str>, messages: &[Message], promise: Promise<Receipt>) -> Arc<Self> {
        Arc::new_cyclic(|batch| Self {
            topic,
            address,
            promise,
            slots: messages
                .iter()
                .enumerate()
                .map(|(entry, message)| Slot { batch: batch.as_ptr(), entry, bytes: message.body.len() })
                .collect(),
        })
    }

    pub(crate) fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Fills in why a message was not sent.
    pub(crate) fn refuse(&self, entry: usize, error: Error, flow: &Flow) {
        flow.refuse();
        self.promise.complete(entry, Err(self.error(error)));
    }

    fn error(&self, error: Error) -> Error {
        error.operation("broker.publish").with("topic", &self.topic).with("address", &self.address)
    }
}
