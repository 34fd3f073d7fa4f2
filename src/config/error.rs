//! What can be wrong with settings, in the words that people and clients read.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a value is not one of its setting. Displayed in Redis's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ValueError {
    /// Neither yes nor no.
    NotYesNo,
    /// Not a whole number.
    NotInteger,
    /// Not bytes with a unit that exists.
    NotMemory,
    /// Neither bytes nor a percentage.
    NotMemoryOrPercent,
    /// Not octal digits.
    NotOctal,
    /// A number out of its bounds.
    OutOfRange {
        /// The smallest value allowed.
        least: i128,
        /// The largest value allowed.
        most: i128,
    },
    /// A number out of its bounds, which are told in octal.
    OutOfOctalRange {
        /// The smallest value allowed.
        least: i128,
        /// The largest value allowed.
        most: i128,
    },
    /// A percentage out of its bounds.
    PercentTooLarge {
        /// The largest percentage allowed.
        most: i128,
    },
    /// Not one of these names.
    NotOneOf(&'static [&'static str]),
    /// A file name that is empty.
    EmptyName(&'static str),
    /// A path where a bare name is wanted.
    NameIsPath(&'static str),
    /// A sentence that fits one setting only, or the reason why a value is refused.
    Because(&'static str),
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueError::NotYesNo => f.write_str("argument must be 'yes' or 'no'"),
            ValueError::NotInteger => f.write_str("argument couldn't be parsed into an integer"),
            ValueError::NotMemory => f.write_str("argument must be a memory value"),
            ValueError::NotMemoryOrPercent => f.write_str("argument must be a memory or percent value"),
            ValueError::NotOctal => f.write_str("argument couldn't be parsed as an octal number"),
            ValueError::OutOfRange { least, most } => {
                write!(f, "argument must be between {least} and {most} inclusive")
            }
            ValueError::OutOfOctalRange { least, most } => {
                write!(f, "argument must be between {least:o} and {most:o} inclusive")
            }
            ValueError::PercentTooLarge { most } => {
                write!(f, "percentage argument must be less or equal to {most}")
            }
            ValueError::NotOneOf(names) => {
                write!(f, "argument(s) must be one of the following: {}", names.join(", "))
            }
            ValueError::EmptyName(name) => write!(f, "{name} can't be empty"),
            ValueError::NameIsPath(name) => {
                let what = if name.ends_with("dirname") { "dirname" } else { "filename" };
                write!(f, "{name} can't be a path, just a {what}")
            }
            ValueError::Because(text) => f.write_str(text),
        }
    }
}

/// Where a setting was given. Displayed as in `in FILE, line 3`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A line of a file, counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// A line of what was read from standard input.
    Stdin {
        /// The line.
        line: usize,
    },
    /// The command line.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line } => write!(f, "in {}, line {line}", path.display()),
            Origin::Stdin { line } => write!(f, "in standard input, line {line}"),
            Origin::CommandLine => f.write_str("on the command line"),
        }
    }
}

/// Why the settings do not let the server start.
#[derive(Debug)]
pub enum ConfigError {
    /// A file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A line is wrong.
    Line {
        /// Where it is.
        origin: Origin,
        /// The line itself.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Each setting is right, but they do not fit each other.
    Together(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Unreadable { path, error } => {
                write!(f, "can't open config file '{}': {error}", path.display())
            }
            ConfigError::Line { origin, text, reason } => write!(f, "bad setting {origin}\n>>> '{text}'\n{reason}"),
            ConfigError::Together(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Why CONFIG SET changed nothing. Displayed as Redis's error reply, without the dash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetError {
    /// No setting has this name.
    Unknown(String),
    /// One of the pairs cannot be set.
    Failed {
        /// The setting.
        name: String,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Unknown(name) => {
                write!(f, "ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            SetError::Failed { name, reason } => {
                write!(f, "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
            }
        }
    }
}

/// Why CONFIG REWRITE wrote nothing. Displayed as Redis's error reply, without the dash.
#[derive(Debug)]
pub enum RewriteError {
    /// The settings came from no file.
    NoFile,
    /// The file as it is now does not load, so nobody can say what differs.
    Invalid(ConfigError),
    /// The file cannot be read or written.
    Io(io::Error),
}

impl fmt::Display for RewriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RewriteError::NoFile => f.write_str("ERR The server is running without a config file"),
            RewriteError::Invalid(error) => {
                write!(f, "ERR Rewriting config file: {}", error.to_string().replace('\n', " "))
            }
            RewriteError::Io(error) => write!(f, "ERR Rewriting config file: {error}"),
        }
    }
}

impl std::error::Error for RewriteError {}
