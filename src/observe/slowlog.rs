//! The slow log of one core.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Arguments that an entry keeps at most; the last one says how many more there were.
const ARGUMENTS_MAX: usize = 32;
/// Bytes that an entry keeps of each argument.
const ARGUMENT_BYTES_MAX: usize = 128;

/// Numbers the entries of all cores; taken only by commands that were slow.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// A command that took long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlowCall {
    /// Its number, unique in the process.
    pub id: u64,
    /// When it ran, in Unix seconds.
    pub unix_s: u64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// Its arguments, cut.
    pub arguments: Vec<Vec<u8>>,
    /// The client's address.
    pub peer: Option<SocketAddr>,
    /// The client's name.
    pub name: Vec<u8>,
}

/// Commands of one core that took long, newest first.
#[derive(Default)]
pub struct SlowLog {
    calls: VecDeque<SlowCall>,
}

impl SlowLog {
    /// Notes a command that took longer than `slowlog-log-slower-than`; the caller compares, and leaves out commands that have
    /// the flag SKIP_SLOWLOG. The arguments are those of [`cut_arguments`]. `entries_max` is `slowlog-max-len`.
    pub fn note(
        &mut self,
        unix_ms: u64,
        duration_us: u64,
        arguments: Vec<Vec<u8>>,
        peer: Option<SocketAddr>,
        name: &[u8],
        entries_max: usize,
    ) {
        self.calls.push_front(SlowCall {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            unix_s: unix_ms / 1000,
            duration_us,
            arguments,
            peer,
            name: name.to_vec(),
        });
        self.bound(entries_max);
    }

    /// Keeps the newest ones only.
    pub fn bound(&mut self, entries_max: usize) {
        self.calls.truncate(entries_max);
    }

    /// The newest ones, newest first.
    pub fn newest(&self, count: usize) -> Vec<SlowCall> {
        self.calls.iter().take(count).cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.calls.clear();
    }
}

/// A request's arguments as an entry keeps them: so many, so much of each.
pub fn cut_arguments(list: &[&[u8]]) -> Vec<Vec<u8>> {
    if list.len() <= ARGUMENTS_MAX {
        return list.iter().map(|argument| cut(argument)).collect();
    }
    let kept = ARGUMENTS_MAX - 1;
    let mut arguments: Vec<Vec<u8>> = list[..kept].iter().map(|argument| cut(argument)).collect();
    arguments.push(format!("... ({} more arguments)", list.len() - kept).into_bytes());
    arguments
}

fn cut(argument: &[u8]) -> Vec<u8> {
    if argument.len() <= ARGUMENT_BYTES_MAX {
        return argument.to_vec();
    }
    let mut kept = argument[..ARGUMENT_BYTES_MAX].to_vec();
    kept.extend_from_slice(format!("... ({} more bytes)", argument.len() - ARGUMENT_BYTES_MAX).as_bytes());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_cut_and_entries_bounded() {
        let long = [b'x'; 130];
        let mut list: Vec<&[u8]> = vec![&long];
        list.extend([&b"a"[..]; 39]);
        let mut log = SlowLog::default();
        for _ in 0..3 {
            log.note(5_999, 7, cut_arguments(&list), None, b"n", 2);
        }
        assert_eq!(log.len(), 2);
        let calls = log.newest(9);
        assert!(calls[0].id > calls[1].id);
        assert_eq!((calls[0].unix_s, calls[0].arguments.len()), (5, 32));
        assert!(calls[0].arguments[0].ends_with(b"x... (2 more bytes)"));
        assert_eq!(calls[0].arguments[31], b"... (9 more arguments)");
    }
}
