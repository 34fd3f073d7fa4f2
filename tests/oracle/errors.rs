//! What INFO counts of errors that scripts raise, return, catch and make.
//!
//! Left out: an error within a list that a script returns, for which Redis counts EVAL as failed too.

use super::common::{Client, ServerOptions, reference_binary};

/// Scripts over the key `x`, run by EVAL or EVAL_RO.
const SCRIPTS: &[(&str, &str)] = &[
    ("EVAL", "return redis.call('set','x','y')"),
    ("EVAL", "return redis.pcall('set','x','y')"),
    ("EVAL", "redis.pcall('set','x','y') return 1"),
    ("EVAL", "for i = 1, 3 do redis.pcall('set','x','y') end return redis.pcall('incr','text')"),
    ("EVAL", "return redis.call('select',99)"),
    ("EVAL", "return redis.pcall('select',99)"),
    ("EVAL", "local t = redis.pcall('select',99) return t.err"),
    ("EVAL", "local ok, e = pcall(redis.call, 'select', 99) error(e)"),
    ("EVAL", "local ok, e = pcall(redis.call, 'select', 99) error(e.err)"),
    ("EVAL", "local ok, e = pcall(redis.call, 'incr', 'text') return e"),
    ("EVAL", "return redis.call('incr','text')"),
    ("EVAL", "redis.pcall('incr','text') return redis.call('incr','text')"),
    ("EVAL", "return redis.call('nosuch')"),
    ("EVAL", "return redis.pcall('get')"),
    ("EVAL", "return redis.error_reply('My error')"),
    ("EVAL", "return {err='MINE text'}"),
    ("EVAL", "error('thrown')"),
    ("EVAL", "error({err='MINE text'})"),
    ("EVAL", "syntax error"),
    ("EVAL", "return 1"),
    ("EVAL_RO", "return redis.call('set','x','y')"),
    ("EVAL_RO", "return redis.pcall('set','x','y')"),
    ("EVAL_RO", "redis.pcall('set','x','y') return 1"),
];

/// The counts of commands and errors, without times.
fn counts(client: &mut Client) -> Vec<String> {
    let mut found = Vec::new();
    for section in ["errorstats", "commandstats", "stats"] {
        let reply = client.command(&["INFO", section]);
        let text = String::from_utf8_lossy(reply.bytes().expect("a text")).into_owned();
        for line in text.lines() {
            let is_error = line.starts_with("errorstat_") || line.starts_with("total_error_replies");
            let is_command = line.starts_with("cmdstat_") && !line.starts_with("cmdstat_info");
            if is_error {
                found.push(line.to_owned());
            } else if is_command && !line.starts_with("cmdstat_config") {
                let counts = line.split([':', ',']).filter(|part| !part.starts_with("usec"));
                found.push(counts.collect::<Vec<_>>().join(" "));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn errors_of_scripts_count_once() {
    let Some(binary) = reference_binary() else {
        eprintln!("skipped: neither redis-server nor valkey-server is installed");
        return;
    };
    let (ours, theirs) = (ServerOptions::ringkeep().start(), ServerOptions::reference(&binary).start());
    let mut wrong = String::new();
    for maxmemory in ["0", "1"] {
        for (command, script) in SCRIPTS {
            let [expected, got] = [&theirs, &ours].map(|server| {
                let mut client = server.client();
                client.command(&["CONFIG", "SET", "maxmemory", "0"]);
                client.command(&["SET", "text", "no number"]);
                client.command(&["CONFIG", "SET", "maxmemory", maxmemory]);
                client.command(&["CONFIG", "RESETSTAT"]);
                client.command(&[command, script, "1", "x"]);
                counts(&mut client)
            });
            if expected != got {
                wrong += &format!(
                    "{command} {script}, maxmemory {maxmemory}\n  redis    {expected:?}\n  ringkeep {got:?}\n"
                );
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
