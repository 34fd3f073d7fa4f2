//! Everything at once, at random: writes, reads, scripts, EXEC, partitions, lost and repeated messages, torn logs, crashes, clocks that
//! jump, leaders that hand over. Afterwards all members hold the same, and no client was told anything wrong.

use crate::cluster::{Cluster, LARGE_BYTES_MIN, NODES, Ticket};
use crate::functions::load;
use crate::history::{History, Wish};
use ringkeep_shards::group::{Message, MessageType};
use std::collections::BTreeMap;

const EVENTS: usize = 4000;
const KEYS: [&str; 3] = ["a", "b", "c"];

const BOTH: &str = "redis.call(\"append\",KEYS[1],ARGV[1]) redis.call(\"append\",KEYS[2],ARGV[1]) return 1";
/// The same over some slices, which others use.
const SLOWLY: &str = "redis.call(\"append\",KEYS[1],ARGV[1]) for i = 1, 500 do end redis.call(\"append\",KEYS[2],ARGV[1]) \
    for i = 1, 300 do end return 1";
const READS_SLOWLY: &str =
    "local a = redis.call(\"get\",KEYS[1]) for i = 1, 500 do end return {a, redis.call(\"get\",KEYS[2])}";
const RAISES: &str = "redis.call(\"append\",KEYS[1],ARGV[1]) redis.call(\"del\",KEYS[2]) error(\"no\")";

