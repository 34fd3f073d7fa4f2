//! LATENCY: the cores' events as one.

use crate::observe::calls;
use crate::observe::dispatch::Asked;
use crate::observe::facts::CoreFacts;
use crate::observe::graph;
use crate::observe::latency::{Event, merge};
use crate::observe::process;
use crate::serve::message::CoreView;
use hdrhistogram::Histogram;
use ringkeep_shards::command::write_help;
use std::collections::BTreeSet;

pub(super) fn run(asked: Asked<'_>, subcommand: &str) {
    let events = |view: &mut CoreView<'_>| view.engine.node.observed.latency.events();
    match subcommand {
        "latest" => asked.ask(events, |_, _, cores, reply| {
            let events = merge(cores);
            reply.array(events.len());
            for event in events {
                let last = event.spikes.back().expect("an event is known by its spikes");
                reply.array(4);
                reply.bulk(event.name.as_bytes());
                reply.integer(last.unix_s as i64);
                reply.integer(last.duration_ms as i64);
                reply.integer(event.longest_ms as i64);
            }
        }),
        "history" => {
            let name = asked.list[2].to_vec();
            asked.ask(events, move |_, _, cores, reply| {
                let spikes = find(merge(cores), &name).map(|event| event.spikes).unwrap_or_default();
                reply.array(spikes.len());
                for spike in spikes {
                    reply.array(2);
                    reply.integer(spike.unix_s as i64);
                    reply.integer(spike.duration_ms as i64);
                }
            });
        }
        "graph" => {
            let name = asked.list[2].to_vec();
            asked.ask(events, move |_, _, cores, reply| match find(merge(cores), &name) {
                Some(event) => reply.verbatim(*b"txt", graph::draw(&event, process::unix_time().as_secs()).as_bytes()),
                None => {
                    let name = String::from_utf8_lossy(&name);
                    reply.error(&format!("ERR No samples available for event '{name}'"));
                }
            });
        }
        "reset" => {
            let names: Vec<Vec<u8>> = asked.list[2..].iter().map(|name| name.to_vec()).collect();
            asked.ask(
                move |view| view.engine.node.observed.latency.reset(&names),
                |_, _, cores, reply| {
                    let forgotten: BTreeSet<&str> = cores.into_iter().flatten().collect();
                    reply.integer(forgotten.len() as i64);
                },
            );
        }
        "doctor" => asked.ask(events, |engine, _, cores, reply| {
            let threshold = engine.node.settings.config().latency_monitor_threshold;
            let text = report(&merge(cores), threshold.map(|threshold| threshold.as_millis()));
            reply.verbatim(*b"txt", text.as_bytes());
        }),
        "histogram" => histogram(asked),
        "help" => asked.reply(|_, _, reply| {
            write_help(
                reply,
                "LATENCY",
                &[
                    ("DOCTOR", "A report on latency."),
                    ("GRAPH <event>", "The samples of an event, drawn."),
                    ("HISTOGRAM [<command> ...]", "How long the calls of these commands took, or of all."),
                    ("HISTORY <event>", "The samples of an event: Unix time and milliseconds."),
                    ("LATEST", "The latest sample of every event."),
                    ("RESET [<event> ...]", "Forget these events, or all."),
                ],
            );
        }),
        other => panic!("latency|{other} is in the table without anything that runs it"),
    }
}

/// `LATENCY HISTOGRAM [command ...]`: how many calls took at most so many microseconds, by powers of two.
fn histogram(asked: Asked<'_>) {
    let wanted: Vec<String> =
        asked.list[2..].iter().map(|name| String::from_utf8_lossy(name).to_ascii_lowercase()).collect();
    asked.ask(CoreFacts::of, move |_, _, cores, reply| {
        let all = calls::merge(cores.into_iter().flat_map(|core| core.calls));
        let is_wanted = |name: &str| {
            let container = name.split('|').next().unwrap_or(name);
            wanted.is_empty() || wanted.iter().any(|wanted| wanted == name || wanted == container)
        };
        let shown = all.iter().filter(|stats| is_wanted(stats.name));
        let shown: Vec<_> = shown.filter_map(|stats| Some((stats, stats.histogram.as_ref()?))).collect();
        reply.map(shown.len());
        for (stats, histogram) in shown {
            reply.bulk(stats.name.as_bytes());
            reply.map(2);
            reply.bulk(b"calls");
            reply.integer(histogram.len() as i64);
            reply.bulk(b"histogram_usec");
            let buckets = buckets(histogram);
            reply.map(buckets.len());
            for (us, count) in buckets {
                reply.integer(us as i64);
                reply.integer(count as i64);
            }
        }
    });
}

