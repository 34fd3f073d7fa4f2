//! Holds a history against the strings that are there at the end.
//!
//! Each operation says what it saw or wrote: which prefix of a string, which token. From that follow edges between operations: a writer
//! comes before the next writer of the same string, and before whoever saw its token; whoever did not see a token comes before its
//! writer; what was answered before another one began comes before it. A history is strictly serializable if these edges make no
//! cycle (Adya's dependency graphs, as Elle uses them: Kingsbury and Alvaro, 2020).

use crate::history::{Answer, History, TOKEN_BYTES, Wish};
use std::collections::BTreeMap;

/// How errors begin that say that nothing was done, for want of space or of time.
const REFUSALS: [&str; 2] = ["-MISCONF ", "-TRYAGAIN "];

/// What an operation did to a string.
struct Touch {
    operation: usize,
    key: usize,
    /// How many tokens it saw; none if it only wrote.
    saw: Option<usize>,
    /// The place of its token.
    wrote: Option<usize>,
}

/// Checks a run whose strings are these at the end.
///
/// # Errors
/// What is wrong.
pub fn check(history: &History, strings: &[String]) -> Result<(), String> {
    let mut places: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    for (key, string) in strings.iter().enumerate() {
        if string.len() % TOKEN_BYTES != 0 {
            return Err(format!("string {key} is no row of tokens: {string}"));
        }
        for place in 0..string.len() / TOKEN_BYTES {
            let token = &string[place * TOKEN_BYTES..][..TOKEN_BYTES];
            if let Some(before) = places.insert((key, token), place) {
                return Err(format!("{token} is twice in string {key}: at {before} and {place}"));
            }
        }
    }
    let mut touches = Vec::new();
    for number in 0..history.operations.len() {
        touches_of(history, number, strings, &places, &mut touches)?;
    }
    acyclic(history, &touches)
}

fn touches_of(
    history: &History,
    number: usize,
    strings: &[String],
    places: &BTreeMap<(usize, &str), usize>,
    touches: &mut Vec<Touch>,
) -> Result<(), String> {
    let operation = &history.operations[number];
    let said = |what: String| {
        Err(format!("operation {number}, {:?}, answered with {:?}: {what}", operation.wish, operation.answer))
    };
    let there = |key: &usize, token: &String| places.get(&(*key, token.as_str())).copied();
    let is_write = matches!(operation.wish, Wish::Append { .. } | Wish::ReadThenAppend { .. });
    match &operation.answer {
        Answer::Waits => return said("it was never answered".to_owned()),
        Answer::Again if is_write => return said("a write was called a read".to_owned()),
        Answer::Unknown | Answer::Refused if matches!(operation.wish, Wish::Read { .. }) => {
            return said("a read was called a write".to_owned());
        }
        _ => {}
    }
    match &operation.wish {
        Wish::Noise => {}
        Wish::Raise { keys, token } => {
            if let Some(key) = keys.iter().find(|key| there(key, token).is_some()) {
                return said(format!("its token was taken back, and is in string {key}"));
            }
        }
        Wish::Append { keys, token, tells_length } => {
            let found: Vec<Option<usize>> = keys.iter().map(|key| there(key, token)).collect();
            let has_happened = found[0].is_some();
            if found.iter().any(|place| place.is_some() != has_happened) {
                return said(format!("it is torn apart: {found:?}"));
            }
            match acknowledged(&operation.answer, has_happened) {
                Ok(Some(reply)) if *tells_length => {
                    let end = found[0].map(|place| format!(":{}", (place + 1) * TOKEN_BYTES));
                    if end.as_deref() != Some(reply) {
                        return said(format!("it ends at {end:?}"));
                    }
                }
                Ok(_) => {}
                Err(what) => return said(what.to_owned()),
            }
            for (key, place) in keys.iter().zip(found) {
                if place.is_some() {
                    touches.push(Touch { operation: number, key: *key, saw: None, wrote: place });
                }
            }
        }
        Wish::ReadThenAppend { read, append, token } => {
            let place = there(append, token);
            let seen = match acknowledged(&operation.answer, place.is_some()) {
                Ok(reply) => reply.map(|reply| tokens_seen(reply, &strings[*read])).transpose(),
                Err(what) => Err(what.to_owned()),
            };
            match seen {
                Ok(Some(saw)) => touches.push(Touch { operation: number, key: *read, saw: Some(saw), wrote: None }),
                Ok(None) => {}
                Err(what) => return said(what),
            }
            if place.is_some() {
                touches.push(Touch { operation: number, key: *append, saw: None, wrote: place });
            }
        }
        Wish::Read { keys } => {
            let Answer::Reply(reply) = &operation.answer else { return Ok(()) };
            if reply.starts_with('-') {
                return Ok(());
            }
            for (part, key) in reply.trim_matches(['[', ']']).split(", ").zip(keys) {
                match tokens_seen(part, &strings[*key]) {
                    Ok(saw) => touches.push(Touch { operation: number, key: *key, saw: Some(saw), wrote: None }),
                    Err(what) => return said(what),
                }
            }
        }
    }
    Ok(())
}

