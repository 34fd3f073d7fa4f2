//! Faults that tests plant in the core, to see that they would be found there. Without the feature `sabotage`, outside of the core's
//! own tests, there are none: [`is_planted`] is a constant.

#[cfg(any(test, feature = "sabotage"))]
use std::cell::Cell;

/// What is done wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// Contexts commit whatever was changed.
    NoValidation,
    /// Keys that were absent at the startTS are not validated.
    AbsentNotValidated,
    /// Reads of whole databases are not validated.
    DatabasesNotValidated,
    /// Writes without a read before them are all that is validated.
    ReadsNotNoted,
    /// What a context writes is in the tip at once.
    WriteSetSeen,
    /// What a script wrote that raised an error in its first slice stays.
    RaisedNotUndone,
    /// What a run wrote that is set aside stays in the tip.
    AsideNotUndone,
    /// What a script of EXEC wrote stays when it raises.
    InnerNotUndone,
    /// Locks keep nobody out.
    LocksIgnored,
    /// Contexts read the tip.
    SnapshotReadsTip,
    /// Versions are not kept for pins.
    NoVersions,
    /// A watched key that is changed while EXEC is set aside is not noticed.
    WatchesEndWithTheFirstSlice,
    /// Replies of contexts that wrote nothing wait for nothing.
    PinnedGateOpen,
    /// A context's effects are not logged.
    CommitNotLogged,
    /// What a view has written is not seen by itself.
    OwnWritesUnseen,
    /// Reads ask nobody whether this member still leads.
    NoFence,
    /// Reads join a fence that was asked for before they came.
    FenceJoinedLate,
    /// Reads do not wait for the writes that they have seen.
    UncommittedReads,
    /// What a lost term did not deliver stays.
    TermNotUndone,
    /// Nobody is told that a term was lost.
    LossNotTold,
    /// What the group refused stays.
    RefusedNotUndone,
}

#[cfg(any(test, feature = "sabotage"))]
thread_local! {
    static PLANTED: Cell<Option<Sabotage>> = const { Cell::new(None) };
}

/// Whether this is done wrong on this thread.
#[cfg(any(test, feature = "sabotage"))]
pub(crate) fn is_planted(sabotage: Sabotage) -> bool {
    PLANTED.get() == Some(sabotage)
}

/// Whether this is done wrong: never, in what is shipped.
#[cfg(not(any(test, feature = "sabotage")))]
#[inline(always)]
pub(crate) const fn is_planted(_: Sabotage) -> bool {
    false
}

/// Does this wrong on this thread from now on.
#[cfg(any(test, feature = "sabotage"))]
pub fn plant(sabotage: Option<Sabotage>) {
    PLANTED.set(sabotage);
}