/// The buckets that hold something: microseconds, and the calls that took no longer.
fn buckets(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    let mut buckets = Vec::new();
    let (mut bound_ns, mut known) = (1024_u64, 0);
    while known < histogram.len() {
        let highest_ns = histogram.highest_equivalent(bound_ns);
        let count = histogram.count_between(0, highest_ns);
        if count > known {
            buckets.push((highest_ns / 1000, count));
            known = count;
        }
        bound_ns = bound_ns.saturating_mul(2);
    }
    buckets
}

fn find(events: Vec<Event>, name: &[u8]) -> Option<Event> {
    events.into_iter().find(|event| event.name.as_bytes() == name)
}

fn report(events: &[Event], threshold_ms: Option<u128>) -> String {
    let Some(threshold_ms) = threshold_ms else {
        return "Latency is not watched: CONFIG SET latency-monitor-threshold <milliseconds> begins to.\n".to_owned();
    };
    if events.is_empty() {
        return format!("No event took {threshold_ms} ms or longer.\n");
    }
    let mut text = format!("Events that took {threshold_ms} ms or longer:\n");
    for event in events {
        let sum: u64 = event.spikes.iter().map(|spike| spike.duration_ms).sum();
        let count = event.spikes.len() as u64;
        let (name, mean_ms, longest_ms) = (event.name, sum / count.max(1), event.longest_ms);
        text.push_str(&format!("- {name}: {count} samples, {mean_ms} ms on average, {longest_ms} ms at worst\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::observe::testing::TestNode;

    #[test]
    fn events_of_all_cores() {
        let mut node = TestNode::new(2);
        assert_eq!(node.run("LATENCY LATEST"), "*0\r\n");
        node.engines[0].node.observed.latency.note("command", 1_000, 20);
        node.engines[1].node.observed.latency.note("command", 2_000, 10);
        assert_eq!(node.run("LATENCY LATEST"), "*1\r\n*4\r\n$7\r\ncommand\r\n:2\r\n:10\r\n:20\r\n");
        assert_eq!(node.run("LATENCY HISTORY command"), "*2\r\n*2\r\n:1\r\n:20\r\n*2\r\n:2\r\n:10\r\n");
        assert!(node.run("LATENCY GRAPH command").contains("command - high 20 ms, low 10 ms (all time high 20 ms)"));
        assert_eq!(node.run("LATENCY GRAPH x"), "-ERR No samples available for event 'x'\r\n");
        assert_eq!(node.run("LATENCY RESET command"), ":1\r\n");
        assert_eq!(node.run("LATENCY HISTORY command"), "*0\r\n");
    }

    #[test]
    fn buckets_are_powers_of_two_and_cumulative() {
        let mut histogram = hdrhistogram::Histogram::<u64>::new_with_bounds(1, 1_000_000_000, 2).unwrap();
        for ns in [500, 900, 1_500, 1_800, 50_000, 999_999_999] {
            histogram.record(ns).unwrap();
        }
        assert_eq!(super::buckets(&histogram), [(1, 2), (2, 4), (66, 5), (1_082_130, 6)]);
    }

    #[test]
    fn histograms_of_what_was_called() {
        let mut node = TestNode::new(2);
        assert_eq!(node.run("LATENCY HISTOGRAM nope"), "*0\r\n");
        node.run("SET k v");
        node.run("CONFIG GET timeout");
        let histogram = node.run("LATENCY HISTOGRAM CONFIG");
        let start = "*2\r\n$10\r\nconfig|get\r\n*4\r\n$5\r\ncalls\r\n:1\r\n$14\r\nhistogram_usec\r\n*2\r\n:";
        assert!(histogram.starts_with(start), "{histogram}");
    }
}