/// The reply of a write that succeeded, if it is known to.
///
/// # Errors
/// It was answered otherwise than it went.
fn acknowledged(answer: &Answer, has_happened: bool) -> Result<Option<&str>, &'static str> {
    // EXEC answers with an array also where its writes are refused, one by one.
    let has_failed = |reply: &str| reply.starts_with('-') || REFUSALS.iter().any(|refusal| reply.contains(refusal));
    match answer {
        Answer::Reply(reply) if !has_failed(reply) && has_happened => Ok(Some(reply)),
        Answer::Reply(reply) if !has_failed(reply) => Err("it was acknowledged, and is not there"),
        Answer::Reply(_) if has_happened => Err("it failed, and is there"),
        Answer::Refused | Answer::NotServing if has_happened => Err("it was refused, and is there"),
        _ => Ok(None),
    }
}

/// How many tokens of a string a reply shows.
fn tokens_seen(reply: &str, string: &str) -> Result<usize, String> {
    let seen = match reply {
        "nil" => "",
        quoted => quoted.strip_prefix('"').and_then(|part| part.strip_suffix('"')).ok_or("it is no string")?,
    };
    if string.starts_with(seen) && seen.len() % TOKEN_BYTES == 0 {
        Ok(seen.len() / TOKEN_BYTES)
    } else {
        let same = string.bytes().zip(seen.bytes()).take_while(|(one, other)| one == other).count();
        Err(format!(
            "what it saw is not how the string began: they part at byte {same}, it saw {} bytes of {}",
            seen.len(),
            string.len()
        ))
    }
}

/// Checks that the operations can be put in a row.
fn acyclic(history: &History, touches: &[Touch]) -> Result<(), String> {
    let operations = history.operations.len();
    let mut writers: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for touch in touches {
        if let Some(place) = touch.wrote {
            writers.insert((touch.key, place), touch.operation);
        }
    }
    // Answers in their order; what began after one of them comes after all before it.
    let mut answers: Vec<(u64, usize)> =
        history.operations.iter().enumerate().filter_map(|(number, one)| Some((one.answered?, number))).collect();
    answers.sort_unstable();
    let mut edges: Vec<Vec<usize>> = vec![Vec::new(); operations + answers.len()];
    for touch in touches {
        let writer = |place: usize| writers.get(&(touch.key, place)).copied();
        if let Some(place) = touch.wrote
            && let Some(next) = writer(place + 1)
        {
            edges[touch.operation].push(next);
        }
        if let Some(saw) = touch.saw {
            if let Some(last) = saw.checked_sub(1).and_then(writer) {
                edges[last].push(touch.operation);
            }
            if let Some(next) = writer(saw) {
                edges[touch.operation].push(next);
            }
        }
    }
    let has_effect = {
        let mut has_effect = vec![false; operations];
        touches.iter().for_each(|touch| has_effect[touch.operation] = true);
        has_effect
    };
    for (at, &(_, number)) in answers.iter().enumerate() {
        if has_effect[number] && matches!(history.operations[number].answer, Answer::Reply(_)) {
            edges[number].push(operations + at);
        }
        if at + 1 < answers.len() {
            edges[operations + at].push(operations + at + 1);
        }
    }
    for (number, operation) in history.operations.iter().enumerate() {
        let before = answers.partition_point(|&(when, _)| when < operation.began);
        if let Some(last) = before.checked_sub(1) {
            edges[operations + last].push(number);
        }
        if let Some(first) = operation.after.filter(|&first| has_effect[first] && has_effect[number]) {
            edges[first].push(number);
        }
    }
    match cycle(&edges) {
        None => Ok(()),
        Some(cycle) => {
            let told = cycle.iter().filter(|&&node| node < operations).map(|&number| {
                let one = &history.operations[number];
                format!("\n  {number} ({}..{:?}) {:?}: {}", one.began, one.answered, one.wish, shortened(&one.answer))
            });
            Err(format!(
                "no order of these is possible, each must come before the next and the last before the first:{}",
                told.collect::<String>()
            ))
        }
    }
}

