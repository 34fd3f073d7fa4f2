//! A large argument, received into one buffer of its own, which grows as the bytes come.

/// The first allocation for a large argument: more is allocated only for bytes that have come.
pub const LARGE_FIRST_STEP_BYTES: usize = 1024 * 1024;

/// How much is allocated for each byte that has come. Four, not two: each step copies what is there, and touches its pages
/// anew; pages not yet received into cost nothing.
const LARGE_GROWTH_FACTOR: usize = 4;

/// One bulk string on its way in.
///
/// Its bytes come either through [`LargeBulk::receive`], which copies, or straight from the socket: the shell takes the
/// buffer with [`LargeBulk::lend`], lets the kernel write behind what is there, and gives it back.
#[derive(Debug)]
pub struct LargeBulk {
    bytes: Vec<u8>,
    /// Announced.
    length: usize,
    lent: bool,
}

impl LargeBulk {
    pub(super) fn new(length: usize) -> Self {
        LargeBulk { bytes: Vec::with_capacity(length.min(LARGE_FIRST_STEP_BYTES)), length, lent: false }
    }

    /// How many bytes are still to come. The two that end a bulk string are not among them.
    pub fn remaining(&self) -> usize {
        self.length - self.bytes.len()
    }

    /// Takes the bytes that belong to this argument from the front of `input`, and says how many those were.
    pub fn receive(&mut self, input: &[u8]) -> usize {
        assert!(!self.lent, "a large argument's buffer is with the kernel");
        let mut taken = 0;
        let belonging = input.len().min(self.remaining());
        while taken < belonging {
            self.make_room();
            let step = (belonging - taken).min(self.bytes.capacity() - self.bytes.len());
            self.bytes.extend_from_slice(&input[taken..taken + step]);
            taken += step;
        }
        taken
    }

    /// Lends the buffer, with room behind its bytes unless it is whole. At most [`LargeBulk::remaining`] bytes may be added.
    pub fn lend(&mut self) -> Vec<u8> {
        assert!(!self.lent, "a large argument's buffer is lent once at a time");
        self.make_room();
        self.lent = true;
        std::mem::take(&mut self.bytes)
    }

    /// Takes the lent buffer back, with what was received at its end.
    pub fn give_back(&mut self, bytes: Vec<u8>) {
        assert!(self.lent && bytes.len() <= self.length, "a lent buffer comes back with no more than was announced");
        self.lent = false;
        self.bytes = bytes;
    }

    /// The bytes received so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How much memory the buffer holds, in bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        assert!(!self.lent && self.remaining() == 0, "only a whole argument is taken");
        self.length = 0;
        std::mem::take(&mut self.bytes)
    }

    fn make_room(&mut self) {
        let held = self.bytes.len();
        if held == self.bytes.capacity() && held < self.length {
            let wanted = (held * LARGE_GROWTH_FACTOR).max(LARGE_FIRST_STEP_BYTES).min(self.length);
            self.bytes.reserve_exact(wanted - held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_follows_the_bytes_that_came() {
        let mut large = LargeBulk::new(512 * 1024 * 1024);
        let chunk = vec![7; 100_000];
        let mut sent = 0;
        while sent < 10_000_000 {
            assert_eq!(large.receive(&chunk), chunk.len());
            sent += chunk.len();
            assert!(large.capacity() <= (LARGE_GROWTH_FACTOR * sent).max(LARGE_FIRST_STEP_BYTES));
        }
        assert_eq!(large.remaining(), 512 * 1024 * 1024 - sent);
    }

    #[test]
    fn never_takes_or_allocates_more_than_announced() {
        let mut large = LargeBulk::new(1_500_000);
        assert_eq!(large.receive(&vec![1; 1_400_000]), 1_400_000);
        assert_eq!(large.receive(&vec![2; 200_000]), 100_000);
        assert_eq!((large.remaining(), large.capacity()), (0, 1_500_000));
        assert_eq!((large.bytes()[1_399_999], large.bytes()[1_400_000]), (1, 2));
    }

    #[test]
    fn a_lent_buffer_has_room_until_it_is_whole() {
        let mut large = LargeBulk::new(3 * LARGE_FIRST_STEP_BYTES);
        while large.remaining() > 0 {
            let mut buffer = large.lend();
            let room = buffer.capacity() - buffer.len();
            assert!(room > 0);
            buffer.extend(std::iter::repeat_n(9, room.min(large.length - buffer.len())));
            large.give_back(buffer);
        }
        assert_eq!(large.take().len(), 3 * LARGE_FIRST_STEP_BYTES);
    }

    #[test]
    #[should_panic(expected = "no more than was announced")]
    fn a_buffer_with_too_many_bytes_is_a_broken_invariant() {
        let mut large = LargeBulk::new(10);
        large.lend();
        large.give_back(vec![0; 11]);
    }
}
