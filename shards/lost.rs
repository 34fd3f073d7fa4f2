//! What a shard took back, and what that means for outputs that still wait for a gate.

use crate::ids::Batch;
use crate::port::Gate;

/// A term ended, or a proposal was refused: some gates will never open. It is said once, in the step in which it happens. Batches
/// and fences that are begun later are numbered above the lost ones, so what is lost must be sorted out before what is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lost {
    /// Gates up to this one stand: they are open, or will be.
    pub kept: Gate,
    /// Batches above the kept one and up to this one were proposed: another leader may commit them yet.
    pub proposed: Batch,
    /// The newest batch and fence that any gate named by then; gates beyond these are of a later time.
    pub last: Gate,
}

/// What becomes of an output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It leaves when its gate opens.
    Stands,
    /// It was a write that was proposed and that nobody here can know the end of: the client is told [`UNKNOWN`].
    Unknown,
    /// It was a write that was never proposed: nothing of it happened, and the client is told [`REFUSED`].
    Refused,
    /// It was a read of what was taken back, or without proof that this member led. It changed nothing: it runs again, or the
    /// client is told [`UNCONFIRMED`]. It is never given another fence.
    Again,
}

/// The error of a write that may or may not have happened. No client library repeats a command after this prefix.
pub const UNKNOWN: &str = "UNKNOWN The shard's leadership ended before this write was known to be committed: it may or may not \
    have happened";
/// The error of a write that did not happen.
pub const REFUSED: &str = "TRYAGAIN The shard could not take this write; nothing was done";
/// The error of a read that may be stale.
pub const UNCONFIRMED: &str = "TRYAGAIN The shard's leadership ended before this read was confirmed; nothing was done";

impl Lost {
    /// What becomes of an output that waits for `gate`. A read is told from a write by its fence: writes need none. (With one
    /// voter reads have none either. No term ends there; a refused proposal refuses what read it just as well.)
    pub fn fate(&self, gate: Gate) -> Fate {
        let kept = gate.batch <= self.kept.batch && gate.fence <= self.kept.fence;
        if kept || gate.batch > self.last.batch || gate.fence > self.last.fence {
            Fate::Stands
        } else if gate.fence != 0 {
            Fate::Again
        } else if gate.batch <= self.proposed {
            Fate::Unknown
        } else {
            Fate::Refused
        }
    }
}

impl Fate {
    /// What the client reads in place of the reply; none if the reply stands.
    pub fn error(self) -> Option<&'static str> {
        match self {
            Fate::Stands => None,
            Fate::Unknown => Some(UNKNOWN),
            Fate::Refused => Some(REFUSED),
            Fate::Again => Some(UNCONFIRMED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(batch: u64, fence: u64) -> Gate {
        Gate { batch: Batch(batch), fence }
    }

    #[test]
    fn a_lost_term_tells_writes_that_were_proposed_from_those_that_were_not_and_from_reads() {
        let lost = Lost { kept: gate(5, 3), proposed: Batch(7), last: gate(8, 4) };
        let fates = [gate(5, 0), gate(5, 3), gate(6, 0), gate(7, 0), gate(8, 0), gate(0, 4), gate(6, 3), gate(8, 4)];
        assert_eq!(
            fates.map(|gate| lost.fate(gate)),
            [
                Fate::Stands,
                Fate::Stands,
                Fate::Unknown,
                Fate::Unknown,
                Fate::Refused,
                Fate::Again,
                Fate::Again,
                Fate::Again
            ]
        );
    }

    #[test]
    fn a_refused_batch_takes_nothing_else_with_it() {
        let lost = Lost { kept: gate(6, u64::MAX), proposed: Batch(6), last: gate(7, u64::MAX) };
        let fates = [gate(6, 0), gate(0, 9), gate(7, 9), gate(7, 0), gate(8, 0), gate(8, 9)];
        assert_eq!(
            fates.map(|gate| lost.fate(gate)),
            [Fate::Stands, Fate::Stands, Fate::Again, Fate::Refused, Fate::Stands, Fate::Stands]
        );
    }
}