/// One run.
struct Run {
    cluster: Cluster,
    history: History,
    down: Vec<u64>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut run = Run { cluster: Cluster::new(seed), history: History::default(), down: Vec::new() };
        let segment_bytes = [256 << 10, 4 << 10][run.below(2) as usize];
        for node in 1..=NODES {
            run.cluster.node(node).disk.forgetful = run.below(2) == 0;
            // Members that were away for long need snapshots; some runs know none.
            run.cluster.crash(node);
            run.cluster.node(node).tail_bytes_max = [64 << 20, 2048, 256][run.below(3) as usize];
            run.cluster.node(node).segment_bytes = segment_bytes;
            run.cluster.start(node);
        }
        run
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.cluster.random.next_u64() % bound
    }

    fn any_node(&mut self) -> u64 {
        1 + self.below(NODES)
    }

    fn go(&mut self) {
        for _ in 0..EVENTS {
            // Slices of all lengths: most things end within one, some take many.
            let instructions = [0, 40, 150, 700][self.below(4) as usize];
            self.cluster.interrupt.count(instructions);
            match self.below(1000) {
                0..260 => self.client(),
                260..360 => self.slice(),
                360..600 => self.messages(),
                600..760 => {
                    let node = self.any_node();
                    self.cluster.write_done(node);
                    self.cluster.bring_in(node);
                }
                760..940 => self.time(),
                940..960 => self.network(),
                960..966 => self.clock(),
                966..972 => self.hand_over(),
                972..976 => self.crash(),
                976..984 => self.start(),
                984..993 => self.checkpoint(),
                _ => {
                    let node = self.any_node();
                    self.cluster.node(node).disk.forget();
                }
            }
            self.history.look(&self.cluster);
        }
    }

    fn client(&mut self) {
        let serving = self.cluster.serving();
        let node = if serving.is_empty() || self.below(10) == 0 {
            self.any_node()
        } else {
            serving[self.below(serving.len() as u64) as usize]
        };
        if self.down.contains(&node) {
            return;
        }
        let token = self.history.token();
        let place = self.below(3) as usize;
        let one: &'static [&'static str] = [&["a"], &["b"], &["c"]][place];
        let (wish, ticket) = match self.below(16) {
            0..4 => {
                let ticket = self.cluster.give(node, &format!("APPEND {} {token}", one[0]));
                (Wish::Append { keys: one, token, tells_length: true }, ticket)
            }
            4 => {
                let ticket = self.cluster.give(node, &format!("EVAL '{BOTH}' 2 a b {token}"));
                (Wish::Append { keys: &["a", "b"], token, tells_length: false }, ticket)
            }
            5 => {
                let lines = [format!("APPEND b {token}"), format!("APPEND c {token}")];
                let ticket = self.cluster.exec(node, &lines.each_ref().map(String::as_str), &[]);
                (Wish::Append { keys: &["b", "c"], token, tells_length: false }, ticket)
            }
            6 => {
                let ticket = self.cluster.give(node, &format!("EVAL '{RAISES}' 2 a c {token}"));
                (Wish::Raise { token }, ticket)
            }
            7 | 8 => (Wish::Read { keys: one }, self.cluster.give(node, &format!("GET {}", one[0]))),
            9 => (Wish::Read { keys: &KEYS }, self.cluster.give(node, "MGET a b c")),
            10 => {
                let ticket = self.cluster.exec(node, &["GET c", "GET a"], &[]);
                (Wish::Read { keys: &["c", "a"] }, ticket)
            }
            11 => {
                let ticket = self.cluster.begin(node, &format!("EVAL '{SLOWLY}' 2 a b {token}"));
                (Wish::Append { keys: &["a", "b"], token, tells_length: false }, ticket)
            }
            12 => {
                let lines = [
                    format!("APPEND b {token}"),
                    "EVAL 'for i = 1, 500 do end return 1' 0".to_owned(),
                    format!("APPEND c {token}"),
                ];
                let ticket = self.cluster.begin_exec(node, &lines.each_ref().map(String::as_str), &[]);
                (Wish::Append { keys: &["b", "c"], token, tells_length: false }, ticket)
            }
            13 => {
                let ticket = self.cluster.begin(node, &format!("EVAL_RO '{READS_SLOWLY}' 2 c a"));
                (Wish::Read { keys: &["c", "a"] }, ticket)
            }
            _ => (Wish::Noise, self.noise(node)),
        };
        self.history.began(wish, ticket);
        if self.below(2) == 0 {
            self.cluster.end(node);
        }
    }

    /// Members give what they have set aside a slice.
    fn slice(&mut self) {
        let node = self.any_node();
        for _ in 0..1 + self.below(4) {
            self.cluster.go_on(node);
        }
        if self.below(2) == 0 && !self.down.contains(&node) {
            self.cluster.end(node);
        }
    }

    fn checkpoint(&mut self) {
        let node = self.any_node();
        if let Some(shard) = &mut self.cluster.node(node).shard {
            shard.want_checkpoint();
        }
    }

    fn noise(&mut self, node: u64) -> Ticket {
        let key = self.below(6);
        let line = match self.below(12) {
            0 => format!("SET n{key} {} PX {}", key + 1, 1 + self.below(3000)),
            1 => format!("SET n{key} {}", "v".repeat(LARGE_BYTES_MIN + self.below(900) as usize)),
            2 => format!("APPEND n{key} {}", "w".repeat(1 + self.below(90) as usize)),
            3 => format!("SETRANGE n{key} {} mark", self.below(700)),
            4 => format!("DEL n{key}"),
            5 => format!("COPY n{key} n{} REPLACE", self.below(6)),
            6 => "KEYS *".to_owned(),
            7 => "DBSIZE".to_owned(),
            8 => load(self.below(100)),
            9 => "FUNCTION FLUSH".to_owned(),
            10 => "FCALL f 1 n1".to_owned(),
            _ => format!("PEXPIRE n{key} {}", self.below(2000)),
        };
        self.cluster.give(node, &line)
    }

    fn messages(&mut self) {
        for _ in 0..1 + self.below(6) {
            let Cluster { network, random, .. } = &mut self.cluster;
            if let Some(message) = network.any(random) {
                self.cluster.deliver(message);
            }
        }
    }

    fn time(&mut self) {
        let us = self.below(60_000);
        self.cluster.advance(us);
        for node in 1..=NODES {
            if self.below(4) != 0 {
                self.cluster.timer(node);
            }
        }
    }

    fn network(&mut self) {
        let (from, to) = (self.any_node(), self.any_node());
        match self.below(4) {
            0 => self.cluster.network.isolate(from, NODES),
            1 => self.cluster.network.cut(from, to),
            _ => self.cluster.network.heal(),
        }
    }

    fn clock(&mut self) {
        let node = self.any_node();
        self.cluster.node(node).skew_ms = self.cluster.random.next_u64() as i64 % 5000;
    }

    fn hand_over(&mut self) {
        let to = self.any_node();
        for from in self.cluster.serving() {
            let message =
                Message { msg_type: MessageType::MsgTransferLeader, from: to, to: from, ..Message::default() };
            self.cluster.deliver(message);
        }
    }

    fn crash(&mut self) {
        let node = self.any_node();
        if !self.down.contains(&node) {
            self.cluster.crash(node);
            self.down.push(node);
        }
    }

    fn start(&mut self) {
        if let Some(node) = self.down.pop() {
            self.cluster.start(node);
        }
    }

    /// Everything is mended; what is there then is what happened.
    fn end(&mut self) -> BTreeMap<&'static str, String> {
        self.cluster.network.heal();
        while !self.down.is_empty() {
            self.start();
        }
        for node in 1..=NODES {
            while self.cluster.go_on(node) {}
            assert_eq!(self.cluster.asides(node), 0, "nobody waits for somebody who is gone");
        }
        // Long enough for elections that are on their way.
        for _ in 0..60 {
            self.cluster.tick();
        }
        self.cluster.tick_until(|cluster| match cluster.serving()[..] {
            [leader] => (1..=NODES).all(|node| cluster.commit(node) == cluster.commit(leader)),
            _ => false,
        });
        self.history.look(&self.cluster);
        self.cluster.expect_equal();
        KEYS.iter().map(|&key| (key, self.cluster.held(1, key).unwrap_or_default())).collect()
    }
}

