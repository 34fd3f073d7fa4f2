//! Replies that may differ between two right servers, and what must still hold for them.

use super::common::Reply;
use super::conversions::ANY_ORDER;
use super::step::Step;

/// How the replies to a request are compared.
pub enum Comparison {
    /// Byte by byte. Every request that is not listed.
    Bytes,
    /// By this.
    By(fn(&Reply, &Reply) -> bool),
}

/// Two servers take the same request a little apart, so what is counted in seconds may differ by one, in milliseconds by this.
const MILLISECONDS_APART_MAX: i64 = 2_000;

/// How to compare the replies to this request, of which the real server's is `wanted`.
pub fn comparison(arguments: &[Vec<u8>], wanted: &Reply) -> Comparison {
    // Errors are always compared whole, but for those that name an internal place.
    if let Some(text) = wanted.error_text() {
        // Of several names that are taken each server tells the one that it meets first.
        let taken = arguments[0].eq_ignore_ascii_case(b"FUNCTION") && text.ends_with(" already exists");
        return if taken { Comparison::By(both_taken) } else { Comparison::Bytes };
    }
    let words: Vec<String> =
        arguments.iter().take(2).map(|word| String::from_utf8_lossy(word).to_ascii_uppercase()).collect();
    let second = words.get(1).map_or("", String::as_str);
    match words.first().map_or("", String::as_str) {
        // Help is prose.
        _ if second == "HELP" => Comparison::By(same_kind),
        // So are the notes on key specifications.
        "COMMAND" if second == "INFO" => Comparison::By(same_but_for_notes),
        // No order is promised.
        "KEYS" => Comparison::By(same_sorted),
        // Where a cursor stands is the server's own business; `scanall` compares what it gives in the end.
        "SCAN" => Comparison::By(same_shape),
        // Any key will do; whether there is one is the same.
        "RANDOMKEY" => Comparison::By(same_shape),
        // What is left is counted from each server's own now.
        "TTL" | "EXPIRETIME" => Comparison::By(close_in_seconds),
        "PTTL" | "PEXPIRETIME" => Comparison::By(close_in_milliseconds),
        // So is the order of the pairs of a table.
        "EVAL" if second.contains(&ANY_ORDER.to_ascii_uppercase()) => Comparison::By(same_in_any_order),
        // The clock, ids, addresses, measures of each server's own memory.
        "TIME" | "LASTSAVE" | "INFO" | "MEMORY" | "ROLE" => Comparison::By(same_shape),
        "CLIENT" if matches!(second, "ID" | "INFO" | "LIST") => Comparison::By(same_shape),
        // Libraries, their functions and their flags come in each server's own order; a payload, too, has them in it.
        "FUNCTION" if second == "LIST" => Comparison::By(same_in_any_order),
        "FUNCTION" if second == "DUMP" => Comparison::By(same_shape),
        "OBJECT" if matches!(second, "IDLETIME" | "FREQ" | "REFCOUNT") => Comparison::By(same_shape),
        // Version, id and mode are each server's own; the protocol and the fields' names are not.
        "HELLO" => Comparison::By(same_hello),
        _ => Comparison::Bytes,
    }
}

/// Is this something that only servers after `version` know? Ringkeep speaks 7.2; an older reference cannot judge it.
pub fn is_newer_than(step: &Step, version: (u32, u32)) -> bool {
    let Step::Request { arguments, .. } = step else {
        return false;
    };
    let word = |number: usize| arguments.get(number).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
    let script = arguments.get(1).map(Vec::as_slice).unwrap_or_default();
    let has = |part: &[u8]| script.windows(part.len()).any(|window| window == part);
    let newer = match word(0).as_slice() {
        b"WAITAOF" => true,
        b"CLIENT" => [&b"SETINFO"[..], b"NO-TOUCH"].contains(&word(1).as_slice()),
        // Its arity changed with 7.2.
        b"COMMAND" => word(1) == b"GETKEYS" && arguments.len() == 3,
        // 7.2 gave scripts os.clock, and writes their numbers with the fewest digits that read back.
        b"EVAL" => has(b"os.") || has(b"'k',0.1"),
        _ => false,
    };
    newer && version < (7, 2)
}

