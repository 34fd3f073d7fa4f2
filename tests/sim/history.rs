//! What clients wanted, when, and what they were told.
//!
//! Strings are lists of tokens: every write appends a token of its own, every read sees a whole string. So the string at the end is
//! the order of all writes, and each read says which of them it saw.

/// The bytes of a token.
pub const TOKEN_BYTES: usize = 8;

/// What a client wanted. Keys are numbers: see [`crate::client::Keys`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// A token at the end of these strings, all or none. The reply tells the length of the last one, if it stands alone.
    Append { keys: Vec<usize>, token: String, tells_length: bool },
    /// A token that its script takes back.
    Raise { keys: Vec<usize>, token: String },
    /// The strings.
    Read { keys: Vec<usize> },
    /// Reads the first string and, in the same transaction, appends to the second; it answers with what it read.
    ReadThenAppend { read: usize, append: usize, token: String },
    /// Something that nobody looks at.
    Noise,
}

/// What its client knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Nothing yet.
    Waits,
    Reply(String),
    /// It may or may not have happened.
    Unknown,
    /// It did not happen.
    Refused,
    /// It was a read, and is to be run again.
    Again,
    /// The node did not serve.
    NotServing,
}

/// One request.
#[derive(Debug)]
pub struct Operation {
    pub wish: Wish,
    pub answer: Answer,
    /// Steps of the history, not times: what is answered before another one begins has a smaller number.
    pub began: u64,
    pub answered: Option<u64>,
    /// The request before it in the same pipeline.
    pub after: Option<usize>,
}

/// All of a run's.
#[derive(Default)]
pub struct History {
    pub operations: Vec<Operation>,
    steps: u64,
}

impl History {
    pub fn begin(&mut self, wish: Wish, after: Option<usize>) -> usize {
        self.steps += 1;
        self.operations.push(Operation { wish, answer: Answer::Waits, began: self.steps, answered: None, after });
        self.operations.len() - 1
    }

    pub fn answer(&mut self, number: usize, answer: Answer) {
        self.steps += 1;
        let operation = &mut self.operations[number];
        assert_eq!(operation.answer, Answer::Waits, "operation {number} is answered once");
        operation.answer = answer;
        operation.answered = Some(self.steps);
    }

    /// A token that no other operation writes.
    pub fn token(&self) -> String {
        format!("{:07};", self.operations.len())
    }
}
