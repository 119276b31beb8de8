//! Cases of settlement.

use super::cases::rules;

rules! {}
