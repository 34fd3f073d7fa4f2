//! The options of SET and GETEX.

use crate::command::failure::Failure;
use crate::keyspace::canonical_integer;

/// What SET asks of the key before it writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Present {
    /// `XX`: it is there.
    Must,
    /// `NX`: it is not.
    MustNot,
}

/// The unit of an expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// An expiry as the client gave it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadline<'a> {
    /// The number.
    pub amount: &'a [u8],
    /// Its unit.
    pub unit: TimeUnit,
    /// Whether it counts from 1970 and not from now.
    pub absolute: bool,
}

/// The options of SET.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SetOptions<'a> {
    /// `NX` or `XX`.
    pub present: Option<Present>,
    /// `GET`: answer with the old value.
    pub get: bool,
    /// `KEEPTTL`.
    pub keep_expiry: bool,
    /// `EX`, `PX`, `EXAT` or `PXAT`.
    pub deadline: Option<Deadline<'a>>,
}

/// The options of GETEX.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GetOptions<'a> {
    /// `PERSIST`.
    pub persist: bool,
    /// `EX`, `PX`, `EXAT` or `PXAT`.
    pub deadline: Option<Deadline<'a>>,
}

impl<'a> SetOptions<'a> {
    /// Reads what follows SET's value.
    ///
    /// # Errors
    /// [`Failure::Syntax`] for unknown options and those that exclude each other.
    pub fn parse(arguments: &[&'a [u8]]) -> Result<Self, Failure> {
        let mut options = SetOptions::default();
        let mut rest = arguments;
        while let [option, after @ ..] = rest {
            rest = after;
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            if is("NX") && options.present != Some(Present::Must) {
                options.present = Some(Present::MustNot);
            } else if is("XX") && options.present != Some(Present::MustNot) {
                options.present = Some(Present::Must);
            } else if is("GET") {
                options.get = true;
            } else if is("KEEPTTL") && options.deadline.is_none() {
                options.keep_expiry = true;
            } else if !options.keep_expiry {
                rest = Deadline::parse(option, after, &mut options.deadline)?;
            } else {
                return Err(Failure::Syntax);
            }
        }
        Ok(options)
    }
}

impl<'a> GetOptions<'a> {
    /// Reads what follows GETEX's key.
    ///
    /// # Errors
    /// [`Failure::Syntax`] for unknown options and those that exclude each other.
    pub fn parse(arguments: &[&'a [u8]]) -> Result<Self, Failure> {
        let mut options = GetOptions::default();
        let mut rest = arguments;
        while let [option, after @ ..] = rest {
            if option.eq_ignore_ascii_case(b"PERSIST") && options.deadline.is_none() {
                options.persist = true;
                rest = after;
            } else if !options.persist {
                rest = Deadline::parse(option, after, &mut options.deadline)?;
            } else {
                return Err(Failure::Syntax);
            }
        }
        Ok(options)
    }
}

impl<'a> Deadline<'a> {
    /// Reads one option with its number, and returns what follows. The same option may come again: the last one counts.
    fn parse<'l>(
        option: &[u8],
        after: &'l [&'a [u8]],
        deadline: &mut Option<Deadline<'a>>,
    ) -> Result<&'l [&'a [u8]], Failure> {
        let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        let (unit, absolute) = if is("EX") {
            (TimeUnit::Seconds, false)
        } else if is("PX") {
            (TimeUnit::Milliseconds, false)
        } else if is("EXAT") {
            (TimeUnit::Seconds, true)
        } else if is("PXAT") {
            (TimeUnit::Milliseconds, true)
        } else {
            return Err(Failure::Syntax);
        };
        let [amount, after @ ..] = after else { return Err(Failure::Syntax) };
        if deadline.is_some_and(|given| (given.unit, given.absolute) != (unit, absolute)) {
            return Err(Failure::Syntax);
        }
        *deadline = Some(Deadline { amount, unit, absolute });
        Ok(after)
    }

    /// When that is, in Unix milliseconds. `command` is named in the error.
    ///
    /// # Errors
    /// If the number is none, is not positive, or lies beyond 63 bits of milliseconds.
    pub fn expires_ms(&self, command: &str, now_ms: u64) -> Result<u64, Failure> {
        let amount = canonical_integer(self.amount).ok_or(Failure::NotInteger)?;
        let ms = match self.unit {
            TimeUnit::Seconds => amount.checked_mul(1000),
            TimeUnit::Milliseconds => Some(amount),
        };
        let from_ms = if self.absolute { 0 } else { now_ms };
        ms.filter(|&ms| ms > 0)
            .and_then(|ms| ms.checked_add_unsigned(from_ms))
            .map(i64::unsigned_abs)
            .ok_or_else(|| Failure::said(format!("ERR invalid expire time in '{command}' command")))
    }
}