fn shortened(answer: &Answer) -> String {
    let text = format!("{answer:?}");
    if text.len() <= 200 {
        text
    } else {
        format!("{} ... {} bytes ... {}", &text[..60], text.len(), &text[text.len() - 60..])
    }
}

/// The nodes of a cycle, if there is one (depth-first search, with its stack in a list).
fn cycle(edges: &[Vec<usize>]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Colour {
        New,
        Open,
        Done,
    }
    let mut colours = vec![Colour::New; edges.len()];
    for root in 0..edges.len() {
        if colours[root] != Colour::New {
            continue;
        }
        let mut path = vec![(root, 0)];
        colours[root] = Colour::Open;
        while let Some((node, next)) = path.last_mut() {
            let Some(&to) = edges[*node].get(*next) else {
                colours[*node] = Colour::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match colours[to] {
                Colour::New => {
                    colours[to] = Colour::Open;
                    path.push((to, 0));
                }
                Colour::Open => {
                    let from = path.iter().position(|&(node, _)| node == to).expect("open nodes are on the path");
                    return Some(path[from..].iter().map(|&(node, _)| node).collect());
                }
                Colour::Done => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: usize) -> String {
        format!("{number:07};")
    }

    fn append(history: &mut History, key: usize, number: usize) -> usize {
        history.begin(Wish::Append { keys: vec![key], token: token(number), tells_length: false }, None)
    }

    #[test]
    fn a_read_of_the_past_is_found() {
        let mut history = History::default();
        let write = append(&mut history, 0, 1);
        history.answer(write, Answer::Reply(":8".to_owned()));
        let read = history.begin(Wish::Read { keys: vec![0] }, None);
        history.answer(read, Answer::Reply("nil".to_owned()));
        let wrong = check(&history, &[token(1)]).unwrap_err();
        assert!(wrong.contains("no order"), "{wrong}");
    }

    #[test]
    fn concurrent_operations_may_come_in_any_order() {
        let mut history = History::default();
        let write = append(&mut history, 0, 1);
        let read = history.begin(Wish::Read { keys: vec![0] }, None);
        history.answer(write, Answer::Reply(":8".to_owned()));
        history.answer(read, Answer::Reply("nil".to_owned()));
        check(&history, &[token(1)]).unwrap();
    }

    #[test]
    fn what_is_lost_torn_or_there_after_all_is_found() {
        let mut history = History::default();
        let write = append(&mut history, 0, 1);
        history.answer(write, Answer::Reply(":8".to_owned()));
        assert!(check(&history, &[String::new()]).unwrap_err().contains("not there"));
        let mut history = History::default();
        let both = history.begin(Wish::Append { keys: vec![0, 1], token: token(1), tells_length: false }, None);
        history.answer(both, Answer::Unknown);
        assert!(check(&history, &[token(1), String::new()]).unwrap_err().contains("torn"));
        check(&history, &[token(1), token(1)]).unwrap();
        let mut history = History::default();
        let refused = append(&mut history, 0, 1);
        history.answer(refused, Answer::Refused);
        assert!(check(&history, &[token(1)]).unwrap_err().contains("refused, and is there"));
    }

    /// Two transactions that each missed the other's write.
    #[test]
    fn write_skew_is_found() {
        let mut history = History::default();
        let skew = |read, append, number| Wish::ReadThenAppend { read, append, token: token(number) };
        let (one, other) = (history.begin(skew(0, 1, 1), None), history.begin(skew(1, 0, 2), None));
        history.answer(one, Answer::Reply("nil".to_owned()));
        history.answer(other, Answer::Reply("nil".to_owned()));
        let wrong = check(&history, &[token(2), token(1)]).unwrap_err();
        assert!(wrong.contains("no order"), "{wrong}");
    }
}