/// Says which seed it was that failed.
struct FailedSeed(u64);

impl Drop for FailedSeed {
    fn drop(&mut self) {
        eprintln!("the seed is {0}: RINGKEEP_CHAOS_SEEDS={0}..{1} repeats it", self.0, self.0 + 1);
    }
}

/// The seeds of the runs: `RINGKEEP_CHAOS_SEEDS=from..to` runs others.
#[allow(clippy::disallowed_methods, reason = "a test may be told what to repeat")]
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("RINGKEEP_CHAOS_SEEDS") else { return 0..120 };
    let bounds = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    bounds.unwrap_or_else(|| panic!("RINGKEEP_CHAOS_SEEDS is from..to, not {text}"))
}

#[test]
fn all_members_agree_and_no_client_was_told_anything_wrong() {
    let (mut replied, mut lost, mut installed, mut reruns) = (0, 0, 0, 0);
    for seed in seeds() {
        let mut run = Run::new(seed);
        let failed = FailedSeed(seed);
        run.go();
        let strings = run.end();
        run.history.check(&run.cluster, &strings);
        let counts = run.history.counts(&run.cluster);
        replied += counts.0;
        lost += counts.1;
        std::mem::forget(failed);
        reruns += (1..=NODES).map(|node| run.cluster.shard(node).stats().script_reruns).sum::<u64>();
        installed += (1..=NODES).map(|node| run.cluster.snapshots(node)).sum::<u64>();
    }
    // The runs are worth something: much is answered, and much is lost on the way.
    let counts = format!(
        "{replied} operations were answered, {lost} were lost, {installed} snapshots came, {reruns} slow ones ran again"
    );
    let enough = replied > 5000 && lost > 1000 && installed > 4 && reruns > 60;
    assert!(enough || seeds().count() < 120, "{counts}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let contents = |seed| {
        let mut run = Run::new(seed);
        run.go();
        run.end();
        let terms = (1..=NODES).map(|node| run.cluster.shard(node).group().term());
        (terms.collect::<Vec<_>>(), run.cluster.commit(1), run.cluster.contents(1))
    };
    for seed in [3, 4] {
        assert_eq!(contents(seed), contents(seed), "seed {seed}");
    }
}
