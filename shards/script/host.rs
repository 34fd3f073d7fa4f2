//! What a running script may ask of its shard: the only thing that this room knows of the rest of the house.

use super::source::ScriptFlags;
use crate::reply::{Protocol, ReplySink};

/// How a command that a script called went on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallEnd {
    /// The reply, or an error, has been written.
    Done,
    /// The command cannot run now: a value is cold, a key is locked. The run is set aside, and the command is called again when it goes on.
    /// What was written to the reply is ignored.
    Wait,
    /// The run must be dropped at once, whatever `pcall` the script has around the call: a key belongs to another
    /// shard. What was written to the reply is ignored.
    Abandon,
}

/// The levels of `redis.log`, least urgent first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogLevel {
    /// `redis.LOG_DEBUG`.
    Debug,
    /// `redis.LOG_VERBOSE`.
    Verbose,
    /// `redis.LOG_NOTICE`.
    Notice,
    /// `redis.LOG_WARNING`.
    Warning,
}

/// The shard, as a script sees it. One object per run.
///
/// The methods run below Lua frames. A panic in them is caught at the border, ends the script, and goes on once the frames are gone.
pub trait ScriptHost {
    /// Before the first instruction: may a script with these flags run now? An error is the whole reply.
    ///
    /// `read_only` is what the caller of the script asked for (EVAL_RO, EVALSHA_RO); a script with the flag `no-writes` is read-only
    /// as well.
    fn begin(&mut self, flags: ScriptFlags, read_only: bool) -> Result<(), &'static str>;
    /// The script is about to begin, and will most likely read these keys.
    fn expect(&mut self, keys: &[&[u8]]);
    /// Runs one command and writes its reply, or its error with its prefix, to `reply`. Never called without an argument.
    fn call(&mut self, arguments: &[&[u8]], reply: &mut dyn ReplySink) -> CallEnd;
    /// The script has ended with an error that it was answered with by a call.
    fn passed_on(&mut self, error: &[u8]);
    /// `redis.log`: the host filters by its own level.
    fn log(&mut self, level: LogLevel, message: &[u8]);
    /// `redis.setresp`: the protocol that later calls of this run are answered in.
    fn set_protocol(&mut self, protocol: Protocol);
    /// `redis.acl_check_cmd`: may the client run this command? `None` if there is no such command.
    fn acl_check(&mut self, arguments: &[&[u8]]) -> Option<bool>;
}
