//! Cases of order.

use super::cases::rules;

rules! {}
