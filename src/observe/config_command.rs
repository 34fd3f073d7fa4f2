//! CONFIG: this core's copy answers and validates; a change is made on every core.

use crate::observe::dispatch::Asked;
use crate::observe::facts;
use crate::serve::bounds::bound_shard;
use crate::serve::message::CoreView;
use ringkeep_shards::command::write_help;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers every CONFIG SET of the process: two that overlap must end alike on every core.
static CHANGES: AtomicU64 = AtomicU64::new(1);

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

pub(super) fn run(asked: Asked<'_>, subcommand: &str) {
    match subcommand {
        "get" => asked_get(asked),
        "set" => set(asked),
        "rewrite" => asked.reply(|engine, _, reply| match engine.node.settings.rewrite_file() {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(&error.to_string()),
        }),
        "resetstat" => asked.ask(facts::reset, |_, _, _, reply| reply.ok()),
        "help" => asked.reply(|_, _, reply| {
            write_help(
                reply,
                "CONFIG",
                &[
                    ("GET <pattern> [<pattern> ...]", "The settings whose names match, with their values."),
                    ("SET <setting> <value> [<setting> <value> ...]", "Change settings: all of these, or none."),
                    ("RESETSTAT", "Count INFO's figures from zero again."),
                    ("REWRITE", "Write the settings to the configuration file."),
                ],
            );
        }),
        other => panic!("config|{other} is in the table without anything that runs it"),
    }
}

fn asked_get(asked: Asked<'_>) {
    let patterns = &asked.list[2..];
    asked.reply(|engine, _, reply| {
        let found = engine.node.settings.get(patterns);
        reply.map(found.len());
        for (name, value) in found {
            reply.bulk(&name);
            reply.bulk(&value);
        }
    });
}

fn set(asked: Asked<'_>) {
    let words = &asked.list[2..];
    if !words.len().is_multiple_of(2) {
        return asked.error("ERR syntax error");
    }
    let pairs: Vec<(&[u8], &[u8])> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let mut copy = asked.engine.node.settings.clone();
    if let Err(error) = copy.set(&pairs) {
        return asked.error(&error.to_string());
    }
    let pairs: Pairs = pairs.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect();
    let number = CHANGES.fetch_add(1, Ordering::Relaxed);
    asked.ask(
        move |view| apply(view, &pairs, number),
        |_, _, results, reply| match results.into_iter().find_map(Result::err) {
            None => reply.ok(),
            // Another CONFIG SET came between, and the two do not go together.
            Some(text) => reply.error(&text),
        },
    );
}

/// Changes one core's settings, but for those that a later CONFIG SET has changed here already.
fn apply(view: &mut CoreView<'_>, pairs: &Pairs, number: u64) -> Result<(), String> {
    let node = &mut view.engine.node;
    let changes = &mut node.observed.changes;
    let newest = |name: &[u8]| changes.iter().find(|(other, _)| other == name).map_or(0, |&(_, number)| number);
    let pairs: Vec<(&[u8], &[u8])> =
        pairs.iter().filter(|(name, _)| newest(name) < number).map(|(name, value)| (&name[..], &value[..])).collect();
    node.settings.set(&pairs).map_err(|error| error.to_string())?;
    for (name, _) in pairs {
        match changes.iter_mut().find(|(other, _)| other == name) {
            Some((_, newest)) => *newest = number,
            None => changes.push((name.to_vec(), number)),
        }
    }
    let slow_entries_max = usize::try_from(node.settings.config().slowlog_entries_max).unwrap_or(usize::MAX);
    node.observed.slow_log.bound(slow_entries_max);
    crate::log_line::set_level(node.settings.config().log_level);
    configure_shards(view);
    Ok(())
}

/// Tells a core's shards what its settings say.
fn configure_shards(view: &mut CoreView<'_>) {
    let engine = &mut *view.engine;
    engine.node.slice_length.set(engine.node.settings.config().script.slice);
    for local in &mut engine.shards {
        bound_shard(local.shard.configure(), engine.node.settings.config());
        local.shard.apply_script_limits();
    }
}

#[cfg(test)]
mod tests {
    use crate::observe::testing::TestNode;

    #[test]
    fn get_set_and_what_is_refused() {
        let mut node = TestNode::new(2);
        assert_eq!(node.run("CONFIG GET maxmemory"), "*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n");
        assert_eq!(node.run("CONFIG SET MaxMemory 100mb slowlog-max-len 3"), "+OK\r\n");
        for engine in &mut node.engines {
            assert_eq!(engine.node.settings.config().memory_bytes_max, Some(100 << 20));
            for local in &mut engine.shards {
                assert_eq!(local.shard.configure().memory_bytes_max, 50 << 20, "half of it for each of two shards");
            }
        }
        node.run("CONFIG SET checkpoint-growth-percent 7 proto-max-bulk-len 1mb maxmemory 32mb");
        for local in node.engines.iter_mut().flat_map(|engine| &mut engine.shards) {
            let config = local.shard.configure();
            assert_eq!((config.checkpoint_growth_percent, config.string_bytes_max), (7, 1 << 20));
            assert_eq!(config.warm_bytes_max, 2 << 20, "an eighth of the bound, for two shards");
        }
        assert_eq!(node.run("CONFIG SET timeout"), "-ERR wrong number of arguments for 'config|set' command\r\n");
        assert_eq!(node.run("CONFIG SET timeout 1 maxmemory"), "-ERR syntax error\r\n");
        assert_eq!(
            node.run("CONFIG SET timeout 5 nope 1"),
            "-ERR Unknown option or number of arguments for CONFIG SET - 'nope'\r\n"
        );
        assert_eq!(node.run("CONFIG GET timeout"), "*2\r\n$7\r\ntimeout\r\n$1\r\n0\r\n", "all or nothing");
        assert_eq!(node.run("CONFIG REWRITE"), "-ERR The server is running without a config file\r\n");
        assert_eq!(node.run("CONFIG NOPE"), "-ERR unknown subcommand 'NOPE'. Try CONFIG HELP.\r\n");
    }

    #[test]
    fn overlapping_changes_end_alike_on_every_core() {
        let mut node = TestNode::new(2);
        node.begin(0, "CONFIG SET timeout 11");
        node.begin(1, "CONFIG SET timeout 22");
        assert_eq!(node.finish(), ["+OK\r\n", "+OK\r\n"]);
        let timeouts: Vec<_> = node.engines.iter().map(|engine| engine.node.settings.config().timeout).collect();
        assert_eq!(timeouts[0], timeouts[1]);
        assert_eq!(timeouts[0].unwrap().as_secs(), 22);
    }

    #[test]
    fn resetstat_counts_from_zero() {
        let mut node = TestNode::new(1);
        node.run("SET k v");
        node.engines[0].node.counters.connections_received = 5;
        assert!(node.run("INFO stats").contains("total_connections_received:5\r\n"));
        assert!(!node.run("INFO ringkeep").contains("group_entries:0\r\n"));
        assert_eq!(node.run("CONFIG RESETSTAT"), "+OK\r\n");
        assert!(node.run("INFO stats").contains("total_connections_received:0\r\n"));
        assert!(node.run("INFO ringkeep").contains("group_entries:0\r\n"));
    }
}
