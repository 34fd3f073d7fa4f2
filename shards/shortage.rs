//! What a shard may be short of, and which commands it refuses then.

use crate::command::{Command, flag};
use crate::limits::ENTRY_BYTES_MAX;

/// What a shard is short of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Shortage {
    /// Keys hold more than `maxmemory`.
    pub(crate) memory: bool,
    /// The disk has no room for another segment, or for the next checkpoint.
    pub(crate) disk: bool,
    /// The log has hardly room for what is on its way: a checkpoint must come first.
    pub(crate) log: bool,
}

/// Commands that only ever remove: they run although the disk is full, out of what is reserved, since they make room.
const REMOVING: [&str; 6] = ["del", "unlink", "getdel", "flushdb", "flushall", "expire"];

impl Shortage {
    /// Why a command may not run; nothing of it happens then. `allow_oom` is a script's flag.
    #[inline]
    pub(crate) fn refusal(self, command: &Command, allow_oom: bool) -> Option<&'static str> {
        if self.log && command.is(flag::WRITE) {
            return Some(LOG_FULL);
        }
        if self.disk && command.is(flag::WRITE) && !REMOVING.contains(&command.name) {
            return Some(DISK_FULL);
        }
        (self.memory && !allow_oom && command.is(flag::DENYOOM)).then_some(OUT_OF_MEMORY)
    }
}

/// Why a command may not join what the tick has gathered so far, in bytes: nothing of it happens then. In a script and in EXEC all
/// commands are of one tick.
#[inline]
pub(crate) fn overfills(gathered_bytes: usize, command: &Command, arguments: &[&[u8]]) -> Option<&'static str> {
    let full = || arguments.iter().fold(gathered_bytes, |sum, argument| sum + argument.len()) > ENTRY_BYTES_MAX;
    (command.is(flag::WRITE) && full()).then_some(ENTRY_FULL)
}

const ENTRY_FULL: &str = "TRYAGAIN More is written at once than one entry of the shard's log holds; nothing was done";
/// The answer to what needs memory when there is none.
pub(crate) const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";
const DISK_FULL: &str = "MISCONF No space left on device for the shard's log: free disk space, or remove keys (DEL, UNLINK, \
     GETDEL, EXPIRE, FLUSHDB and FLUSHALL still work); nothing was done";

const LOG_FULL: &str = "MISCONF No space left on device for the shard's log: it is made shorter by a checkpoint now, try again; \
     nothing was done";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::find;

    #[test]
    fn what_one_record_cannot_hold_is_refused_however_it_is_made_up() {
        let overfilled =
            |gathered, name: &[u8], list: &[&[u8]]| overfills(gathered, find(name).unwrap(), list).is_some();
        let long = vec![0; 1 << 20];
        let pairs = vec![&long[..]; 2100];
        assert!(!overfilled(0, b"set", &[b"set", b"k", &long]));
        assert!(overfilled(0, b"mset", &pairs), "a script may name one string many times");
        assert!(overfilled(ENTRY_BYTES_MAX, b"set", &[b"set", b"k", b"v"]));
        assert!(!overfilled(ENTRY_BYTES_MAX, b"get", &[b"get", b"k"]));
    }

    #[test]
    fn what_removes_runs_on_a_full_disk_and_what_reads_always() {
        let full = Shortage { disk: true, ..Shortage::default() };
        let refused = |name: &[u8]| full.refusal(find(name).unwrap(), true);
        assert!([&b"set"[..], b"incr", b"rename", b"persist"].iter().all(|name| refused(name) == Some(DISK_FULL)));
        assert!([&b"get"[..], b"del", b"unlink", b"flushall"].iter().all(|name| refused(name).is_none()));
        let short = Shortage { log: true, disk: true, ..Shortage::default() };
        assert_eq!(short.refusal(find(b"del").unwrap(), true), Some(LOG_FULL));
        assert_eq!(short.refusal(find(b"get").unwrap(), true), None);
        let fat = Shortage { memory: true, ..Shortage::default() };
        assert_eq!(fat.refusal(find(b"set").unwrap(), false), Some(OUT_OF_MEMORY));
        assert_eq!(fat.refusal(find(b"set").unwrap(), true), None);
        assert_eq!(fat.refusal(find(b"del").unwrap(), false), None);
    }
}
