//! CLIENT: what a connection is called, how it is treated, how it is described. The subcommands that look at other connections
//! are the node's.

use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::command::help;
use crate::command::host::{ClientFacts, ConnectionHost};
use crate::command::row::{container, row};
use crate::command::session::Session;
use crate::reply::{Protocol, ReplySink};

pub(super) const INVALID_NAME: Failure =
    Failure::text("ERR Client names cannot contain spaces, newlines or special characters.");

/// Whether a name can stand in CLIENT LIST's lines.
pub(super) fn name_is_valid(name: &[u8]) -> bool {
    name.iter().all(u8::is_ascii_graphic)
}

/// The subcommands that concern this connection alone.
pub(super) fn client(
    command: &Command,
    session: &mut Session,
    host: &dyn ConnectionHost,
    list: &[&[u8]],
    reply: &mut dyn ReplySink,
) -> Result<(), Failure> {
    match command.name {
        "client|id" => reply.integer(session.id.0 as i64),
        "client|getname" if session.name.is_empty() => reply.null(),
        "client|getname" => reply.bulk(&session.name),
        "client|setname" if !name_is_valid(list[2]) => return Err(INVALID_NAME),
        "client|setname" => {
            session.name = list[2].to_vec();
            reply.ok();
        }
        "client|setinfo" => {
            let field = match &list[2].to_ascii_lowercase()[..] {
                b"lib-name" => &mut session.library_name,
                b"lib-ver" => &mut session.library_version,
                _ => return Err(Failure::quoting("ERR Unrecognized option '", list[2], "'")),
            };
            if !name_is_valid(list[3]) {
                let problem = " cannot contain spaces, newlines or special characters.";
                return Err(Failure::quoting("ERR ", list[2], problem));
            }
            *field = list[3].to_vec();
            reply.ok();
        }
        "client|info" => reply.verbatim(*b"txt", &client_line(session, &host.facts())),
        "client|reply" => match &list[2].to_ascii_lowercase()[..] {
            b"on" => {
                session.reply_mode.on();
                reply.ok();
            }
            b"off" => session.reply_mode.off(),
            b"skip" => session.reply_mode.skip(),
            _ => return Err(Failure::Syntax),
        },
        "client|no-evict" => {
            session.no_evict = on_or_off(list[2])?;
            reply.ok();
        }
        "client|no-touch" => {
            session.no_touch = on_or_off(list[2])?;
            reply.ok();
        }
        "client|getredir" => reply.integer(-1),
        "client|trackinginfo" => {
            reply.map(3);
            reply.bulk(b"flags");
            reply.set(1);
            reply.bulk(b"off");
            reply.bulk(b"redirect");
            reply.integer(-1);
            reply.bulk(b"prefixes");
            reply.array(0);
        }
        "client|help" => help::write(reply, "CLIENT", HELP),
        name => panic!("{name} is in the table without anything that runs it"),
    }
    Ok(())
}

fn on_or_off(word: &[u8]) -> Result<bool, Failure> {
    match &word.to_ascii_lowercase()[..] {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(Failure::Syntax),
    }
}

