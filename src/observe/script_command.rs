//! SCRIPT: what one shard knows, the node knows; SCRIPT LOAD teaches all of them at once.

use crate::observe::dispatch::Asked;
use crate::serve::asides::{KilledScripts, RunningScript};
use crate::serve::message::CoreView;
use ringkeep_shards::command::write_help;
use ringkeep_shards::ids::ClientId;
use ringkeep_shards::keyspace::canonical_integer;
use ringkeep_shards::script::{Running, ScriptDigest};

pub(super) fn run(asked: Asked<'_>, subcommand: &str) {
    match subcommand {
        "load" => load(asked),
        "exists" => exists(asked),
        "flush" => flush(asked),
        "kill" => kill(asked),
        "list" => list(asked),
        "help" => asked.reply(|_, _, reply| {
            write_help(
                reply,
                "SCRIPT",
                &[
                    ("EXISTS <sha1> [<sha1> ...]", "Which of these scripts are known."),
                    ("FLUSH [ASYNC|SYNC]", "Forget all scripts."),
                    (
                        "KILL [<sha1>|ID <client-id>]",
                        "Stop the scripts that run: all, or those of a digest or a client.",
                    ),
                    ("LIST", "The scripts and functions that run, which have outlived a slice."),
                    ("LOAD <script>", "Make a script known without running it."),
                ],
            );
        }),
        other => panic!("script|{other} is in the table without anything that runs it"),
    }
}

fn load(asked: Asked<'_>) {
    let source = asked.list[2].to_vec();
    let load = move |view: &mut CoreView<'_>| -> Result<Option<String>, Vec<u8>> {
        let mut digest = None;
        for local in &mut view.engine.shards {
            let loaded = local.shard.scripts().load(&source).map_err(|error| error.0)?;
            digest = Some(loaded.as_str().to_owned());
        }
        Ok(digest)
    };
    asked.ask(load, |_, _, cores, reply| match cores.into_iter().collect::<Result<Vec<_>, _>>() {
        Err(text) => reply.error_bytes(&text),
        Ok(digests) => match digests.into_iter().flatten().next() {
            Some(digest) => reply.bulk(digest.as_bytes()),
            None => reply.error("ERR no shard is there to know the script"),
        },
    });
}

fn exists(asked: Asked<'_>) {
    let digests: Vec<Vec<u8>> = asked.list[2..].iter().map(|digest| digest.to_vec()).collect();
    let count = digests.len();
    let exists = move |view: &mut CoreView<'_>| -> Vec<bool> {
        let known = |digest: &Vec<u8>| view.engine.shards.iter_mut().any(|local| local.shard.scripts().exists(digest));
        digests.iter().map(known).collect()
    };
    asked.ask(exists, move |_, _, cores, reply| {
        reply.array(count);
        for place in 0..count {
            reply.integer(i64::from(cores.iter().any(|known| known[place])));
        }
    });
}

