//! Cases of options.

use super::cases::rules;

rules! {}
