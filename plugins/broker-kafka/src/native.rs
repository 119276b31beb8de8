//! What the safe binding cannot do.
//!
//! - It panics on header names and commit metadata that are no UTF-8. Any program may have written them, so that a panic
//!   would be a message that kills its readers.
//! - It never tells the outcome of a commit that nobody blocks for.
#![allow(unsafe_code, reason = "the binding has no safe way for these")]

use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::ptr;

use rdkafka::bindings::{
    rd_kafka_commit_queue, rd_kafka_header_get_all, rd_kafka_headers_t, rd_kafka_message_headers,
    rd_kafka_queue_destroy, rd_kafka_queue_get_consumer, rd_kafka_resp_err_t,
};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
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

/// The headers of a received message, name and value as bytes.
pub(crate) struct Headers<'a> {
    native: *const rd_kafka_headers_t,
    next: usize,
    message: PhantomData<&'a ()>,
}

/// Returns the headers of a message in order; none where it has none.
pub(crate) fn headers<'a>(message: &'a BorrowedMessage<'_>) -> Headers<'a> {
    let mut native = ptr::null_mut();
    // SAFETY: the pointer of a borrowed message is valid as long as the borrow; the headers belong to the message.
    let code = unsafe { rd_kafka_message_headers(message.ptr(), &mut native) };
    let none = code != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    Headers { native: if none { ptr::null() } else { native }, next: 0, message: PhantomData }
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
