//! Log lines: one per event, levelled, to stderr or to `logfile`.
//!
//! A line is `2026-01-31T23:59:59.123Z notice text`. It is written by one call, so that lines of several cores do not mix.

use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// How important a line is; also the least important lines that are written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// What only a developer wants to see.
    Debug,
    /// Rarely useful, but not much.
    Verbose,
    /// What an operator wants to know.
    Notice,
    /// What an operator must know.
    Warning,
    /// As a level to write: nothing at all. No line has it.
    Nothing,
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Notice as u8);
static FILE: RwLock<Option<PathBuf>> = RwLock::new(None);

/// Sets which lines are written from now on.
pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// Sends lines to a file, or back to stderr. The file is made if it is not there.
///
/// It is opened anew for each line, so that it can be rotated by renaming it.
///
/// # Errors
/// If the file cannot be opened for appending; lines go where they went before.
pub fn set_file(path: Option<PathBuf>) -> io::Result<()> {
    if let Some(path) = &path {
        OpenOptions::new().append(true).create(true).open(path)?;
    }
    *FILE.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = path;
    Ok(())
}

/// A line that only a developer wants to see.
pub fn debug(text: impl fmt::Display) {
    write(Level::Debug, &text);
}

/// A line that is rarely useful.
pub fn verbose(text: impl fmt::Display) {
    write(Level::Verbose, &text);
}

/// A line that an operator wants to see.
pub fn notice(text: impl fmt::Display) {
    write(Level::Notice, &text);
}

/// A line that an operator must see.
pub fn warning(text: impl fmt::Display) {
    write(Level::Warning, &text);
}

fn write(level: Level, text: &dyn fmt::Display) {
    if (level as u8) < LEVEL.load(Ordering::Relaxed) {
        return;
    }
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let line = format_line(since_epoch.as_millis(), level, text);
    let file = FILE.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    let written = file.as_ref().is_some_and(|path| {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).is_ok()
    });
    if !written {
        // There is nobody left to tell if stderr is gone too.
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

/// The line with its end. What a client or a file may have put into the text cannot start another line.
fn format_line(unix_ms: u128, level: Level, text: &dyn fmt::Display) -> String {
    let name = match level {
        Level::Debug => "debug",
        Level::Verbose => "verbose",
        Level::Notice => "notice",
        Level::Warning => "warning",
        Level::Nothing => unreachable!("no line has this level"),
    };
    let (seconds, ms) = (unix_ms / 1_000, unix_ms % 1_000);
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let mut line = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z {name} ");
    for letter in text.to_string().trim_end().chars() {
        match letter {
            '\n' => line.push_str(" | "),
            letter if letter.is_control() => {
                let _ = write!(line, "{}", letter.escape_default());
            }
            letter => line.push(letter),
        }
    }
    line.push('\n');
    line
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
fn civil_date(days: u128) -> (u128, u128, u128) {
    // Counted from 0000-03-01, so that leap days end their year; an era of 400 years has 146,097 days.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March on have 31, 30, 31, 30, 31 days, and again.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u128::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(11_016), (2000, 2, 29));
        assert_eq!(civil_date(11_017), (2000, 3, 1));
        assert_eq!(civil_date(20_453), (2025, 12, 31));
        assert_eq!(civil_date(20_454), (2026, 1, 1));
    }

    #[test]
    fn a_line_is_one_line() {
        let line = format_line(951_868_799_007, Level::Warning, &"first\nsecond\r\x1b[0m\n");
        assert_eq!(line, "2000-02-29T23:59:59.007Z warning first | second\\r\\u{1b}[0m\n");
    }
}
