//! Programs that publish and consume, killed at random moments, and what must hold all the same.
//!
//! In a round, publishers and the members of one queue run as processes of their own; they, and the server where there is
//! one, are killed without a warning and started again. Afterwards, by what each program wrote down:
//!
//! - every message with a receipt was handled, and its acknowledgement confirmed, but where somebody was killed before he
//!   could say so;
//! - what was confirmed as acknowledged did not come again;
//! - what came again had been in the hands of somebody who was killed, who asked for it, or who heard that his
//!   acknowledgement does not count;
//! - nobody had more in hand than [`IN_FLIGHT`];
//! - the messages of a key came in their order.
//!
//! When and whom a round kills follows from its seed, which a failure names: the round is played again with
//! `MICRO_SOAK_SEED` set to it and `MICRO_SOAK_ROUNDS=1`.
//!
//! # A plugin's side
//!
//! The programs are the test binary, started again with the name of one more test:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use micro_core::broker::{Broker, Memory};
//! use micro_conformance::soak::{self, Soak};
//! # #[derive(Debug)]
//! # struct OneFolder;
//! # impl soak::Fixture for OneFolder {
//! #     fn name(&self) -> &'static str { "folder" }
//! #     fn address(&self) -> String { String::new() }
//! # }
//!
//! #[test]
//! fn what_is_confirmed_outlives_every_kill() {
//!     soak::run(&Soak::rounds(50).role("soak::role"), &OneFolder);
//! }
//!
//! /// What a killed program does; nothing when nobody asks for it.
//! #[test]
//! fn role() {
//!     soak::role(|address| Arc::new(Memory::shared(address)));
//! }
//! ```

mod book;
mod fixture;
mod plan;
mod report;
mod role;
mod round;
mod verdict;

pub use fixture::{Fixture, Server};
pub use plan::Soak;
pub use report::run;
pub use role::role;

/// How many deliveries a member may have in hand.
pub const IN_FLIGHT: usize = 64;

/// Publishers in a round, each with keys of its own.
const PUBLISHERS: usize = 2;

/// Members of the queue in a round.
const CONSUMERS: usize = 3;

/// Keys of a publisher.
const KEYS: u64 = 8;
