//! Libraries of functions on one shard and on several.

use super::common::{Client, Reply, Server, ServerOptions};
use super::{is_reference, subject};

const SHARDS: u16 = 3;
const LIBRARY: &str = "#!lua name=lib
redis.register_function('set', function(k, a) return redis.call('SET', k[1], a[1]) end)
redis.register_function('fail', function(k, a) redis.call('SET', k[1], a[1]) return redis.call('NOPE') end)
redis.register_function{function_name='get', callback=function(k) return redis.call('GET', k[1]) end, flags={'no-writes'}}";

fn start() -> Option<Server> {
    if is_reference() {
        return None;
    }
    Some(ServerOptions::ringkeep().shards(SHARDS).start())
}

fn load(server: &Server) {
    assert_eq!(server.client().command(&["FUNCTION", "LOAD", LIBRARY]).text(), "lib");
}

fn error(reply: &Reply) -> String {
    reply.error_text().unwrap_or_else(|| panic!("served: {reply:?}"))
}

#[test]
fn every_shard_calls_what_one_connection_loaded() {
    let Some(server) = start() else { return };
    load(&server);
    for number in 0..60 {
        let key = format!("key{number}");
        // Connections land on any core.
        let mut client = server.client();
        assert!(client.command(&["FCALL", "set", "1", &key, "v"]).is_ok());
        assert_eq!(client.command(&["FCALL_RO", "get", "1", &key]).text(), "v");
        assert_eq!(client.command(&["FCALL", "GET", "1", &key]).text(), "v");
    }
    let mut client = server.client();
    assert_eq!(error(&client.run("FCALL set 2 key1 key2 v")).split(' ').next(), Some("CROSSSLOT"));
    assert_eq!(client.info("number_of_functions").as_deref(), Some("3"));
    assert_eq!(client.info("number_of_libraries").as_deref(), Some("1"));
    let stats = client.run("FUNCTION STATS");
    assert!(stats.elements()[1].is_null(), "nothing runs");
    assert_eq!(stats.elements()[3].elements()[1].elements()[3], Reply::Integer(3));
    assert_eq!(error(&client.run("FUNCTION KILL")), "NOTBUSY No scripts in execution right now.");
    assert!(client.run("FUNCTION DELETE lib").is_ok());
    for number in 0..20 {
        assert_eq!(error(&client.run(&format!("FCALL get 1 key{number}"))), "ERR Function not found");
    }
}

#[test]
fn what_fails_leaves_nothing_behind() {
    if is_reference() {
        return;
    }
    let server = ServerOptions::ringkeep().start();
    load(&server);
    let mut client = server.client();
    let refused = error(&client.run("FCALL fail 1 k v"));
    assert_eq!(refused, "ERR Unknown Redis command called from script script: fail, on @user_function:3.");
    assert!(client.run("GET k").is_null());
}

#[test]
fn libraries_survive_a_restart_and_a_checkpoint() {
    let Some(mut server) = start() else { return };
    load(&server);
    assert!(server.client().command(&["FCALL", "set", "1", "k", "v"]).is_ok());
    for round in 0..3 {
        if round == 1 {
            assert!(server.client().run("SAVE").is_ok());
        }
        server.terminate();
        server.start();
        let mut client = server.client();
        assert_eq!(client.run("FCALL get 1 k").text(), "v");
        for number in 0..20 {
            assert!(client.run(&format!("FCALL get 1 key{number}")).is_null());
        }
        assert!(client.run("FLUSHALL").is_ok(), "which is of keys");
        assert!(client.command(&["FCALL", "set", "1", "k", "v"]).is_ok());
        assert_eq!(error(&client.command(&["FUNCTION", "LOAD", LIBRARY])), "ERR Library 'lib' already exists");
    }
}

#[test]
fn transactions_call_functions() {
    let server = subject().start();
    load(&server);
    let mut client = server.client();
    client.run("MULTI");
    for request in ["FCALL set 1 k v", "FCALL get 1 k", "FCALL nope 1 k", "FCALL_RO set 1 k w", "GET k"] {
        assert_eq!(client.run(request).text(), "QUEUED");
    }
    let replies = client.run("EXEC");
    let replies = replies.elements();
    assert!(replies[0].is_ok() && replies[1].text() == "v" && replies[4].text() == "v");
    assert_eq!(error(&replies[2]), "ERR Function not found");
    assert_eq!(error(&replies[3]), "ERR Can not execute a script with write flag using *_ro command.");
    client.run("MULTI");
    client.run("FUNCTION FLUSH");
    client.run("FUNCTION LIST");
    let replies = client.run("EXEC");
    assert!(replies.elements()[0].is_ok());
    assert_eq!(replies.elements()[1].elements().len(), 0);
}

