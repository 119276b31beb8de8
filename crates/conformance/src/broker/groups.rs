//! Cases of groups.

use super::cases::rules;

rules! {}