fn flush(asked: Asked<'_>) {
    let mode = match asked.list {
        [_, _] => true,
        [_, _, mode] => mode.eq_ignore_ascii_case(b"sync") || mode.eq_ignore_ascii_case(b"async"),
        _ => false,
    };
    if !mode {
        return asked.error("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
    }
    asked.ask(|view| view.engine.flush_scripts(), |_, _, _, reply| reply.ok());
}

fn kill(asked: Asked<'_>) {
    let killed = match asked.list {
        [_, _] => Some(KilledScripts::All),
        [_, _, digest] => ScriptDigest::parse(digest).map(KilledScripts::Digest),
        [_, _, id, client] if id.eq_ignore_ascii_case(b"id") => {
            let client = canonical_integer(client).and_then(|id| u64::try_from(id).ok());
            client.map(|id| KilledScripts::Client(ClientId(id)))
        }
        _ => None,
    };
    let Some(killed) = killed else {
        return asked.error("ERR syntax error: SCRIPT KILL [<sha1> | ID <client-id>]");
    };
    let kill = move |view: &mut CoreView<'_>| view.engine.kill_scripts(&killed);
    asked.ask(kill, |_, _, cores, reply| match cores.into_iter().sum() {
        0usize => reply.error("NOTBUSY No scripts in execution right now."),
        _ => reply.ok(),
    });
}

fn list(asked: Asked<'_>) {
    asked.ask(
        |view| view.engine.running_scripts(),
        |_, _, cores, reply| {
            let mut running: Vec<RunningScript> = cores.into_iter().flatten().collect();
            running.sort_by_key(|script| std::cmp::Reverse(script.age_us));
            reply.array(running.len());
            for script in running {
                reply.map(7);
                let (kind, name) = match &script.running {
                    Running::Script(digest) => ("sha1", digest.as_bytes()),
                    Running::Function(name) => ("function", &name[..]),
                };
                reply.bulk(kind.as_bytes());
                reply.bulk(name);
                reply.bulk(b"client");
                reply.integer(script.client.0 as i64);
                let info = script.info;
                for (name, number) in [
                    ("age-us", script.age_us),
                    ("slices", info.slices),
                    ("reruns", info.reruns.into()),
                    ("calls", info.calls),
                ] {
                    reply.bulk(name.as_bytes());
                    reply.integer(number as i64);
                }
                reply.bulk(b"command");
                reply.array(script.arguments.len());
                script.arguments.iter().for_each(|argument| reply.bulk(argument));
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use crate::observe::testing::TestNode;

    #[test]
    fn every_shard_knows_a_loaded_script_until_the_flush() {
        let mut node = TestNode::new(2);
        let digest = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
        assert_eq!(node.run("SCRIPT LOAD return\u{a0}1").get(..1), Some("-"), "no script");
        assert_eq!(node.run_list(&[b"SCRIPT", b"LOAD", b"return 1"]), format!("$40\r\n{digest}\r\n"));
        for engine in &mut node.engines {
            assert!(engine.shards.iter_mut().all(|local| local.shard.scripts().exists(digest.as_bytes())));
        }
        assert_eq!(node.run(&format!("SCRIPT EXISTS {digest} nope")), "*2\r\n:1\r\n:0\r\n");
        assert_eq!(node.run("SCRIPT FLUSH x"), "-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n");
        assert_eq!(node.run("SCRIPT FLUSH sync"), "+OK\r\n");
        assert_eq!(node.run(&format!("SCRIPT EXISTS {digest}")), "*1\r\n:0\r\n");
    }

    #[test]
    fn what_eval_taught_one_shard_every_shard_knows() {
        let mut node = TestNode::new(2);
        // `a` and `b` live in different shards of two.
        let source = b"return redis.call('GET',KEYS[1])";
        let digest = "620cd258c2c9c88c9d10db67812ccf663d96bdc6";
        assert_eq!(node.run(&format!("EVALSHA {digest} 1 a")), "-NOSCRIPT No matching script. Please use EVAL.\r\n");
        node.run("SET b of-b");
        assert_eq!(node.run_list(&[b"EVAL", source, b"1", b"a"]), "$-1\r\n");
        assert_eq!(node.run(&format!("EVALSHA {digest} 1 b")), "$4\r\nof-b\r\n");
        assert_eq!(node.run(&format!("SCRIPT EXISTS {digest}")), "*1\r\n:1\r\n");
        node.run("SCRIPT FLUSH");
        for key in ["a", "b"] {
            let refused = node.run(&format!("EVALSHA {digest} 1 {key}"));
            assert_eq!(refused, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
        }
        // Asked for before the flush, found after it: not known any more.
        node.run_list(&[b"EVAL", source, b"1", b"a"]);
        node.begin(1, &format!("EVALSHA {digest} 1 b"));
        node.begin(0, "SCRIPT FLUSH");
        node.finish();
        assert_eq!(node.run(&format!("EVALSHA {digest} 1 b")), "-NOSCRIPT No matching script. Please use EVAL.\r\n");
    }
}
