//! What every plugin keeps, as cases that a plugin runs in ten lines.
//!
//! One suite an interface. A case states its rule in one line, chooses itself by what the plugin declares, and where the
//! plugin declares that it cannot, asserts that it refuses: nothing is skipped in silence. The memory plugin passes all of
//! them; for each there is a broken double that it catches, in this crate's own tests.
//!
//! # A plugin's side
//!
//! In `tests/it/conformance.rs` of the plugin:
//!
//! ```
//! use std::sync::Arc;
//!
//! use micro_conformance::broker::Fixture;
//! use micro_core::broker::{Broker, Memory};
//!
//! #[derive(Debug)]
//! struct Shared;
//!
//! impl Fixture for Shared {
//!     fn name(&self) -> &'static str {
//!         "memory"
//!     }
//!
//!     fn client(&self) -> Arc<dyn Broker> {
//!         Arc::new(Memory::shared("conformance"))
//!     }
//! }
//!
//! micro_conformance::broker_cases!(Shared);
//! ```
//!
//! A registry does the same with [`registry::Fixture`] and [`registry_cases!`], a codec with [`codec::Fixture`] and
//! [`codec_cases!`], a transport of calls with [`transport::Fixture`] and [`transport_cases!`]. Another process, an outage,
//! an account, a count of consumers, an address where nobody is and a clock that may jump are the fixture's to give; a case
//! that needs one which is not given is gated by its name.
//!
//! A broker that outlives its processes is soaked besides: [`soak`] kills them, and its server, at random moments.
//!
//! `MICRO_TEST_SCALE=10` has the broker cases do ten times more, with more members, and wait ten times longer for what must
//! come.
//!
//! Each case is a test of its own, so that the test runner lists, filters and shards them. With
//! `MICRO_CONFORMANCE_REPORT` set to a folder, each writes its rule and its outcome there, in a file
//! `<plugin>.<case>`; docs/guarantees.md is made of these.

pub mod broker;
mod case;
pub mod codec;
mod failed;
mod limits;
pub mod registry;
mod report;
mod runner;
mod scale;
mod seed;
pub mod soak;
pub mod transport;

pub use case::Case;
pub use failed::Failed;
pub use limits::Limits;
pub use report::Outcome;
