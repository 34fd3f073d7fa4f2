//! Functions of `string` that can run long.

use super::Function;

/// What scripts see of it.
pub(super) const FUNCTIONS: [Function; 0] = [];
