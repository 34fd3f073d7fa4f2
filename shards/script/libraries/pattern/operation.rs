//! What a compiled pattern consists of.

use super::Fault;

/// Which bytes one item matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    Any,
    Byte(u8),
    /// A set by its number.
    Set(u32),
}

/// A step of the matching.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    One(Class),
    Optional(Class),
    /// As many as there are.
    Most {
        class: Class,
        at_least: u8,
        follower: Option<u8>,
    },
    /// As few as will do.
    Least {
        class: Class,
        follower: Option<u8>,
    },
    Open(u8),
    Position(u8),
    Close(u8),
    Balanced(u8, u8),
    Frontier(u32),
    /// The text of an earlier capture; never that of a position.
    Same {
        capture: u8,
        is_position: bool,
    },
    End,
    Fail(Fault),
    Done,
}

/// What a match can start with.
#[derive(Clone, Copy, Debug)]
pub(super) enum First {
    Anything,
    Of(Class),
}
