//! Counts the allocations of a unary call, both sides: a line `stack: allocations bytes` for each stack.
#![allow(clippy::print_stdout, reason = "its lines are read by micro-bench")]
#![allow(unsafe_code, reason = "a counting allocator is a GlobalAlloc, and that trait is unsafe")]
#![allow(dead_code, reason = "it shares files with micro-bench and uses a part of each")]

#[path = "../child.rs"]
mod child;
#[path = "../driver.rs"]
mod driver;
#[path = "../echo.rs"]
mod echo;
#[path = "../meter.rs"]
mod meter;
#[path = "../ours.rs"]
mod ours;
#[path = "../rounds.rs"]
mod rounds;
#[path = "../tonic_peer.rs"]
mod tonic_peer;

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};

use echo::Echo;

type Result<T, E = String> = std::result::Result<T, E>;

const BODY: usize = 100;
const WARM_UP: u64 = 500;
const CALLS: u64 = 2_000;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counted.
struct Counting;

fn count(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came; counting touches two atomics only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from the system's allocator, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the pointer came from the system's allocator, with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;

    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let address = listener.local_addr().map_err(|e| e.to_string())?.to_string();
    runtime.spawn(tonic_peer::serve(listener));
    let channel = runtime.block_on(tonic_peer::connect(&address))?;
    let tonic = runtime.block_on(per_call(|| async {
        tonic_peer::call(channel.clone(), Echo::of(BODY)).await.map(drop).map_err(|e| e.to_string())
    }))?;
    println!("tonic, defaults: {} {}", tonic.0, tonic.1);

    let server = runtime.block_on(ours::server().start()).map_err(|e| e.to_string())?;
    let address = server.address().to_string();
    let caller = runtime.block_on(ours::client(&address)).map_err(|e| e.to_string())?;
    let call = || async { ours::call(&caller, &Echo::of(BODY)).await.map(drop).map_err(|e| e.to_string()) };
    let foreign = runtime.block_on(per_call(call))?;
    println!("micro-rpc, caller on another runtime: {} {}", foreign.0, foreign.1);

    let on_core = micro_rpc::spawn(async move {
        per_call(|| async { ours::call(&caller, &Echo::of(BODY)).await.map(drop).map_err(|e| e.to_string()) }).await
    });
    let on_core = runtime.block_on(on_core).map_err(|e| e.to_string())??;
    println!("micro-rpc, caller on a core: {} {}", on_core.0, on_core.1);
    Ok(())
}

/// Allocations and bytes of a call, in the mean.
async fn per_call<F: Future<Output = Result<()>>>(call: impl Fn() -> F) -> Result<(f64, f64)> {
    for _ in 0..WARM_UP {
        call().await?;
    }
    let before = (ALLOCATIONS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    for _ in 0..CALLS {
        call().await?;
    }
    let mean = |now: u64, before: u64| (now - before) as f64 / CALLS as f64;
    Ok((mean(ALLOCATIONS.load(Ordering::Relaxed), before.0), mean(BYTES.load(Ordering::Relaxed), before.1)))
}
