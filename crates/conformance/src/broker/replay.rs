//! Cases of replay.

use super::cases::rules;

rules! {}
