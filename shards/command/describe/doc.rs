//! A command's description, and the words to write it down in one expression.

/// What COMMAND tells about a command beyond its row.
pub(super) struct Doc {
    /// As the row has it.
    pub(super) name: &'static str,
    /// The version of Redis that had it first.
    pub(super) since: &'static str,
    /// In words, or empty.
    pub(super) complexity: &'static str,
    pub(super) summary: &'static str,
    /// ACL categories that do not follow from the flags; see [`super::category`].
    pub(super) categories: u32,
    /// Hints for proxies and client libraries.
    pub(super) tips: &'static [&'static str],
    /// Since when it is deprecated, and what replaces it.
    pub(super) deprecated: Option<(&'static str, &'static str)>,
    /// Whether it is not for applications.
    pub(super) system: bool,
    pub(super) keys: &'static [KeySpec],
    pub(super) arguments: &'static [Argument],
}

/// Some keys of a command: where they are and what happens to them.
pub(super) struct KeySpec {
    pub(super) note: &'static str,
    /// Bits of [`access`].
    pub(super) access: u32,
    /// The argument that the search begins at.
    pub(super) begin: i64,
    pub(super) find: FindKeys,
}

/// How the keys of a [`KeySpec`] go on from where it begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FindKeys {
    /// Up to a last one, relative to the first (negative: from the end), each `step`th.
    Range {
        /// The last key.
        last: i64,
        /// The distance from key to key.
        step: i64,
    },
    /// A number, then that many keys.
    Counted,
}

/// What a command does to a key.
pub(super) mod access {
    pub(crate) const RO: u32 = 1 << 0;
    pub(crate) const RW: u32 = 1 << 1;
    pub(crate) const OW: u32 = 1 << 2;
    pub(crate) const RM: u32 = 1 << 3;
    pub(crate) const ACCESS: u32 = 1 << 4;
    pub(crate) const UPDATE: u32 = 1 << 5;
    pub(crate) const INSERT: u32 = 1 << 6;
    pub(crate) const DELETE: u32 = 1 << 7;
    pub(crate) const VARIABLE_FLAGS: u32 = 1 << 8;

    /// The words that clients read, in Redis's order.
    pub(crate) const NAMES: &[(u32, &str)] = &[
        (RO, "RO"),
        (RW, "RW"),
        (OW, "OW"),
        (RM, "RM"),
        (ACCESS, "access"),
        (UPDATE, "update"),
        (INSERT, "insert"),
        (DELETE, "delete"),
        (VARIABLE_FLAGS, "variable_flags"),
    ];
}

/// One argument in a command's form, or a group of them.
pub(super) struct Argument {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The name in a synopsis, if it is another.
    pub(super) shown_as: Option<&'static str>,
    /// Which of the command's [`KeySpec`]s finds it.
    pub(super) key_spec: Option<i64>,
    /// The word in front of it.
    pub(super) token: Option<&'static str>,
    pub(super) since: Option<&'static str>,
    pub(super) deprecated: Option<&'static str>,
    pub(super) optional: bool,
    pub(super) multiple: bool,
    /// With `multiple`: the token is repeated too.
    pub(super) multiple_token: bool,
    /// Of a group.
    pub(super) arguments: &'static [Argument],
}

/// What an argument is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    /// A word alone.
    PureToken,
    /// One of a group.
    OneOf,
    /// All of a group.
    Block,
}

/// A description; see [`Doc`]'s fields.
pub(super) const fn doc(
    name: &'static str,
    since: &'static str,
    complexity: &'static str,
    summary: &'static str,
) -> Doc {
    Doc {
        name,
        since,
        complexity,
        summary,
        categories: 0,
        tips: &[],
        deprecated: None,
        system: false,
        keys: &[],
        arguments: &[],
    }
}

impl Doc {
    pub(super) const fn categories(mut self, categories: u32) -> Self {
        self.categories = categories;
        self
    }

    pub(super) const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }

    pub(super) const fn deprecated(mut self, since: &'static str, replaced_by: &'static str) -> Self {
        self.deprecated = Some((since, replaced_by));
        self
    }

    pub(super) const fn system(mut self) -> Self {
        self.system = true;
        self
    }

    pub(super) const fn keys(mut self, keys: &'static [KeySpec]) -> Self {
        self.keys = keys;
        self
    }

    pub(super) const fn arguments(mut self, arguments: &'static [Argument]) -> Self {
        self.arguments = arguments;
        self
    }
}

/// Keys in a row.
pub(super) const fn range(begin: i64, last: i64, step: i64, access: u32) -> KeySpec {
    KeySpec { note: "", access, begin, find: FindKeys::Range { last, step } }
}

/// A number at `begin` and that many keys.
pub(super) const fn counted(begin: i64, access: u32) -> KeySpec {
    KeySpec { note: "", access, begin, find: FindKeys::Counted }
}

impl KeySpec {
    pub(super) const fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }
}

const fn argument(name: &'static str, kind: Kind) -> Argument {
    Argument {
        name,
        kind,
        shown_as: None,
        key_spec: None,
        token: None,
        since: None,
        deprecated: None,
        optional: false,
        multiple: false,
        multiple_token: false,
        arguments: &[],
    }
}

pub(super) const fn string(name: &'static str) -> Argument {
    argument(name, Kind::String)
}

pub(super) const fn integer(name: &'static str) -> Argument {
    argument(name, Kind::Integer)
}

pub(super) const fn double(name: &'static str) -> Argument {
    argument(name, Kind::Double)
}

pub(super) const fn pattern(name: &'static str) -> Argument {
    argument(name, Kind::Pattern)
}

pub(super) const fn unix_time(name: &'static str) -> Argument {
    argument(name, Kind::UnixTime)
}

/// A key that a [`KeySpec`] finds.
pub(super) const fn key(name: &'static str, key_spec: i64) -> Argument {
    let mut argument = argument(name, Kind::Key);
    argument.key_spec = Some(key_spec);
    argument
}

/// A word alone.
pub(super) const fn token(name: &'static str, word: &'static str) -> Argument {
    argument(name, Kind::PureToken).token(word)
}

pub(super) const fn one_of(name: &'static str, arguments: &'static [Argument]) -> Argument {
    let mut argument = argument(name, Kind::OneOf);
    argument.arguments = arguments;
    argument
}

pub(super) const fn block(name: &'static str, arguments: &'static [Argument]) -> Argument {
    let mut argument = argument(name, Kind::Block);
    argument.arguments = arguments;
    argument
}

impl Argument {
    pub(super) const fn token(mut self, word: &'static str) -> Self {
        self.token = Some(word);
        self
    }

    pub(super) const fn shown_as(mut self, name: &'static str) -> Self {
        self.shown_as = Some(name);
        self
    }

    pub(super) const fn since(mut self, version: &'static str) -> Self {
        self.since = Some(version);
        self
    }

    pub(super) const fn deprecated(mut self, version: &'static str) -> Self {
        self.deprecated = Some(version);
        self
    }

    pub(super) const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    pub(super) const fn multiple(mut self) -> Self {
        self.multiple = true;
        self
    }

    pub(super) const fn multiple_token(mut self) -> Self {
        self.multiple_token = true;
        self.multiple()
    }
}
