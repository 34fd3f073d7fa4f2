//! What the kernel hands back with a completion: which operation of which slot it was.
//!
//! ```text
//!  63      56 55                 32 31                          0
//! +----------+---------------------+-----------------------------+
//! | kind     | generation          | index of the slot           |
//! +----------+---------------------+-----------------------------+
//! ```
//!
//! A slot is not used again before the last operation on it has completed, so that a completion always finds the user it
//! belongs to; the generation lets callers and the ring tell an old id from a new one, and is checked on every completion.

/// Generations are counted modulo 2^24.
pub(super) const GENERATION_MASK: u32 = (1 << 24) - 1;

/// The kinds of operations that a ring has in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    Accept = 1,
    Receive = 2,
    ReceiveInto = 3,
    Send = 4,
    /// The cancellation of a socket's operations; its own result says nothing that theirs do not.
    CancelSocket = 5,
    CancelListener = 6,
    LogWrite = 7,
    Doorbell = 8,
    Timer = 9,
    TimerUpdate = 10,
}

const KINDS: [Kind; 10] = [
    Kind::Accept,
    Kind::Receive,
    Kind::ReceiveInto,
    Kind::Send,
    Kind::CancelSocket,
    Kind::CancelListener,
    Kind::LogWrite,
    Kind::Doorbell,
    Kind::Timer,
    Kind::TimerUpdate,
];

pub(super) fn pack(kind: Kind, generation: u32, index: u32) -> u64 {
    debug_assert!(generation <= GENERATION_MASK);
    (kind as u64) << 56 | u64::from(generation) << 32 | u64::from(index)
}

/// # Panics
/// On a kind that the ring never submitted: memory shared with the kernel is damaged.
pub(super) fn unpack(user_data: u64) -> (Kind, u32, u32) {
    let kind = KINDS[((user_data >> 56) as usize).wrapping_sub(1)];
    (
        kind,
        (user_data >> 32) as u32 & GENERATION_MASK,
        user_data as u32,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_round_trip() {
        for (position, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, position + 1);
            assert_eq!(
                unpack(pack(kind, GENERATION_MASK, u32::MAX)),
                (kind, GENERATION_MASK, u32::MAX)
            );
            assert_eq!(unpack(pack(kind, 0, 7)), (kind, 0, 7));
        }
    }
}
