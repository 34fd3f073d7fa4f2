//! Passwords: AUTH and HELLO's AUTH.

use crate::command::failure::Failure;
use crate::command::host::ConnectionHost;
use crate::command::session::Session;

const WRONG: Failure = Failure::text("WRONGPASS invalid username-password pair or user is disabled.");
const NO_PASSWORD: Failure = Failure::text(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
);

/// `AUTH [username] password`.
pub(super) fn auth(session: &mut Session, host: &dyn ConnectionHost, list: &[&[u8]]) -> Result<(), Failure> {
    match list {
        [_, _] if host.password().is_none() => Err(NO_PASSWORD),
        [_, password] => authenticate(session, host, b"default", password),
        [_, user, password] => authenticate(session, host, user, password),
        _ => Err(Failure::Syntax),
    }
}

/// Lets a connection in, if user and password are right. There is one user, `default`; without a password anything is right.
pub(super) fn authenticate(
    session: &mut Session,
    host: &dyn ConnectionHost,
    user: &[u8],
    password: &[u8],
) -> Result<(), Failure> {
    let right = host.password().is_none_or(|right| same(right, password));
    if user != b"default" || !right {
        return Err(WRONG);
    }
    session.authenticated = true;
    Ok(())
}

/// Whether two passwords are the same; how long that takes does not tell where they differ.
fn same(right: &[u8], given: &[u8]) -> bool {
    let mut difference = u8::from(right.len() != given.len());
    for (position, byte) in given.iter().enumerate() {
        difference |= byte ^ right[position % right.len().max(1)..].first().copied().unwrap_or(0);
    }
    difference == 0
}
