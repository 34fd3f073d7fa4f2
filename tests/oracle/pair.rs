//! Two servers that must answer alike.

use super::common::{Client, Reply, Server, ServerOptions, reference_binary};
use super::normalise::{self, Comparison};
use super::step::Step;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// A reply that takes longer is taken for none.
const REPLY_SECONDS_MAX: u64 = 5;
/// More rounds of one SCAN than any of these keyspaces can need.
const SCAN_ROUNDS_MAX: usize = 10_000;

/// The server that is tested, and the one that knows.
pub struct Pair {
    subject: Server,
    reference: Server,
    /// The real server's version, for what only later ones know.
    version: (u32, u32),
}

/// What one step gave.
#[derive(Clone)]
enum Answer {
    /// A reply, parsed and as it came.
    Reply(Reply, Vec<u8>),
    /// The keys of a whole SCAN.
    Keys(BTreeSet<Vec<u8>>),
    /// Nothing was to be answered.
    Nothing,
    /// There is no answer: closed, silent, or garbage.
    Broken(String),
}

/// A step whose answers differ.
#[derive(Debug)]
pub struct Difference {
    /// Which step, from 0.
    pub step: usize,
    expected: String,
    got: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "    redis:    {}\n    ringkeep: {}", self.expected, self.got)
    }
}

impl Pair {
    /// Starts both. `None`, with a line that says so, where no real server is installed.
    pub fn start() -> Option<Pair> {
        if std::env::var_os("RINGKEEP_ORACLE_SELF").is_some() {
            return Pair::start_self();
        }
        Pair::start_with(ServerOptions::ringkeep())
    }

    /// Two real servers.
    pub fn start_self() -> Option<Pair> {
        let binary = reference_binary()?;
        Pair::start_with(ServerOptions::reference(&binary))
    }

    fn start_with(subject: ServerOptions) -> Option<Pair> {
        let Some(binary) = reference_binary() else {
            eprintln!("skipped: neither redis-server nor valkey-server is installed");
            return None;
        };
        let common = |options: ServerOptions| options.setting("enable-debug-command", "yes");
        let reference = common(ServerOptions::reference(&binary)).start();
        let subject = common(subject).start();
        let version = reference.client().info("redis_version").expect("a version");
        let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Some(Pair { subject, reference, version })
    }

    /// Runs a sequence on both, from empty servers, and gives what differs.
    pub fn run(&mut self, protocol: u8, steps: &[Step]) -> Vec<Difference> {
        if !self.subject.is_running() {
            eprintln!("the server had ended; started again. Its log:\n{}", self.subject.log());
            // The process has been waited for; this only forgets it.
            self.subject.kill();
            self.subject.start();
        }
        let mut expected = Session::start(&self.reference, protocol);
        let mut got = Session::start(&self.subject, protocol);
        let mut differences = Vec::new();
        // What each connection has queued since MULTI: EXEC's parts are the replies to these.
        let mut queued: [Vec<Vec<Vec<u8>>>; 2] = Default::default();
        for (number, step) in steps.iter().enumerate() {
            if normalise::is_newer_than(step, self.version) {
                continue;
            }
            if let Step::Sleep(time) = step {
                std::thread::sleep(*time);
                continue;
            }
            let (wanted, given) = (expected.answer(step), got.answer(step));
            if !is_same(step, &wanted, &given, &mut queued) {
                differences.push(Difference { step: number, expected: wanted.to_string(), got: given.to_string() });
            }
            if let Answer::Broken(_) = given {
                // A process that is about to end is given the time for it, so that the next run does not meet it half gone.
                self.subject.wait_for_end(Duration::from_millis(300));
                break;
            }
        }
        if !self.subject.is_running() {
            differences.push(Difference {
                step: steps.len() - 1,
                expected: "a server that runs on".to_owned(),
                got: format!("the process ended. Its log:\n{}", self.subject.log()),
            });
        }
        differences
    }
}

struct Session {
    clients: [Client; 2],
}

impl Session {
    /// New connections and an empty server. What scripts and settings a sequence left behind is not undone: none changes them.
    fn start(server: &Server, protocol: u8) -> Session {
        let clients = [server.client(), server.client()].map(|mut client| {
            client.set_read_timeout(Duration::from_secs(REPLY_SECONDS_MAX));
            if protocol == 3 {
                client.run("HELLO 3");
            }
            client
        });
        let mut session = Session { clients };
        let reply = session.clients[0].run("FLUSHALL");
        assert!(reply.is_ok(), "FLUSHALL: {reply:?}");
        session.clients[0].run("SCRIPT FLUSH");
        session.clients[0].run("FUNCTION FLUSH");
        session
    }

