//! When keys expire.

use crate::command::command::Command;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[];
