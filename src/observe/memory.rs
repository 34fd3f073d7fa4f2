//! MEMORY, but for USAGE, which a shard runs.

use crate::observe::dispatch::Asked;
use crate::observe::facts::CoreFacts;
use crate::observe::info::NodeFacts;
use crate::observe::info_sections::human;
use crate::observe::process;
use ringkeep_shards::command::write_help;
use ringkeep_shards::reply::ReplySink;

pub(super) fn run(asked: Asked<'_>, subcommand: &str) {
    match subcommand {
        "stats" => asked.ask(CoreFacts::of, |engine, state, cores, reply| {
            stats(&NodeFacts::new(engine, state, cores), reply);
        }),
        "doctor" => asked.ask(CoreFacts::of, |engine, state, cores, reply| {
            reply.verbatim("txt", report(&NodeFacts::new(engine, state, cores)).as_bytes());
        }),
        // Redis says this too where its allocator has no statistics.
        "malloc-stats" => asked.reply(|_, _, reply| reply.bulk(b"Stats not supported for the current allocator")),
        // The allocator gives back by itself what nobody uses: there is nothing to be told to it.
        "purge" => asked.reply(|_, _, reply| reply.ok()),
        "help" => asked.reply(|_, _, reply| {
            write_help(
                reply,
                "MEMORY",
                &[
                    ("DOCTOR", "A report on memory."),
                    ("MALLOC-STATS", "The allocator's own figures: it has none."),
                    ("PURGE", "Ask the allocator to give memory back: it does so by itself."),
                    ("STATS", "How memory is used, as figures."),
                    ("USAGE <key> [SAMPLES <count>]", "Bytes that a key holds in memory."),
                ],
            );
        }),
        other => panic!("memory|{other} is in the table without anything that runs it"),
    }
}

fn stats(facts: &NodeFacts, reply: &mut dyn ReplySink) {
    let (used, overhead) = (facts.used_bytes(), facts.overhead_bytes());
    let keys = facts.over_shards(|shard| shard.keys());
    let dataset = used.saturating_sub(overhead);
    let resident = process::resident_bytes();
    let integers = [
        ("total.allocated", used),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("clients.normal", facts.over_cores(|core| core.client_bytes)),
        ("lua.caches", facts.over_shards(|shard| shard.script_bytes)),
        ("overhead.total", overhead),
        ("keys.count", keys),
        ("keys.bytes-per-key", dataset.checked_div(keys).unwrap_or(0)),
        ("dataset.bytes", dataset),
    ];
    reply.map(integers.len() + 3);
    for (name, value) in integers {
        reply.bulk(name.as_bytes());
        reply.integer(value as i64);
    }
    reply.bulk(b"dataset.percentage");
    reply.double(dataset as f64 * 100.0 / used.max(1) as f64);
    reply.bulk(b"fragmentation");
    reply.double(resident as f64 / used.max(1) as f64);
    reply.bulk(b"fragmentation.bytes");
    reply.integer(resident as i64 - used as i64);
}

fn report(facts: &NodeFacts) -> String {
    let (used, max) = (facts.used_bytes(), facts.memory_bytes_max);
    let mut text =
        format!("{} are used, {} are resident in the process.\n", human(used), human(process::resident_bytes()));
    for shard in facts.shards() {
        let bound = max / facts.shards().len() as u64;
        if max > 0 && shard.memory_bytes > bound / 10 * 9 {
            let (number, bytes) = (shard.shard.0, human(shard.memory_bytes));
            text.push_str(&format!(
                "Shard {number} holds {bytes} of the {} that are its share of maxmemory.\n",
                human(bound)
            ));
        }
    }
    text
}
