//! How much output a client may leave unread, by its class.

use std::fmt;
use std::time::Duration;

use super::error::ValueError;
use super::number::{parse_integer, parse_memory};

/// The limits of one class of clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OutputLimit {
    /// At this many bytes the client is dropped at once. 0: never.
    pub hard_bytes: u64,
    /// Above this many bytes for `soft_duration` the client is dropped. 0: never.
    pub soft_bytes: u64,
    /// How long the soft limit may be exceeded.
    pub soft_duration: Duration,
}

/// The limits of the three classes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OutputLimits {
    /// Ordinary clients, MONITOR included.
    pub normal: OutputLimit,
    /// Redis replicas.
    pub replica: OutputLimit,
    /// Clients that listen to channels.
    pub pubsub: OutputLimit,
}

const WRONG_COUNT: ValueError = ValueError::Because("Wrong number of arguments in buffer limit configuration.");
const WRONG_CLASS: ValueError = ValueError::Because("Invalid client class specified in buffer limit configuration.");
const WRONG_LIMIT: ValueError =
    ValueError::Because("Error in hard, soft or soft_seconds setting in buffer limit configuration.");

impl OutputLimits {
    /// These limits, with those classes replaced that the words name: `<class> <hard> <soft> <soft seconds>`, repeated.
    pub fn with(mut self, words: &[Vec<u8>]) -> Result<Self, ValueError> {
        if !words.len().is_multiple_of(4) {
            return Err(WRONG_COUNT);
        }
        for class in words.chunks_exact(4) {
            let limit = match class[0].to_ascii_lowercase().as_slice() {
                b"normal" => &mut self.normal,
                b"slave" | b"replica" => &mut self.replica,
                b"pubsub" => &mut self.pubsub,
                _ => return Err(WRONG_CLASS),
            };
            let seconds = parse_integer(&class[3]).and_then(|seconds| u32::try_from(seconds).ok());
            *limit = OutputLimit {
                hard_bytes: parse_memory(&class[1]).ok_or(WRONG_LIMIT)?,
                soft_bytes: parse_memory(&class[2]).ok_or(WRONG_LIMIT)?,
                soft_duration: Duration::from_secs(u64::from(seconds.ok_or(WRONG_LIMIT)?)),
            };
        }
        Ok(self)
    }

    /// The classes by name, in Redis's order. Its CONFIG GET still says `slave`.
    pub fn classes(&self) -> [(&'static str, OutputLimit); 3] {
        [("normal", self.normal), ("slave", self.replica), ("pubsub", self.pubsub)]
    }
}

impl fmt::Display for OutputLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, limit)) in self.classes().into_iter().enumerate() {
            let space = if number == 0 { "" } else { " " };
            let seconds = limit.soft_duration.as_secs();
            write!(f, "{space}{name} {} {} {seconds}", limit.hard_bytes, limit.soft_bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(words: &str) -> Result<OutputLimits, ValueError> {
        let words: Vec<Vec<u8>> = words.split_whitespace().map(|word| word.as_bytes().to_vec()).collect();
        OutputLimits::default().with(&words)
    }

    #[test]
    fn classes_are_replaced_one_by_one() {
        let limits = with("replica 256mb 64mb 60").unwrap().with(&[]).unwrap();
        assert_eq!(limits.to_string(), "normal 0 0 0 slave 268435456 67108864 60 pubsub 0 0 0");
        assert_eq!(with("SLAVE 1 2 3 pubsub 4kb 5 6").unwrap().pubsub.hard_bytes, 4_096);
    }

    #[test]
    fn what_is_wrong_is_told_in_redis_words() {
        assert_eq!(with("normal 1 2").unwrap_err(), WRONG_COUNT);
        assert_eq!(with("master 1 2 3").unwrap_err(), WRONG_CLASS);
        for words in ["normal x 2 3", "normal 1 2x 3", "normal 1 2 -3", "normal 1 2 3s"] {
            assert_eq!(with(words).unwrap_err(), WRONG_LIMIT, "{words}");
        }
    }
}
