//! HELLO: the connection's protocol; RESET: everything back.

use crate::command::authentication::authenticate;
use crate::command::client::name_is_valid;
use crate::command::failure::Failure;
use crate::command::host::ConnectionHost;
use crate::command::session::{Door, Session};
use crate::keyspace::canonical_integer;
use crate::reply::{Protocol, ReplySink};

/// The version of Redis whose behaviour clients can rely on.
pub const REDIS_VERSION: &str = "7.2.4";

/// `HELLO [protover [AUTH username password] [SETNAME name]]`: the reply is the first one in the new protocol.
pub(super) fn hello(
    session: &mut Session,
    host: &dyn ConnectionHost,
    list: &[&[u8]],
    reply: &mut dyn ReplySink,
) -> Result<(), Failure> {
    let mut protocol = session.protocol;
    if let Some(version) = list.get(1) {
        protocol = match canonical_integer(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(Failure::text("NOPROTO unsupported protocol version")),
            None => return Err(Failure::text("ERR Protocol version is not an integer or out of range")),
        };
    }
    let (mut user, mut name) = (None, None);
    let mut options = list.get(2..).unwrap_or_default();
    while let [option, rest @ ..] = options {
        options = match rest {
            [given_user, password, rest @ ..] if option.eq_ignore_ascii_case(b"auth") => {
                user = Some((*given_user, *password));
                rest
            }
            [given, rest @ ..] if option.eq_ignore_ascii_case(b"setname") => {
                if !name_is_valid(given) {
                    return Err(super::client::INVALID_NAME);
                }
                name = Some(*given);
                rest
            }
            _ => return Err(Failure::quoting("ERR Syntax error in HELLO option '", option, "'")),
        };
    }
    if let Some((user, password)) = user {
        authenticate(session, host, user, password)?;
    }
    if !session.authenticated {
        return Err(Failure::text(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        session.name = name.to_vec();
    }
    session.protocol = protocol;
    reply.switch_protocol(protocol);
    reply.map(7);
    for (field, text) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(field.as_bytes());
        reply.bulk(text.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(if protocol == Protocol::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(session.id.0 as i64);
    let mode = if session.door == Door::Server { "standalone" } else { "cluster" };
    for (field, text) in [("mode", mode), ("role", "master")] {
        reply.bulk(field.as_bytes());
        reply.bulk(text.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

/// `RESET`: the connection is as it began, but for its number, its library's name, and what its caller ends (watches).
pub(super) fn reset(session: &mut Session, host: &dyn ConnectionHost, reply: &mut dyn ReplySink) {
    let mut fresh = Session::new(session.id, session.door, host.password().is_none());
    fresh.library_name = std::mem::take(&mut session.library_name);
    fresh.library_version = std::mem::take(&mut session.library_version);
    fresh.last_command = session.last_command;
    fresh.watched = std::mem::take(&mut session.watched);
    fresh.reply_mode = session.reply_mode;
    fresh.reply_mode.reset();
    fresh.closing = session.closing;
    *session = fresh;
    reply.switch_protocol(Protocol::Resp2);
    reply.simple("RESET");
}
