//! What the safe binding cannot do.
//!
//! - It panics on header names and commit metadata that are no UTF-8. Any program may have written them, so that a panic
//!   would be a message that kills its readers.
//! - It never tells the outcome of a commit that nobody blocks for.
//! - Its client for topics is one of its own, which takes no access tokens.
//! - It asks for the metadata of one topic, which may make it, or of all of them.
#![allow(unsafe_code, reason = "the binding has no safe way for these")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings::{
    rd_kafka_AdminOptions_destroy, rd_kafka_AdminOptions_new, rd_kafka_AdminOptions_set_request_timeout,
    rd_kafka_CreateTopics, rd_kafka_CreateTopics_result_topics, rd_kafka_NewTopic_destroy, rd_kafka_NewTopic_new,
    rd_kafka_NewTopic_set_config, rd_kafka_admin_op_t, rd_kafka_commit_queue, rd_kafka_consume_batch_queue,
    rd_kafka_event_CreateTopics_result, rd_kafka_event_destroy, rd_kafka_event_error, rd_kafka_header_get_all,
    rd_kafka_headers_t, rd_kafka_message_destroy, rd_kafka_message_headers, rd_kafka_message_t,
    rd_kafka_message_timestamp, rd_kafka_metadata, rd_kafka_metadata_destroy, rd_kafka_queue_destroy,
    rd_kafka_queue_get_consumer, rd_kafka_queue_get_partition, rd_kafka_queue_new, rd_kafka_queue_poll,
    rd_kafka_queue_t, rd_kafka_resp_err_t, rd_kafka_timestamp_type_t, rd_kafka_topic_result_error,
};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::context::Consumer;

/// Sends offsets; the outcome comes to the consumer's own queue, and so to its context's `commit_callback`.
///
/// # Errors
///
/// If it cannot even be enqueued: the consumer has no group.
pub(crate) fn commit(consumer: &Consumer, offsets: &TopicPartitionList) -> Result<(), KafkaError> {
    let client = consumer.client().native_ptr();
    // SAFETY: the client lives as long as the consumer, which is borrowed.
    let queue = unsafe { rd_kafka_queue_get_consumer(client) };
    if queue.is_null() {
        return Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::UnknownGroup));
    }
    // SAFETY: the list is borrowed and copied by the call; the call takes a reference of its own to the queue, so that
    // ours is given back after it.
    let code = unsafe {
        let code = rd_kafka_commit_queue(client, offsets.ptr(), queue, None, ptr::null_mut());
        rd_kafka_queue_destroy(queue);
        code
    };
    match code {
        rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(KafkaError::ConsumerCommit(code.into())),
    }
}

/// Asks a server for what is known of the cluster, with no more topics than this client uses, and waits for the answer.
///
/// # Errors
///
/// If none answers in time.
pub(crate) fn ask<C: rdkafka::ClientContext>(
    client: &rdkafka::client::Client<C>,
    limit: Duration,
) -> Result<(), RDKafkaErrorCode> {
    let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    let mut metadata = ptr::null();
    // SAFETY: the client is borrowed for the whole call; what it gives is destroyed here, once, and not looked at.
    let code = unsafe {
        let code = rd_kafka_metadata(client.native_ptr(), 0, ptr::null_mut(), &raw mut metadata, limit);
        if code == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            rd_kafka_metadata_destroy(metadata);
        }
        code
    };
    match code {
        rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(code.into()),
    }
}

