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
            reply.verbatim(*b"txt", report(&NodeFacts::new(engine, state, cores)).as_bytes());
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
    enum Figure {
        Bytes(u64),
        Ratio(f64),
        Signed(i64),
    }
    use Figure::{Bytes, Ratio, Signed};
    let (used, overhead, peak) = (facts.used_bytes(), facts.overhead_bytes(), facts.peak_bytes());
    let keys = facts.over_shards(|shard| shard.keys());
    let dataset = used.saturating_sub(overhead);
    let resident = process::resident_bytes();
    let fragmentation = resident as f64 / used.max(1) as f64;
    let apart = resident as i64 - used as i64;
    let before = [
        ("peak.allocated", Bytes(peak)),
        ("total.allocated", Bytes(used)),
        ("startup.allocated", Bytes(0)),
        ("replication.backlog", Bytes(0)),
        ("clients.slaves", Bytes(0)),
        ("clients.normal", Bytes(facts.over_cores(|core| core.client_bytes))),
        ("cluster.links", Bytes(0)),
        ("aof.buffer", Bytes(0)),
        ("lua.caches", Bytes(facts.over_shards(|shard| shard.script_bytes))),
        ("functions.caches", Bytes(facts.over_shards(|shard| shard.libraries.2))),
    ];
    let after = [
        ("overhead.total", Bytes(overhead)),
        ("keys.count", Bytes(keys)),
        ("keys.bytes-per-key", Bytes(dataset.checked_div(keys).unwrap_or(0))),
        ("dataset.bytes", Bytes(dataset)),
        ("dataset.percentage", Ratio(dataset as f64 * 100.0 / used.max(1) as f64)),
        ("peak.percentage", Ratio(used as f64 * 100.0 / peak.max(1) as f64)),
        ("allocator.allocated", Bytes(used)),
        ("allocator.active", Bytes(resident)),
        ("allocator.resident", Bytes(resident)),
        ("allocator-fragmentation.ratio", Ratio(fragmentation)),
        ("allocator-fragmentation.bytes", Signed(apart)),
        ("allocator-rss.ratio", Ratio(1.0)),
        ("allocator-rss.bytes", Bytes(0)),
        ("rss-overhead.ratio", Ratio(1.0)),
        ("rss-overhead.bytes", Bytes(0)),
        ("fragmentation", Ratio(fragmentation)),
        ("fragmentation.bytes", Signed(apart)),
    ];
    let databases = facts.table_bytes();
    reply.map(before.len() + databases.len() + after.len());
    let write = |reply: &mut dyn ReplySink, name: &str, figure: &Figure| {
        reply.bulk(name.as_bytes());
        match figure {
            Bytes(bytes) => reply.integer(*bytes as i64),
            Ratio(ratio) => reply.double(*ratio),
            Signed(number) => reply.integer(*number),
        }
    };
    before.iter().for_each(|(name, figure)| write(reply, name, figure));
    for (db, bytes) in databases {
        reply.bulk(format!("db.{db}").as_bytes());
        reply.map(3);
        write(reply, "overhead.hashtable.main", &Bytes(bytes));
        // Expiry is a part of each key, and a slot is found by hashing.
        write(reply, "overhead.hashtable.expires", &Bytes(0));
        write(reply, "overhead.hashtable.slot-to-keys", &Bytes(0));
    }
    after.iter().for_each(|(name, figure)| write(reply, name, figure));
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