#[test]
fn a_transaction_cannot_change_libraries_of_several_shards() {
    let Some(server) = start() else { return };
    let mut client = server.client();
    client.run("MULTI");
    assert_eq!(client.command(&["FUNCTION", "LOAD", LIBRARY]).text(), "QUEUED");
    assert_eq!(error(&client.run("EXEC")).split(' ').next(), Some("CROSSSLOT"));
    assert_eq!(client.run("FUNCTION LIST").elements().len(), 0);
}

#[test]
fn loads_at_once_leave_all_shards_alike() {
    let Some(server) = start() else { return };
    std::thread::scope(|scope| {
        for writer in 0..6 {
            let mut client = server.client();
            scope.spawn(move || {
                for round in 0..30 {
                    let code = format!(
                        "#!lua name=lib\nredis.register_function('who', function() return '{writer}-{round}' end)"
                    );
                    assert_eq!(client.command(&["FUNCTION", "LOAD", "REPLACE", &code]).text(), "lib");
                    assert!(client.run(&format!("FCALL who 1 key{round}")).bytes().is_some());
                }
            });
        }
    });
    let mut client = server.client();
    let who: Vec<String> = (0..30).map(|number| client.run(&format!("FCALL who 1 key{number}")).text()).collect();
    assert!(who.iter().all(|other| *other == who[0]), "{who:?}");
}

/// Clients of a cluster tell a library to every node. Here these are one node: the second is told that it is there.
#[test]
fn shard_ports_take_one_library_each() {
    let Some(server) = start() else { return };
    for shard in 0..SHARDS {
        let mut client = Client::connect(server.shard_port(shard));
        assert_eq!(client.command(&["FUNCTION", "LOAD", LIBRARY]).text(), "lib");
        let other = LIBRARY.replace("'fail'", "'fails'");
        assert_eq!(error(&client.command(&["FUNCTION", "LOAD", &other])), "ERR Library 'lib' already exists");
        assert_eq!(client.run("FUNCTION LIST").elements().len(), 1);
        assert_eq!(error(&client.run("FCALL nope 0")), "ERR Function not found");
    }
    assert_eq!(error(&server.client().command(&["FUNCTION", "LOAD", LIBRARY])), "ERR Library 'lib' already exists");
}

/// A function that outlives its slice goes on beside others, with the library that it began with; it can be killed and leaves nothing.
#[test]
fn a_long_function_stalls_nobody_and_is_killed() {
    let Some(server) = start() else { return };
    let long = "#!lua name=long
redis.register_function('loop', function(k) redis.call('SET', k[1], 'x') while true do end end)
redis.register_function('sum', function(k)
    local s = 0
    for i = 1, 20000000 do s = s + 1 end
    redis.call('SET', k[1], s)
    return s
end)";
    let mut client = server.client();
    assert_eq!(client.command(&["FUNCTION", "LOAD", long]).text(), "long");
    let mut summing = server.client();
    summing.send(&["FCALL", "sum", "1", "sum"]);
    let mut looping = server.client();
    looping.send(&["FCALL", "loop", "1", "k"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(client.run("GET k").is_null(), "what it wrote is its own");
    assert!(looping.is_silent_for(std::time::Duration::from_millis(50)));
    assert_eq!(
        client
            .command(&[
                "FUNCTION",
                "LOAD",
                "REPLACE",
                "#!lua name=long\nredis.register_function('other', function() end)"
            ])
            .text(),
        "long"
    );
    assert!(client.run("SCRIPT KILL").error_text().is_some(), "it is no script");
    while !client.run("FUNCTION KILL").is_ok() {}
    assert!(error(&looping.reply()).starts_with("ERR Script killed by user"));
    assert!(client.run("GET k").is_null());
    // What it depended on was changed while it ran: it runs again, and is not there any more; or it was quick enough, or killed too.
    let summed = summing.reply();
    let known = ["ERR Function not found", "ERR Script killed by user"];
    let refused = summed.error_text().is_some_and(|text| known.iter().any(|start| text.starts_with(start)));
    assert!(refused || summed == Reply::Integer(20_000_000), "{summed:?}");
    assert_eq!(client.run("GET sum").is_null(), refused);
    assert_eq!(error(&client.run("FCALL loop 1 k")), "ERR Function not found");
}

#[test]
fn wait_in_a_script_does_not_wait() {
    let Some(server) = start() else { return };
    let mut client = server.client();
    assert_eq!(client.command(&["EVAL", "return redis.call('WAIT', '1', '0')", "0"]), Reply::Integer(0));
    let reply = client.command(&["EVAL", "return redis.call('WAIT', 'x', '0')", "0"]);
    assert!(reply.error_text().is_some_and(|text| text.starts_with("ERR value is not an integer")), "{reply:?}");
}