/// Makes a topic and waits for the answer.
///
/// # Errors
///
/// The servers' answer; [`RDKafkaErrorCode::InvalidArgument`] for a name with a NUL in it, or numbers that no topic has.
pub(crate) fn create_topic<C: rdkafka::ClientContext>(
    client: &rdkafka::client::Client<C>,
    name: &str,
    (partitions, replication): (i32, i32),
    configs: &[(String, String)],
    limit: Duration,
) -> Result<(), RDKafkaErrorCode> {
    let text = |text: &str| CString::new(text).map_err(|_| RDKafkaErrorCode::InvalidArgument);
    let name = text(name)?;
    let configs =
        configs.iter().map(|(n, v)| Ok((text(n)?, text(v)?))).collect::<Result<Vec<_>, RDKafkaErrorCode>>()?;
    let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    let client = client.native_ptr();
    let mut said = [0 as c_char; 256];
    // SAFETY: the client is borrowed for the whole call; every object that is made here is destroyed here, once, and none
    // is used after that. The answer's parts are read before the event, which owns them, is destroyed.
    unsafe {
        let mut topic = rd_kafka_NewTopic_new(name.as_ptr(), partitions, replication, said.as_mut_ptr(), said.len());
        if topic.is_null() {
            return Err(RDKafkaErrorCode::InvalidArgument);
        }
        for (name, value) in &configs {
            // It fails for names that no config can have; the server then says which it does not know.
            rd_kafka_NewTopic_set_config(topic, name.as_ptr(), value.as_ptr());
        }
        let options = rd_kafka_AdminOptions_new(client, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS);
        rd_kafka_AdminOptions_set_request_timeout(options, limit, said.as_mut_ptr(), said.len());
        let queue = rd_kafka_queue_new(client);
        rd_kafka_CreateTopics(client, &mut topic, 1, options, queue);
        // The request has its limit; the second only guards.
        let event = rd_kafka_queue_poll(queue, limit.saturating_add(1000));
        let code = if event.is_null() {
            RDKafkaErrorCode::OperationTimedOut
        } else {
            let mut count = 0;
            let result = rd_kafka_event_CreateTopics_result(event);
            let answers = if result.is_null() {
                ptr::null_mut()
            } else {
                rd_kafka_CreateTopics_result_topics(result, &mut count)
            };
            match answers.is_null() || count == 0 {
                true => rd_kafka_event_error(event).into(),
                false => rd_kafka_topic_result_error(*answers).into(),
            }
        };
        if !event.is_null() {
            rd_kafka_event_destroy(event);
        }
        rd_kafka_queue_destroy(queue);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_NewTopic_destroy(topic);
        match code {
            RDKafkaErrorCode::NoError => Ok(()),
            code => Err(code),
        }
    }
}

/// The headers of a received message, name and value as bytes.
pub(crate) struct Headers<'a> {
    native: *const rd_kafka_headers_t,
    next: usize,
    message: PhantomData<&'a ()>,
}

/// A queue of one partition, that gives many messages at once.
///
/// The binding's own takes an event and two looks at the clock for each.
pub(crate) struct Partition {
    queue: NonNull<rd_kafka_queue_t>,
    /// What is taken belongs to it.
    _consumer: Arc<Consumer>,
}

// SAFETY: the library's queues may be used by all threads.
unsafe impl Send for Partition {}
// SAFETY: as above.
unsafe impl Sync for Partition {}