/// A connection's line in CLIENT LIST, with its line end. `fd` is the socket's number on its core; nothing is subscribed to yet.
pub fn client_line(session: &Session, facts: &ClientFacts) -> Vec<u8> {
    let queue = session.transaction.as_ref();
    let queued = queue.map_or(-1, |queue| queue.commands.len() as i64);
    let queue_bytes = queue.map_or(0, |queue| queue.bytes());
    let events = if facts.output_bytes > 0 { "rw" } else { "r" };
    let protocol = if session.protocol == Protocol::Resp3 { 3 } else { 2 };
    let total = size_of::<Session>() + facts.buffer_bytes + queue_bytes;
    let ClientFacts { peer, local, socket, age_s, idle_s, input_bytes, output_bytes, buffer_bytes } = facts;
    let (id, db, flags, command) = (session.id, session.db, flags(session), session.last_command);
    let mut line = format!("id={id} addr={peer} laddr={local} fd={socket} name=").into_bytes();
    line.extend_from_slice(&session.name);
    line.extend_from_slice(
        format!(
            " age={age_s} idle={idle_s} flags={flags} db={db} sub=0 psub=0 ssub=0 multi={queued} qbuf={input_bytes} \
             qbuf-free=0 argv-mem=0 multi-mem={queue_bytes} rbs={buffer_bytes} rbp={buffer_bytes} obl={output_bytes} \
             oll=0 omem=0 tot-mem={total} events={events} cmd={command} user=default redir=-1 resp={protocol} lib-name="
        )
        .as_bytes(),
    );
    line.extend_from_slice(&session.library_name);
    line.extend_from_slice(b" lib-ver=");
    line.extend_from_slice(&session.library_version);
    line.push(b'\n');
    line
}

fn flags(session: &Session) -> String {
    let flags: String = [
        (session.monitors, 'O'),
        (session.transaction.is_some(), 'x'),
        (session.closing, 'c'),
        (session.no_evict, 'e'),
        (session.no_touch, 'T'),
    ]
    .iter()
    .filter(|(set, _)| *set)
    .map(|&(_, letter)| letter)
    .collect();
    if flags.is_empty() { "N".to_owned() } else { flags }
}

const HELP: &[(&str, &str)] = &[
    ("GETREDIR", "Tell which client gets this one's invalidations: none, -1."),
    ("GETNAME", "Tell the name of this connection."),
    ("ID", "Tell the number of this connection."),
    ("INFO", "Describe this connection."),
    ("KILL <ip:port>", "Close the connection that comes from this address."),
    (
        "KILL <option> <value> [<option> <value> [...]]",
        "Close the connections that fit: ID, TYPE, USER, ADDR, LADDR, SKIPME (YES|NO).",
    ),
    ("LIST [TYPE <type> | ID <id> [<id> ...]]", "Describe all connections, or these."),
    ("NO-EVICT (ON|OFF)", "Keep this connection out of client eviction, or not."),
    ("NO-TOUCH (ON|OFF)", "Let this connection's commands count as accesses to keys, or not."),
    ("PAUSE <timeout> [WRITE|ALL]", "Hold back all commands, or writes, for so many milliseconds."),
    ("REPLY (ON|OFF|SKIP)", "Choose whether this connection gets replies."),
    ("SETINFO (LIB-NAME|LIB-VER) <value>", "Tell the server which library this client uses."),
    ("SETNAME <name>", "Name this connection."),
    ("TRACKINGINFO", "Tell whether keys are tracked for this connection: they are not."),
    ("UNBLOCK <clientid> [TIMEOUT|ERROR]", "End the wait of another connection."),
    ("UNPAUSE", "Let commands that are held back go on."),
];

const FLAGS: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE;

const fn own(name: &'static str, arity: i16) -> Command {
    row(name, arity, FLAGS, Keys::None, Run::Connection)
}

const fn node(name: &'static str, arity: i16) -> Command {
    row(name, arity, flag::ADMIN | FLAGS, Keys::None, Run::Node)
}

/// The rows of this family.
pub const COMMANDS: &[Command] = &[container(
    "client",
    &[
        own("client|getname", 2),
        own("client|getredir", 2),
        row("client|help", 2, flag::LOADING | flag::STALE, Keys::None, Run::Connection),
        own("client|id", 2),
        own("client|info", 2),
        node("client|kill", -3),
        node("client|list", -2),
        row("client|no-evict", 3, flag::ADMIN | FLAGS, Keys::None, Run::Connection),
        own("client|no-touch", 3),
        node("client|pause", -3),
        own("client|reply", 3),
        own("client|setinfo", 4),
        own("client|setname", 3),
        own("client|trackinginfo", 2),
        node("client|unblock", -3),
        node("client|unpause", 2),
    ],
)];
