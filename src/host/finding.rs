//! One line of `ringkeep check-host`.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// All that is needed is there.
    Ok,
    /// The server runs, but could do better or safer.
    Advice,
    /// The server does not start, or does not keep its promises.
    Lacking,
}

/// What was found about one thing that the server needs of its machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How bad it is.
    pub verdict: Verdict,
    /// What was looked at.
    pub subject: &'static str,
    /// What was found.
    pub what: String,
    /// The command that mends it, unless all is well.
    pub mend: Option<String>,
}

impl Finding {
    pub(super) fn ok(subject: &'static str, what: impl Into<String>) -> Self {
        Finding { verdict: Verdict::Ok, subject, what: what.into(), mend: None }
    }

    pub(super) fn advice(subject: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Finding { verdict: Verdict::Advice, subject, what: what.into(), mend: Some(mend.into()) }
    }

    pub(super) fn lacking(subject: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Finding { verdict: Verdict::Lacking, subject, what: what.into(), mend: Some(mend.into()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Advice => "advice",
            Verdict::Lacking => "lacking",
        };
        write!(f, "{verdict:<7}  {}: {}", self.subject, self.what)?;
        match &self.mend {
            Some(mend) => write!(f, "; mend: {mend}"),
            None => Ok(()),
        }
    }
}