impl Partition {
    /// Finds the queue of a partition that was split off.
    pub(crate) fn of(consumer: &Arc<Consumer>, topic: &str, partition: i32) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client is borrowed, the name ends with a NUL; the reference is given back when this is dropped.
        let queue = unsafe { rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), partition) };
        Some(Self { queue: NonNull::new(queue)?, _consumer: Arc::clone(consumer) })
    }

    /// Takes what is there, as much as there is place for in `taken`, without waiting.
    pub(crate) fn take(&self, taken: &mut Taken) {
        debug_assert!(taken.next == taken.end, "what was taken before is used up");
        let room = taken.messages.len().min(taken.room);
        // SAFETY: the queue lives as long as this; the array has place for as many as are asked for.
        let count = unsafe { rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, taken.messages.as_mut_ptr(), room) };
        (taken.next, taken.end) = (0, usize::try_from(count).unwrap_or(0));
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and is given back once.
        unsafe { rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// How many are taken at once, at most.
pub(crate) const TAKEN: usize = 64;

/// Messages that were taken and not looked at.
pub(crate) struct Taken {
    messages: [*mut rd_kafka_message_t; TAKEN],
    next: usize,
    end: usize,
    room: usize,
}

impl Taken {
    /// Has place for so many.
    pub(crate) fn new(room: usize) -> Self {
        Self { messages: [ptr::null_mut(); TAKEN], next: 0, end: 0, room }
    }
}

impl Iterator for Taken {
    type Item = Result<Received, KafkaError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        let message = Received(NonNull::new(self.messages[self.next])?);
        self.next += 1;
        match message.get().err {
            rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Some(Ok(message)),
            rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
                Some(Err(KafkaError::PartitionEOF(message.get().partition)))
            }
            code => Some(Err(KafkaError::MessageConsumption(code.into()))),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// A message of the library.
pub(crate) struct Received(NonNull<rd_kafka_message_t>);

impl Received {
    fn get(&self) -> &rd_kafka_message_t {
        // SAFETY: it is ours until it is dropped.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn offset(&self) -> i64 {
        self.get().offset
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        let message = self.get();
        // SAFETY: the library's own pointer and length, in the message.
        (!message.key.is_null()).then(|| unsafe { std::slice::from_raw_parts(message.key.cast(), message.key_len) })
    }

    pub(crate) fn payload(&self) -> Option<&[u8]> {
        let message = self.get();
        // SAFETY: as above.
        (!message.payload.is_null()).then(|| unsafe { std::slice::from_raw_parts(message.payload.cast(), message.len) })
    }

    /// Milliseconds since 1970; -1 if it has no time.
    pub(crate) fn time(&self) -> i64 {
        let mut kind = rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is ours.
        let time = unsafe { rd_kafka_message_timestamp(self.0.as_ptr(), &mut kind) };
        if kind == rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE { -1 } else { time }
    }

    /// The headers in order; none where it has none.
    pub(crate) fn headers(&self) -> Headers<'_> {
        let mut native = ptr::null_mut();
        // SAFETY: the message is ours as long as the borrow; the headers belong to it.
        let code = unsafe { rd_kafka_message_headers(self.0.as_ptr(), &mut native) };
        let none = code != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        Headers { native: if none { ptr::null() } else { native }, next: 0, message: PhantomData }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        // SAFETY: it is ours, and given back once.
        unsafe { rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.native.is_null() {
            return None;
        }
        let mut name: *const c_char = ptr::null();
        let mut value: *const c_void = ptr::null();
        let mut size = 0;
        // SAFETY: the list is not null and lives as long as the message, which is borrowed for 'a.
        let code = unsafe { rd_kafka_header_get_all(self.native, self.next, &mut name, &mut value, &mut size) };
        if code != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
            return None;
        }
        self.next += 1;
        // SAFETY: the library ends every name with a NUL, and name and value lie in the message.
        let name = unsafe { CStr::from_ptr(name) }.to_bytes();
        let value = match value.is_null() {
            true => &[][..],
            // SAFETY: as above; `size` is the library's own length of the value.
            false => unsafe { std::slice::from_raw_parts(value.cast::<u8>(), size) },
        };
        Some((name, value))
    }
}

/// Returns the metadata that was committed with each partition of a list, in its order.
pub(crate) fn metadata(list: &TopicPartitionList) -> Vec<Vec<u8>> {
    // SAFETY: the list owns its elements, `cnt` of them, and is borrowed while they are read.
    let elements = unsafe {
        let list = &*list.ptr();
        match list.elems.is_null() {
            true => &[][..],
            false => std::slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0)),
        }
    };
    let bytes = |element: &rdkafka::bindings::rd_kafka_topic_partition_t| match element.metadata.is_null() {
        true => Vec::new(),
        // SAFETY: the library's own pointer and length.
        false => unsafe { std::slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size) }.to_vec(),
    };
    elements.iter().map(bytes).collect()
}
