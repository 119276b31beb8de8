//! One thread a core, each with a runtime of its own.
//!
//! Work that moves between threads is the dearest thing on the way of a small call, so none of it moves: a connection,
//! its codec and its handlers stay on the core they began on, and so does a call that a handler makes. A caller on
//! another runtime has its connections there.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;

use micro_core::{Error, Kind, Result};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

thread_local! {
    /// Which core this thread is.
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
    /// Which core the work of this thread goes to, where it has no runtime.
    static FAVOURITE: Cell<Option<usize>> = const { Cell::new(None) };
}

static WANTED: AtomicUsize = AtomicUsize::new(0);
static CORES: OnceLock<Cores> = OnceLock::new();

struct Cores {
    handles: Box<[Handle]>,
    next: AtomicUsize,
}

/// Sets how many cores calls and handlers use: one thread each. `MICRO_CORES` does the same from outside; without either
/// it is as many as the process may use.
///
/// # Errors
///
/// [`Kind::Config`] for 0, and once the cores run with another number: set it before the first server or call.
pub fn set_cores(count: usize) -> Result<()> {
    if count == 0 {
        return Err(Error::new(Kind::Config, "the number of cores must be 1 or more; leave it away for all of them"));
    }
    WANTED.store(count, Ordering::Relaxed);
    match CORES.get() {
        Some(cores) if cores.handles.len() != count => Err(Error::new(
            Kind::Config,
            format!(
                "{count} cores cannot be set, because {} run already; set it before the first server or call",
                cores.handles.len()
            ),
        )),
        _ => Ok(()),
    }
}

/// Runs a future on a core, where its calls cost least: on the caller's own if it runs on one, else on the next in turn.
///
/// It shares its thread with connections and handlers, so what blocks or computes for long belongs in
/// [`tokio::task::spawn_blocking`]. Dropping the handle lets the future run on.
///
/// # Panics
///
/// At the first use, if the system gives the process no thread.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let sum = micro_rpc::spawn(async { 1 + 2 }).await.unwrap();
/// assert_eq!(sum, 3);
/// # }
/// ```
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    handle(current().unwrap_or_else(next)).spawn(future)
}

/// Returns the core that this thread is.
pub(crate) fn current() -> Option<usize> {
    CURRENT.get()
}

/// Returns how many cores there are.
pub(crate) fn count() -> usize {
    cores().handles.len()
}

/// Returns the next core in turn.
pub(crate) fn next() -> usize {
    let cores = cores();
    cores.next.fetch_add(1, Ordering::Relaxed) % cores.handles.len()
}

/// Returns the runtime of a core.
pub(crate) fn handle(core: usize) -> &'static Handle {
    &cores().handles[core]
}

/// Tells whether this is a core or another tokio runtime. A call made there stays there, and so does its connection: to
/// hop to a core and back costs more than the whole rest of a small call.
pub(crate) fn is_runtime() -> bool {
    current().is_some() || Handle::try_current().is_ok()
}

/// Runs what makes a call where calls can be made: here, or on a core.
pub(crate) async fn here<T, F>(run: F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    if is_runtime() { run.await } else { hop(run).await? }
}

/// Runs a future on a core for a caller without a runtime: the same core for all that comes from this thread, so that
/// its connections are found again.
pub(crate) async fn hop<F>(future: F) -> Result<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Hop(handle(favourite()).spawn(future)).await
}

/// Returns the core that the work of this thread goes to.
fn favourite() -> usize {
    FAVOURITE.with(|favourite| {
        favourite.get().unwrap_or_else(|| {
            let core = next();
            favourite.set(Some(core));
            core
        })
    })
}

/// Work on a core for a caller without a runtime; it ends when the caller no longer waits.
struct Hop<T>(JoinHandle<T>);

impl<T> Future for Hop<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        Pin::new(&mut self.0).poll(cx).map(|joined| {
            joined.map_err(|error| Error::new(Kind::Internal, "the call ended in a panic; this is a bug").source(error))
        })
    }
}

impl<T> Drop for Hop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn cores() -> &'static Cores {
    CORES.get_or_init(|| {
        let count = wanted();
        Cores { handles: (0..count).map(start).collect(), next: AtomicUsize::new(0) }
    })
}

fn wanted() -> usize {
    let all = || thread::available_parallelism().map_or(1, usize::from);
    match (WANTED.load(Ordering::Relaxed), std::env::var("MICRO_CORES")) {
        (0, Ok(text)) => text.parse().ok().filter(|count| *count > 0).unwrap_or_else(|| {
            tracing::warn!("MICRO_CORES={text} is no number of 1 or more; using all cores");
            all()
        }),
        (0, Err(_)) => all(),
        (wanted, _) => wanted,
    }
}

/// Starts the thread of one core. It lives as long as the process.
fn start(core: usize) -> Handle {
    let runtime = Builder::new_current_thread().enable_all().build().expect("the system gives an event queue");
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name(format!("micro-core-{core}"))
        .spawn(move || {
            CURRENT.set(Some(core));
            runtime.block_on(std::future::pending::<()>());
        })
        .expect("the system gives a thread");
    handle
}
