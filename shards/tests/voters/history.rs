//! What clients were told, held against what is there at the end.
//!
//! Every write appends a token of its own to a string, and every read sees the whole string. So each operation that was answered
//! says how long the string was when it took effect, and the final string is the order in which everything happened: an operation
//! that began after another one was answered must have seen it at least as long.

use crate::cluster::{Answer, Cluster, Ticket};
use std::collections::BTreeMap;

/// The bytes of a token.
pub const TOKEN_BYTES: usize = 7;

/// What a client wanted.
#[derive(Clone, Debug)]
pub enum Wish {
    /// A token at the end of these strings, all or none. The reply tells the length of the last one, if it stands alone.
    Append { keys: &'static [&'static str], token: String, tells_length: bool },
    /// A token that its script takes back.
    Raise { token: String },
    /// The strings.
    Read { keys: &'static [&'static str] },
    /// Something that nobody looks at.
    Noise,
}

struct Operation {
    wish: Wish,
    ticket: Ticket,
    began: usize,
    answered: Option<usize>,
}

/// The operations of one run.
#[derive(Default)]
pub struct History {
    operations: Vec<Operation>,
    open: Vec<usize>,
    now: usize,
    tokens: usize,
}

impl History {
    /// A token that no other operation writes.
    pub fn token(&mut self) -> String {
        self.tokens += 1;
        format!("t{:05};", self.tokens)
    }

    /// An operation began.
    pub fn began(&mut self, wish: Wish, ticket: Ticket) {
        self.now += 1;
        self.open.push(self.operations.len());
        self.operations.push(Operation { wish, ticket, began: self.now, answered: None });
    }

    /// Notes which operations were answered since the last look.
    pub fn look(&mut self, cluster: &Cluster) {
        self.now += 1;
        let (now, operations) = (self.now, &mut self.operations);
        self.open.retain(|&number| {
            let operation = &mut operations[number];
            let waits = cluster.answer(operation.ticket) == &Answer::Waits;
            if !waits {
                operation.answered = Some(now);
            }
            waits
        });
    }

    /// How many operations got their reply, and how many were lost with a term or a member.
    pub fn counts(&self, cluster: &Cluster) -> (usize, usize) {
        let replied = |operation: &&Operation| matches!(cluster.answer(operation.ticket), Answer::Reply(_));
        let lost = |operation: &&Operation| {
            matches!(cluster.answer(operation.ticket), Answer::Unknown | Answer::Again | Answer::Gone)
        };
        (self.operations.iter().filter(replied).count(), self.operations.iter().filter(lost).count())
    }

    /// Holds everything against the strings that are there at the end.
    pub fn check(&self, cluster: &Cluster, strings: &BTreeMap<&'static str, String>) {
        for (key, string) in strings {
            let mut lengths: Vec<(usize, usize, usize, bool)> = Vec::new();
            for operation in &self.operations {
                if let Some((length, wrote)) = self.length(operation, cluster, key, string) {
                    lengths.push((operation.began, operation.answered.expect("it was answered"), length, wrote));
                }
            }
            in_order(key, &mut lengths);
        }
        for operation in &self.operations {
            if let Wish::Append { keys, token, .. } = &operation.wish {
                let there: Vec<bool> = keys.iter().map(|key| strings[key].contains(token)).collect();
                assert!(there.iter().all(|&one| one == there[0]), "{token} is torn apart: {there:?}");
            }
        }
    }

    /// How long the string was when an operation took effect, and whether it wrote; none if it did not, or nobody knows.
    fn length(&self, operation: &Operation, cluster: &Cluster, key: &str, string: &str) -> Option<(usize, bool)> {
        let answer = cluster.answer(operation.ticket);
        match &operation.wish {
            Wish::Append { keys, token, tells_length } if keys.contains(&key) => {
                let times = string.matches(token.as_str()).count();
                let end = string.find(token.as_str()).map_or(0, |start| start + TOKEN_BYTES);
                match answer {
                    Answer::Reply(reply) if reply.starts_with("-TRYAGAIN ") => {
                        assert_eq!(times, 0, "{token} was refused");
                    }
                    Answer::Reply(reply) => {
                        assert_eq!(times, 1, "{token} was acknowledged: {reply}");
                        if *tells_length {
                            assert_eq!(reply, &format!(":{end}"), "the reply to {token}");
                        }
                        return Some((end, true));
                    }
                    Answer::Refused | Answer::NotServing => assert_eq!(times, 0, "{token} was refused"),
                    Answer::Unknown | Answer::Gone => assert!(times <= 1, "{token} is there {times} times"),
                    Answer::Again => panic!("{token} is a write and was called a read"),
                    Answer::Waits => panic!("{token} was never answered"),
                }
            }
            Wish::Raise { token } => assert!(!string.contains(token.as_str()), "{token} was taken back"),
            Wish::Read { keys } if keys.contains(&key) => match answer {
                Answer::Reply(reply) => {
                    let seen = seen(reply, keys.iter().position(|other| *other == key).expect("it is one of them"));
                    assert!(string.starts_with(&seen), "{key} was read as {seen}, and is {string}");
                    return Some((seen.len(), false));
                }
                Answer::Unknown | Answer::Refused => panic!("a read was called a write: {answer:?}"),
                _ => {}
            },
            _ => {}
        }
        None
    }
}

/// The string at a place of a reply: the reply itself, or an element of it.
fn seen(reply: &str, place: usize) -> String {
    let part = reply.trim_matches(['[', ']']).split(", ").nth(place).expect("one for each key");
    part.strip_prefix('"').and_then(|part| part.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// Checks that what began after something was answered saw what that had seen.
fn in_order(key: &str, lengths: &mut [(usize, usize, usize, bool)]) {
    let mut by_answer: Vec<(usize, usize)> =
        lengths.iter().map(|&(_, answered, length, _)| (answered, length)).collect();
    by_answer.sort_unstable();
    lengths.sort_unstable();
    let (mut answered, mut longest) = (by_answer.into_iter().peekable(), 0);
    for &(began, _, length, wrote) in lengths.iter() {
        while let Some((_, other)) = answered.next_if(|&(when, _)| when < began) {
            longest = longest.max(other);
        }
        let least = longest + if wrote { TOKEN_BYTES } else { 0 };
        assert!(length >= least, "{key}: one that began at {began} saw {length} bytes where {longest} had been seen");
    }
}
