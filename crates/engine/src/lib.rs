//! The embedded database of micro-rs: several processes on one folder.
//!
//! Only the embedded plugins use this crate; what it shows is theirs, and may change with them. It shows SQLite's
//! connection type, because the plugins keep their own tables in their own files.
//!
//! | part | what it does |
//! |---|---|
//! | [`Home`] | the folder: found, made with mode 0700, refused when it cannot be written or lies on a network file system |
//! | [`Database`], [`Schema`] | one file of it: opened, migrated, refused when it is damaged or of a newer program |
//! | [`Storage`] | the one seam between the writer and the engine below it: begin, commit, roll back |
//! | [`Writer`] | the one thread of a process that writes a file: group commit |
//! | [`FairLock`] | which process writes next: first come, first served |
//! | [`Listener`], [`Bell`] | processes wake each other when there is something new |
//! | [`Process`] | who is alive: a lock that the kernel lets go when a process dies |
//! | [`Clock`] | time since boot, for leases |
//! | [`Shared`] | one instance a process and file |
//! | [`fail_point!`] | a place that fails when a test says so; nothing without the feature `fail-points` |

mod bell;
mod clock;
mod database;
#[cfg(feature = "fail-points")]
pub mod fail_point;
mod failure;
mod filesystem;
mod home;
mod listener;
mod lock;
mod migration;
mod process;
mod queue;
mod shared;
mod storage;
mod writer;

pub use bell::Bell;
pub use clock::Clock;
pub use database::Database;
pub use failure::{failure, io_failure, panicked};
pub use filesystem::Probe;
pub use home::Home;
pub use listener::{Listener, Signal, Wake};
pub use lock::{FairLock, Turn};
pub use migration::Schema;
pub use process::Process;
pub use shared::Shared;
pub use storage::{Durability, Storage};
pub use writer::{Job, Work, Writer};

/// Passes a place that a test can make fail: `fail_point!("engine.sync", path)` is an `io::Result<()>`.
///
/// See the module `fail_point`; it and all places are there with the feature `fail-points` only.
#[cfg(feature = "fail-points")]
#[macro_export]
macro_rules! fail_point {
    ($name:literal, $file:expr) => {
        $crate::fail_point::pass($name, $file)
    };
}

/// Passes a place that a test can make fail: nothing, without the feature `fail-points`.
#[cfg(not(feature = "fail-points"))]
#[macro_export]
macro_rules! fail_point {
    ($name:literal, $file:expr) => {
        ::std::io::Result::Ok(())
    };
}
