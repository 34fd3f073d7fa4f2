//! What must not be shown of a request, in the slow log or in MONITOR.

use crate::config::ConfigStore;
use std::borrow::Cow;

/// What stands in a secret's place.
const REDACTED: &[u8] = b"(redacted)";

/// A request's arguments without passwords.
pub fn without_secrets<'a>(list: &'a [&'a [u8]]) -> Cow<'a, [&'a [u8]]> {
    let is = |at: usize, word: &[u8]| list.get(at).is_some_and(|given| given.eq_ignore_ascii_case(word));
    let mut shown = Cow::Borrowed(list);
    if is(0, b"auth") {
        for argument in shown.to_mut().iter_mut().skip(1) {
            *argument = REDACTED;
        }
    } else if is(0, b"hello") {
        let mut at = 2;
        while at < list.len() {
            if is(at, b"auth") {
                shown.to_mut().iter_mut().skip(at + 1).take(2).for_each(|argument| *argument = REDACTED);
                at += 3;
            } else if is(at, b"setname") {
                at += 2;
            } else {
                at += 1;
            }
        }
    } else if is(0, b"config") && is(1, b"set") {
        for at in (3..list.len()).step_by(2) {
            if ConfigStore::is_secret(list[at - 1]) {
                shown.to_mut()[at] = REDACTED;
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (request, shown) in [
            ("AUTH pass", "AUTH (redacted)"),
            ("auth me pass", "auth (redacted) (redacted)"),
            ("HELLO 3 AUTH me pass SETNAME x", "HELLO 3 AUTH (redacted) (redacted) SETNAME x"),
            ("HELLO 3 SETNAME auth AUTH me pass", "HELLO 3 SETNAME auth AUTH (redacted) (redacted)"),
            ("HELLO 3 AUTH me", "HELLO 3 AUTH (redacted)"),
            ("CONFIG SET timeout 1 requirepass x", "CONFIG SET timeout 1 requirepass (redacted)"),
            ("CONFIG SET requirepass", "CONFIG SET requirepass"),
            ("SET auth pass", "SET auth pass"),
        ] {
            let list: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
            let given: Vec<_> =
                without_secrets(&list).iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
            assert_eq!(given.join(" "), shown);
        }
    }
}
