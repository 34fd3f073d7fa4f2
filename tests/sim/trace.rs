//! The story of a run: a line for each event, if somebody reads it, and a hash of all lines in any case.

use std::fmt::{self, Write as _};
use xxhash_rust::xxh3::Xxh3;

/// Who reads the lines.
type Reader = Box<dyn FnMut(&str)>;

/// Takes the lines of a run.
pub struct Trace {
    hash: Xxh3,
    line: String,
    tell: Option<Reader>,
}

impl Trace {
    /// Hashes, and tells nobody.
    pub fn silent() -> Self {
        Trace { hash: Xxh3::new(), line: String::new(), tell: None }
    }

    /// Hashes, and tells each line.
    pub fn told(tell: impl FnMut(&str) + 'static) -> Self {
        Trace { tell: Some(Box::new(tell)), ..Trace::silent() }
    }

    pub(crate) fn event(&mut self, at_us: u64, what: fmt::Arguments<'_>) {
        self.line.clear();
        write!(self.line, "{:>10}.{:06} {what}", at_us / 1_000_000, at_us % 1_000_000)
            .expect("a string takes everything");
        self.hash.update(self.line.as_bytes());
        if let Some(tell) = &mut self.tell {
            tell(&self.line);
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.digest()
    }
}
