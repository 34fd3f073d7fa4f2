//! Patterns that were compiled before, for those who ask for them again.

use super::Pattern;
use crate::script::work::{Stopped, Work};

/// Patterns up to this length are kept compiled.
const KEPT_BYTES_MAX: usize = 256;

/// Compiled patterns that are kept.
const KEPT: usize = 64;

/// The compiled patterns of one VM.
#[derive(Debug)]
pub(in crate::script) struct Patterns {
    kept: [Option<Box<Pattern>>; KEPT],
    /// One that is too long to be kept, while it is used.
    long: Option<Box<Pattern>>,
}

impl Patterns {
    pub(in crate::script) fn new() -> Self {
        Patterns { kept: [const { None }; KEPT], long: None }
    }

    /// The compiled form of a pattern. It stands until the next one is asked for.
    #[inline(always)]
    pub(in crate::script::libraries) fn of(
        &mut self,
        source: &[u8],
        work: &mut Work<'_>,
    ) -> Result<&mut Pattern, Stopped> {
        // Where the text lies tells enough of it: Lua has each string once.
        let place = source.as_ptr().addr();
        let slot =
            if source.len() <= KEPT_BYTES_MAX { &mut self.kept[(place ^ place >> 6) % KEPT] } else { &mut self.long };
        let is_known = slot.as_ref().is_some_and(|pattern| *pattern.source == *source);
        if !is_known {
            *slot = Some(Pattern::new(source, work)?);
        }
        Ok(slot.as_mut().expect("it is there by now"))
    }

    /// Forgets what is too long to be kept.
    pub(in crate::script::libraries) fn forget_long(&mut self) {
        self.long = None;
    }
}
