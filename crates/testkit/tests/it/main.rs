//! What the test kit promises, and what it says when an assertion does not hold.

mod clock;
mod contract;
mod crash;
mod delivery;
mod faults;
mod idle;
mod published;
mod shop;
mod surroundings;
mod transaction;
