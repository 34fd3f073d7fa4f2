//! MODULE: there are none, and none can be loaded.

use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::command::help;
use crate::command::row::{container, row};
use crate::reply::ReplySink;

/// Runs a subcommand of MODULE.
pub(super) fn module(command: &Command, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    match command.name {
        "module|list" => reply.array(0),
        "module|help" => help::write(
            reply,
            "MODULE",
            &[
                ("LIST", "List the loaded modules: there are none."),
                ("LOAD <path> [<arg> ...]", "Refused: modules cannot be loaded."),
                ("UNLOAD <name>", "Refused: modules cannot be loaded."),
            ],
        ),
        _ => {
            return Err(Failure::text(
                "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
            ));
        }
    }
    Ok(())
}

const ADMIN: u32 = flag::ADMIN | flag::NOSCRIPT;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[container(
    "module",
    &[
        row("module|help", 2, flag::LOADING | flag::STALE, Keys::None, Run::Connection),
        row("module|list", 2, ADMIN, Keys::None, Run::Connection),
        row("module|load", -3, ADMIN | flag::NO_ASYNC_LOADING, Keys::None, Run::Connection),
        row("module|unload", 3, ADMIN | flag::NO_ASYNC_LOADING, Keys::None, Run::Connection),
    ],
)];