fn same_sorted(wanted: &Reply, given: &Reply) -> bool {
    let (Reply::Array(wanted), Reply::Array(given)) = (wanted, given) else {
        return wanted == given;
    };
    let (mut wanted, mut given) = (wanted.clone(), given.clone());
    wanted.sort();
    given.sort();
    wanted == given
}

/// The same elements at every level, in whatever order.
fn same_in_any_order(wanted: &Reply, given: &Reply) -> bool {
    fn sorted(reply: &Reply) -> Reply {
        let all = |parts: &[Reply]| {
            let mut parts: Vec<Reply> = parts.iter().map(sorted).collect();
            parts.sort();
            parts
        };
        match reply {
            Reply::Array(parts) => Reply::Array(all(parts)),
            Reply::Map(parts) => Reply::Map(all(parts)),
            Reply::Set(parts) => Reply::Set(all(parts)),
            other => other.clone(),
        }
    }
    sorted(wanted) == sorted(given)
}

/// Both refuse for a name that is taken, by a library or by a function.
fn both_taken(wanted: &Reply, given: &Reply) -> bool {
    let kind = |reply: &Reply| {
        let text = reply.error_text().unwrap_or_default();
        text.ends_with(" already exists").then(|| text.starts_with("ERR Function "))
    };
    kind(wanted) == kind(given)
}

/// The same type at the top.
fn same_kind(wanted: &Reply, given: &Reply) -> bool {
    std::mem::discriminant(wanted) == std::mem::discriminant(given)
}

/// The same types of the outer two levels; a null is not a value.
fn same_shape(wanted: &Reply, given: &Reply) -> bool {
    match (wanted, given) {
        (Reply::Array(wanted), Reply::Array(given)) if wanted.len() == given.len() => {
            wanted.iter().zip(given).all(|(wanted, given)| same_kind(wanted, given))
        }
        _ => same_kind(wanted, given) && !matches!(wanted, Reply::Array(_)),
    }
}

fn same_but_for_notes(wanted: &Reply, given: &Reply) -> bool {
    let is_notes = |parts: &[Reply], at: usize| at > 0 && parts[at - 1].bytes() == Some(b"notes");
    match (wanted, given) {
        (Reply::Array(wanted), Reply::Array(given))
        | (Reply::Map(wanted), Reply::Map(given))
        | (Reply::Set(wanted), Reply::Set(given)) => {
            wanted.len() == given.len()
                && (0..wanted.len()).all(|at| is_notes(wanted, at) || same_but_for_notes(&wanted[at], &given[at]))
        }
        _ => wanted == given,
    }
}

fn close(wanted: &Reply, given: &Reply, apart_max: i64) -> bool {
    match (wanted, given) {
        // -1 and -2 are no times.
        (Reply::Integer(wanted), Reply::Integer(given)) if *wanted >= 0 && *given >= 0 => {
            wanted.abs_diff(*given) <= apart_max as u64
        }
        _ => wanted == given,
    }
}

fn close_in_seconds(wanted: &Reply, given: &Reply) -> bool {
    close(wanted, given, 1 + MILLISECONDS_APART_MAX / 1_000)
}

fn close_in_milliseconds(wanted: &Reply, given: &Reply) -> bool {
    close(wanted, given, MILLISECONDS_APART_MAX)
}

fn same_hello(wanted: &Reply, given: &Reply) -> bool {
    let is_aggregate = |reply: &Reply| matches!(reply, Reply::Array(_) | Reply::Map(_));
    if !same_kind(wanted, given) || !is_aggregate(wanted) {
        // QUEUED, say.
        return wanted == given;
    }
    let (wanted, given) = (wanted.elements(), given.elements());
    wanted.len() <= given.len()
        && wanted.chunks(2).all(|pair| {
            let other = given.chunks(2).find(|other| other[0] == pair[0]);
            other.is_some_and(|other| match pair[0].bytes() {
                Some(b"version" | b"id") => same_kind(&pair[1], &other[1]),
                _ => pair[1] == other[1],
            })
        })
}
