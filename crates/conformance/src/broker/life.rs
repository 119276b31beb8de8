//! Cases of life.

use super::cases::rules;

rules! {}
