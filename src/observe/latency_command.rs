//! LATENCY: the cores' events as one.

use crate::observe::dispatch::Asked;
use crate::observe::graph;
use crate::observe::latency::{Event, merge};
use crate::observe::process;
use crate::serve::message::CoreView;
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
                Some(event) => reply.verbatim("txt", graph::draw(&event, process::unix_time().as_secs()).as_bytes()),
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
            reply.verbatim("txt", text.as_bytes());
        }),
        "histogram" => asked.error("ERR latencies are not kept per command"),
        "help" => asked.reply(|_, _, reply| {
            write_help(
                reply,
                "LATENCY",
                &[
                    ("DOCTOR", "A report on latency."),
                    ("GRAPH <event>", "The samples of an event, drawn."),
                    ("HISTORY <event>", "The samples of an event: Unix time and milliseconds."),
                    ("LATEST", "The latest sample of every event."),
                    ("RESET [<event> ...]", "Forget these events, or all."),
                ],
            );
        }),
        other => panic!("latency|{other} is in the table without anything that runs it"),
    }
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
}
