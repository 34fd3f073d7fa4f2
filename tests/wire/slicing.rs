//! Long scripts: others are served beside them, they see one state, and they can always be stopped.

use super::common::{Client, Reply, Server, ServerOptions};
use super::is_reference;
use std::time::{Duration, Instant};

/// The same without a function of its own: the thread that fails has no line.
const BARE: &str = "local n = 0\nwhile true do n = n + 1 end";
const ENDLESS: &str = "redis.call('SET', KEYS[1], 'half') while true do pcall(function() while true do end end) end";
/// Counts for as long as `ARGV[1]` steps take between a read and a write.
const SLOW_INCREMENT: &str = "local value = redis.call('GET', KEYS[1]) or 0 local n = 0 \
     for i = 1, tonumber(ARGV[1]) do n = n + i % 7 end redis.call('SET', KEYS[1], value + 1) return value + 1";

fn server() -> Option<Server> {
    (!is_reference()).then(|| ServerOptions::ringkeep().shards(1).start())
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(15), "it never comes about that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts a script and waits until it is seen to run; its connection.
fn running(server: &Server, script: &str, keys: &[&str]) -> Client {
    let mut client = server.client();
    let count = keys.len().to_string();
    let list: Vec<&str> = ["EVAL", script, &count].into_iter().chain(keys.iter().copied()).collect();
    let mut other = server.client();
    let before = other.run("SCRIPT LIST").elements().len();
    client.send(&list);
    eventually("the script runs", || other.run("SCRIPT LIST").elements().len() > before);
    client
}

fn nothing_runs(client: &mut Client) {
    eventually("nothing runs", || client.run("SCRIPT LIST").elements().is_empty());
    eventually("nothing is set aside", || client.info("requests_set_aside").as_deref() == Some("0"));
}

#[test]
fn others_are_served_beside_an_endless_script_and_a_kill_leaves_nothing_of_it() {
    let Some(server) = server() else { return };
    let mut other = server.client();
    assert_eq!(other.run("SCRIPT KILL").error_text().as_deref(), Some("NOTBUSY No scripts in execution right now."));
    let mut client = running(&server, ENDLESS, &["k"]);
    client.send(&["ECHO", "later"]);
    assert!(other.run("GET k").is_null(), "nobody sees what it has written");
    assert!(other.run("SET other 1").is_ok());
    assert_eq!(other.command(&["EVAL", "return redis.call('INCR', KEYS[1])", "1", "other"]).integer(), 2);
    let listed = other.run("SCRIPT LIST");
    let text = format!("{listed:?}");
    assert_eq!(listed.elements().len(), 1, "{text}");
    assert!(text.contains("calls"), "{text}");
    let fields = listed.elements()[0].elements();
    let calls = fields.iter().position(|field| field.bytes() == Some(b"calls")).expect("its calls");
    assert_eq!(fields[calls + 1].integer(), 1, "{text}");
    assert!(client.is_silent_for(Duration::from_millis(50)), "its connection's later commands wait");
    assert!(other.run("SCRIPT KILL").is_ok());
    let error = client.reply().error_text().expect("an error");
    assert!(error.starts_with("ERR Script killed by user with SCRIPT KILL... script: "), "{error}");
    assert!(error.ends_with(", on @user_script:1."), "{error}");
    assert_eq!(client.reply().text(), "later");
    assert!(other.run("GET k").is_null());
    assert_eq!(other.info("script_kills").as_deref(), Some("1"));
    let mut client = running(&server, BARE, &[]);
    assert!(other.run("SCRIPT KILL").is_ok());
    let error = client.reply().error_text().expect("an error");
    assert!(error.ends_with(", on @user_script:2."), "{error}");
    nothing_runs(&mut other);
}

#[test]
fn scripts_are_killed_by_digest_and_by_client() {
    let Some(server) = server() else { return };
    let mut other = server.client();
    let mut one = running(&server, "while true do end", &[]);
    let mut two = running(&server, "while true do local a = 1 end", &[]);
    let mut three = server.client();
    let id = three.run("CLIENT ID").integer().to_string();
    three.send(&["EVAL", "while true do local a = 1 end", "0"]);
    eventually("three run", || other.run("SCRIPT LIST").elements().len() == 3);
    assert_eq!(
        other.run("SCRIPT KILL 0000000000000000000000000000000000000000").error_text().as_deref(),
        Some("NOTBUSY No scripts in execution right now.")
    );
    assert!(other.command(&["SCRIPT", "KILL", "ID", &id]).is_ok());
    assert!(three.reply().error_text().is_some());
    let digest = other.command(&["EVAL", "return redis.sha1hex(ARGV[1])", "0", "while true do end"]).text();
    assert!(other.command(&["SCRIPT", "KILL", &digest]).is_ok());
    assert!(one.reply().error_text().is_some());
    assert!(two.is_silent_for(Duration::from_millis(30)));
    assert!(other.run("SCRIPT KILL").is_ok());
    assert!(two.reply().error_text().is_some());
    nothing_runs(&mut other);
}

#[test]
fn a_script_ends_with_its_client() {
    for shards in [1, 2] {
        if is_reference() {
            return;
        }
        let server = ServerOptions::ringkeep().shards(shards).start();
        let mut other = server.client();
        for number in 0..8 {
            // Keys of both shards, from connections of both cores.
            let mut client = running(&server, ENDLESS, &[&format!("k{number}")]);
            if number % 2 == 0 {
                drop(client);
            } else {
                let id = other.run("CLIENT LIST").text();
                let id = id.lines().find(|line| line.contains("cmd=eval")).expect("its line");
                let id = id.split(' ').find_map(|field| field.strip_prefix("id=")).expect("its id").to_owned();
                assert_eq!(other.command(&["CLIENT", "KILL", "ID", &id]).integer(), 1);
                assert!(client.read_to_end().is_empty());
            }
            nothing_runs(&mut other);
            assert!(other.run(&format!("GET k{number}")).is_null());
        }
    }
}

#[test]
fn the_server_ends_although_scripts_run() {
    let Some(mut server) = server() else { return };
    let mut clients: Vec<Client> = (0..3).map(|number| running(&server, ENDLESS, &[&format!("k{number}")])).collect();
    let since = Instant::now();
    server.signal(15);
    let status = server.wait_for_end(Duration::from_secs(10)).expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert!(since.elapsed() < Duration::from_secs(4), "{:?}: {}", since.elapsed(), server.log());
    for client in &mut clients {
        let said = String::from_utf8_lossy(&client.read_to_end()).into_owned();
        assert!(said.starts_with("-ERR The server is shutting down"), "{said}");
    }
    server.start();
    assert_eq!(server.client().run("DBSIZE").integer(), 0);
}

#[test]
fn a_script_that_takes_too_long_is_stopped_or_named() {
    if is_reference() {
        return;
    }
    let server = ServerOptions::ringkeep().shards(1).setting("busy-reply-threshold", "20").start();
    let mut other = server.client();
    let mut client = running(&server, ENDLESS, &["k"]);
    eventually("the log names it", || server.log().contains("has been running for"));
    assert!(other.run("CONFIG SET script-time-limit 50").is_ok());
    let error = client.reply().error_text().expect("an error");
    assert!(
        error.starts_with("ERR Script stopped: it ran for longer than script-time-limit allows script: "),
        "{error}"
    );
    assert_eq!(server.log().matches("has been running for").count(), 1, "{}", server.log());
    let since = Instant::now();
    assert!(other.command(&["EVAL", "while true do end", "0"]).error_text().is_some());
    assert!(since.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_long_script_sees_one_state() {
    let Some(server) = server() else { return };
    let mut other = server.client();
    other.run("MSET a 0 b 0");
    let script = "local seen = {} for turn = 1, 300 do local n = 0 for i = 1, 100000 do n = n + i % 7 end \
         seen[redis.call('GET', 'a') .. redis.call('GET', 'b') .. redis.call('EXISTS', 'c') .. redis.call('DBSIZE')] = true end \
         local list = {} for state in pairs(seen) do list[#list + 1] = state end return list";
    let mut client = running(&server, script, &[]);
    for turn in 0..50 {
        assert!(other.run(&format!("MSET a {turn} b {turn} c {turn}")).is_ok());
        if turn % 10 == 0 {
            other.run("FLUSHALL");
        }
    }
    assert_eq!(client.reply(), Reply::Array(vec![Reply::Bulk(b"0002".to_vec())]));
}

#[test]
fn long_scripts_on_one_key_lose_no_increment() {
    let Some(server) = server() else { return };
    let mut other = server.client();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mut client = server.client();
            std::thread::spawn(move || {
                for _ in 0..5 {
                    client.command(&["EVAL", SLOW_INCREMENT, "1", "count", "1000000"]).integer();
                }
            })
        })
        .collect();
    // Short writers get in between; the long ones run again, and at last lock the key.
    let mut short = 0;
    while clients.iter().any(|client| !client.is_finished()) {
        other.run("INCR count");
        short += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    clients.into_iter().for_each(|client| client.join().expect("a client"));
    assert_eq!(other.run("GET count").text(), (40 + short).to_string());
    nothing_runs(&mut other);
}

#[test]
fn a_long_exec_is_one_transaction_and_leaves_room_for_others() {
    let Some(server) = server() else { return };
    let mut other = server.client();
    other.run("SET watched 1");
    let mut client = server.client();
    let queue = |client: &mut Client, count: usize| {
        client.run("MULTI");
        for _ in 0..count {
            client.run("INCR long");
        }
        client.command(&["EVAL", "redis.call('SET', 'undone', 1) error('x')", "0"]);
        client.command(&[
            "EVAL",
            "local n = 0 for i = 1, 20000000 do n = n + i % 7 end return redis.call('INCR', 'long')",
            "0",
        ]);
        client.run("GET other");
    };
    queue(&mut client, 100);
    other.run("SET other before");
    client.send(&["EXEC"]);
    eventually("it runs", || !other.run("SCRIPT LIST").elements().is_empty());
    assert!(other.run("GET long").is_null());
    assert!(other.run("SET other after").is_ok());
    let reply = client.reply();
    assert_eq!(reply.elements().len(), 103);
    assert_eq!(reply.elements()[101], Reply::Integer(101));
    assert_eq!(reply.elements()[99], Reply::Integer(100));
    assert!(reply.elements()[100].error_text().is_some());
    // What it read was changed before its end: it ran again, and read the new value.
    assert_eq!(reply.elements()[102].text(), "after");
    assert!(other.run("EXISTS undone").integer() == 0);
    assert_eq!(other.run("GET long").text(), "101");
    assert!(other.info("script_conflicts").is_some_and(|count| count != "0"));
    // A watched key that is changed while it runs makes it nil.
    client.run("WATCH watched");
    queue(&mut client, 10);
    client.send(&["EXEC"]);
    eventually("it runs", || !other.run("SCRIPT LIST").elements().is_empty());
    other.run("SET other again");
    other.run("SET watched 2");
    assert!(client.reply().is_null());
    assert_eq!(other.run("GET long").text(), "101");
    // A killed script in it is an error among its replies.
    queue(&mut client, 10);
    client.send(&["EXEC"]);
    eventually("it runs", || !other.run("SCRIPT LIST").elements().is_empty());
    assert!(other.run("SCRIPT KILL").is_ok());
    let reply = client.reply();
    assert_eq!(reply.elements().len(), 13);
    assert!(reply.elements()[11].error_text().is_some_and(|text| text.starts_with("ERR Script killed")));
    assert_eq!(other.run("GET long").text(), "111");
    nothing_runs(&mut other);
}

/// Its parts are shared: it stands for more than there is time or room for.
#[test]
fn a_result_without_an_end_is_an_error_and_nothing_is_applied() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    let endless = "redis.call('SET', 'k', 1) local t = {1} for i = 1, 60 do t = {t, t} end return t";
    let long =
        "redis.call('SET', 'k', 1) local s, t = string.rep('x', 1000000), {} for i = 1, 1000 do t[i] = s end return t";
    for script in [endless, long] {
        let expected = "ERR The script's result is longer than 512 MiB or has more than 8388608 elements; nothing of it was applied";
        assert_eq!(client.command(&["EVAL", script, "0"]).error_text().as_deref(), Some(expected));
        // As a context, and in EXEC.
        let sliced = format!("for i = 1, 20000000 do local n = i % 7 end {script}");
        assert_eq!(client.command(&["EVAL", &sliced, "0"]).error_text().as_deref(), Some(expected));
        for script in [script, &sliced] {
            client.run("MULTI");
            client.run("SET other 1");
            client.command(&["EVAL", script, "0"]);
            assert_eq!(client.run("EXEC").error_text().as_deref(), Some(expected));
        }
        assert_eq!(client.run("EXISTS k other").integer(), 0);
    }
    nothing_runs(&mut client);
}