    fn answer(&mut self, step: &Step) -> Answer {
        match step {
            Step::Request { connection, arguments } => self.ask(*connection, arguments),
            Step::ScanAll { options } => self.scan(options),
            Step::Sleep(_) => Answer::Nothing,
        }
    }

    fn ask(&mut self, connection: usize, arguments: &[Vec<u8>]) -> Answer {
        let client = &mut self.clients[connection];
        let mut bytes = Vec::new();
        super::common::encode(&mut bytes, arguments);
        if let Err(error) = client.try_send_raw(&bytes) {
            return Answer::Broken(error.to_string());
        }
        match client.try_reply() {
            Ok(Some((reply, raw))) => Answer::Reply(reply, raw),
            Ok(None) => Answer::Broken("closed".to_owned()),
            Err(error) => Answer::Broken(error.to_string()),
        }
    }

    fn scan(&mut self, options: &[Vec<u8>]) -> Answer {
        let mut keys = BTreeSet::new();
        let mut cursor = b"0".to_vec();
        for _ in 0..SCAN_ROUNDS_MAX {
            let mut arguments = vec![b"SCAN".to_vec(), cursor];
            arguments.extend_from_slice(options);
            let Answer::Reply(reply, raw) = self.ask(0, &arguments) else {
                return Answer::Broken("no reply to SCAN".to_owned());
            };
            let Reply::Array(parts) = &reply else {
                return Answer::Reply(reply, raw);
            };
            let [Reply::Bulk(next), Reply::Array(found)] = parts.as_slice() else {
                return Answer::Reply(reply, raw);
            };
            keys.extend(found.iter().filter_map(Reply::bytes).map(<[u8]>::to_vec));
            if next == b"0" {
                return Answer::Keys(keys);
            }
            cursor = next.clone();
        }
        Answer::Broken(format!("SCAN is not at its end after {SCAN_ROUNDS_MAX} rounds"))
    }
}

fn is_same(step: &Step, wanted: &Answer, given: &Answer, queued: &mut [Vec<Vec<Vec<u8>>>; 2]) -> bool {
    match (wanted, given) {
        (Answer::Reply(wanted, wanted_raw), Answer::Reply(given, given_raw)) => {
            let (connection, arguments) = match step {
                Step::Request { connection, arguments } => (*connection, arguments.clone()),
                _ => (0, vec![b"SCAN".to_vec()]),
            };
            let queue = &mut queued[connection];
            if matches!(wanted, Reply::Simple(text) if text == b"QUEUED") {
                queue.push(arguments);
                return wanted_raw == given_raw;
            }
            match arguments[0].to_ascii_uppercase().as_slice() {
                b"EXEC" => {
                    let queue = std::mem::take(queue);
                    if let (Reply::Array(wanted), Reply::Array(given)) = (wanted, given) {
                        return wanted.len() == given.len()
                            && queue.len() == wanted.len()
                            && (queue.iter().zip(wanted).zip(given)).all(|((request, wanted), given)| {
                                match normalise::comparison(request, wanted) {
                                    Comparison::Bytes => wanted == given,
                                    Comparison::By(same) => same(wanted, given),
                                }
                            });
                    }
                }
                b"MULTI" | b"DISCARD" | b"RESET" if wanted.error_text().is_none() => queue.clear(),
                _ => {}
            }
            match normalise::comparison(&arguments, wanted) {
                Comparison::Bytes => wanted_raw == given_raw,
                Comparison::By(same) => same(wanted, given),
            }
        }
        (Answer::Keys(wanted), Answer::Keys(given)) => wanted == given,
        (Answer::Nothing, Answer::Nothing) => true,
        // Both closed the connection, say after QUIT.
        (Answer::Broken(wanted), Answer::Broken(given)) => wanted == given,
        _ => false,
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Reply(reply, _) => write!(f, "{reply:?}"),
            Answer::Keys(keys) => {
                let shown: Vec<String> = keys.iter().map(|key| key.escape_ascii().to_string()).collect();
                write!(f, "{} keys: {}", keys.len(), shown.join(" "))
            }
            Answer::Nothing => write!(f, "nothing"),
            Answer::Broken(reason) => write!(f, "no reply: {reason}"),
        }
    }
}
