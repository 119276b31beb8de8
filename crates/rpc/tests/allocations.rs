//! How often a unary call allocates, both sides together. A program of its own, because it counts in the allocator.

#![allow(unsafe_code, reason = "a counting allocator is an unsafe trait; it only counts and passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use micro_core::Result;
use micro_core::codec::{Format, Payload, protobuf};
use micro_rpc::{Client, Endpoint, Server, ServerOptions};

struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);
static SIZE: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        SIZE.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        SIZE.fetch_add(size as u64, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

impl Payload for Text {
    const FORMATS: &'static [Format] = &[Format::Protobuf];

    fn encode(&self, _: Format, buffer: &mut BytesMut) -> Result<()> {
        protobuf::encode(self, buffer)
    }

    fn decode(_: Format, body: Bytes) -> Result<Self> {
        protobuf::decode(body)
    }

    fn size_hint(&self, _: Format) -> usize {
        prost::Message::encoded_len(self)
    }
}

const CALLS: u64 = 2_000;

/// Returns allocations and bytes of one call.
async fn measure(client: Client, address: String, size: usize) -> (f64, f64) {
    micro_rpc::spawn(async move {
        let request = Text { text: "x".repeat(size) };
        let call = async || {
            let answer: Text =
                client.call("greeter", "Greeter.Echo", &request).address(address.as_str()).await.unwrap();
            assert_eq!(answer.text.len(), size);
        };
        for _ in 0..CALLS {
            call().await;
        }
        let before = (COUNT.load(Ordering::Relaxed), SIZE.load(Ordering::Relaxed));
        for _ in 0..CALLS {
            call().await;
        }
        let after = (COUNT.load(Ordering::Relaxed), SIZE.load(Ordering::Relaxed));
        ((after.0 - before.0) as f64 / CALLS as f64, (after.1 - before.1) as f64 / CALLS as f64)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_unary_call_allocates_less_than_forty_times_on_both_sides_together() {
    let mut server = Server::new(ServerOptions::new("greeter").address("127.0.0.1:0"));
    server.handle(Endpoint::unary("Greeter.Echo", |_, request: Text| async move { Ok(request) }));
    let running = server.start().await.unwrap();
    let client = Client::builder().name("caller").build();
    let (count, size) = measure(client, running.address().to_string(), 100).await;
    assert!(count < 40.0, "{count} allocations a call");
    // Of a default tonic call: 46 KB.
    assert!(size < 16_384.0, "{size} bytes a call");
}
