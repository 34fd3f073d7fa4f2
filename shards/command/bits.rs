//! Strings as arrays of bits.

use crate::command::command::Command;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[];
