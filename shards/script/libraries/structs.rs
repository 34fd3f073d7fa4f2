//! Packed binary structures (`struct`).

use super::Function;

/// What scripts see of it.
pub(super) const FUNCTIONS: [Function; 0] = [];
