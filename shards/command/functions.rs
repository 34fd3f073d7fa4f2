//! FUNCTION: the rows, and what its arguments say. A shard runs what concerns the libraries; the rest is the node's.

use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::command::row::container;

/// FUNCTION LOAD's arguments.
pub(crate) struct Load<'a> {
    /// Whether it may take the place of the library of its name.
    pub(crate) replaces: bool,
    /// The text.
    pub(crate) code: &'a [u8],
}

impl<'a> Load<'a> {
    /// Reads `FUNCTION LOAD [REPLACE] code`.
    ///
    /// # Errors
    /// Another option.
    pub(crate) fn read(list: &[&'a [u8]]) -> Result<Self, Failure> {
        let (code, options) = list[2..].split_last().expect("the row says that there is one");
        for option in options {
            if !option.eq_ignore_ascii_case(b"replace") {
                // Redis cuts line breaks off the ends of texts that it puts together.
                let shown = option.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
                return Err(Failure::quoting("ERR Unknown option given: ", &option[..shown], ""));
            }
        }
        Ok(Load { replaces: !options.is_empty(), code })
    }
}

/// FUNCTION LIST's arguments.
pub(crate) struct List<'a> {
    /// Which libraries.
    pub(crate) pattern: Option<&'a [u8]>,
    /// Whether their texts are shown.
    pub(crate) with_code: bool,
}

impl<'a> List<'a> {
    /// Reads `FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]`.
    ///
    /// # Errors
    /// Something else, or something twice.
    pub(crate) fn read(list: &[&'a [u8]]) -> Result<Self, Failure> {
        let mut read = List { pattern: None, with_code: false };
        let mut rest = list[2..].iter();
        while let Some(argument) = rest.next() {
            if !read.with_code && argument.eq_ignore_ascii_case(b"withcode") {
                read.with_code = true;
            } else if read.pattern.is_none() && argument.eq_ignore_ascii_case(b"libraryname") {
                let pattern = rest.next().ok_or(Failure::text("ERR library name argument was not given"))?;
                read.pattern = Some(pattern);
            } else {
                return Err(Failure::quoting("ERR Unknown argument ", argument, ""));
            }
        }
        Ok(read)
    }
}

/// What FUNCTION RESTORE does with libraries that are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RestorePolicy {
    /// None may be there under a name that is restored.
    Append,
    /// They all go.
    Flush,
    /// Those of the same names go.
    Replace,
}

impl RestorePolicy {
    /// Reads `FUNCTION RESTORE payload [policy]`.
    ///
    /// # Errors
    /// Another word, or several.
    pub(crate) fn read(list: &[&[u8]]) -> Result<Self, Failure> {
        let policy = match &list[3..] {
            [] => return Ok(RestorePolicy::Append),
            [policy] => policy.to_ascii_lowercase(),
            _ => return Err(Failure::subcommand("FUNCTION", list[1])),
        };
        match policy.as_slice() {
            b"append" => Ok(RestorePolicy::Append),
            b"flush" => Ok(RestorePolicy::Flush),
            b"replace" => Ok(RestorePolicy::Replace),
            _ => Err(Failure::text("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")),
        }
    }
}

/// Checks `FUNCTION FLUSH [SYNC|ASYNC]`. Both do the same.
///
/// # Errors
/// Something else.
pub(crate) fn check_flush(list: &[&[u8]]) -> Result<(), Failure> {
    match &list[2..] {
        [] => Ok(()),
        [mode] if mode.eq_ignore_ascii_case(b"sync") || mode.eq_ignore_ascii_case(b"async") => Ok(()),
        [_] => Err(Failure::text("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")),
        _ => Err(Failure::subcommand("FUNCTION", list[1])),
    }
}

/// What the libraries together would pass.
pub(crate) const TOO_MUCH: &str =
    "ERR The libraries would be more than 10000, or hold more than 64 MiB; nothing was done";

const fn row(name: &'static str, arity: i16, flags: u32, run: Run) -> Command {
    Command { name, arity, flags, keys: Keys::None, run, subcommands: &[] }
}

const CHANGE: u32 = flag::WRITE | flag::NOSCRIPT;
const LOAD: u32 = CHANGE | flag::DENYOOM;
const NODE: u32 = flag::NOSCRIPT | flag::ALLOW_BUSY;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[container(
    "function",
    &[
        row("function|delete", 3, CHANGE, Run::Library),
        row("function|dump", 2, flag::NOSCRIPT, Run::Library),
        row("function|flush", -2, CHANGE, Run::Library),
        row("function|help", 2, flag::LOADING | flag::STALE, Run::Node),
        row("function|kill", 2, NODE, Run::Node),
        row("function|list", -2, flag::NOSCRIPT, Run::Library),
        row("function|load", -3, LOAD, Run::Library),
        row("function|restore", -3, LOAD, Run::Library),
        row("function|stats", 2, NODE, Run::Node),
    ],
)];

/// FUNCTION LOAD as a shard's own port has it. Clients of a cluster tell it to every node, and here these are one: who brings the
/// text that is there is told that it is there.
pub(crate) static LOAD_AT_SHARD_PORT: Command = row("function|load", -3, LOAD | flag::AT_SHARD_PORT, Run::Library);
