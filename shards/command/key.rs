//! Keys, whatever they hold.

use crate::command::command::Command;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[];
