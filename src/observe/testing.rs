//! A node without sockets and disks: engines whose messages are carried by hand.

use crate::config::{Override, Source, load};
use crate::observe::Observed;
use crate::route::OutputQueue;
use crate::runtime::background::Chore;
use crate::runtime::connection::{BufferPool, Connections};
use crate::runtime::disk::Disk;
use crate::runtime::doorbell::Doorbell;
use crate::runtime::files::ShardFiles;
use crate::runtime::ring::SocketId;
use crate::runtime::segment_files::SegmentFiles;
use crate::runtime::signals::StopRequest;
use crate::scratch::Scratch;
use crate::serve::client::{Client, ClientState};
use crate::serve::engine::Engine;
use crate::serve::local::LocalShard;
use crate::serve::message::{Answer, CoreView, Message};
use crate::serve::node::{CoreCounters, NodeState};
use ringkeep_shards::command::{Door, Session};
use ringkeep_shards::ids::{ClientId, CoreId, ShardId};
use ringkeep_shards::log::{LogConfig, LogIdentity};
use ringkeep_shards::lost::Lost;
use ringkeep_shards::port::Input;
use ringkeep_shards::script::{Interrupt, ScriptLimits};
use ringkeep_shards::{OpenConfig, ShardConfig, open_lone};

/// One shard and one client per core.
pub(crate) struct TestNode {
    pub(crate) engines: Vec<Engine>,
    /// When slices end: never, until a test has instructions counted.
    pub(crate) interrupt: Interrupt,
    clients: Vec<(ClientState, Vec<u8>)>,
    _scratch: Scratch,
}

impl TestNode {
    pub(crate) fn new(cores: u16) -> Self {
        Self::with_settings(cores, &[])
    }

    pub(crate) fn with_settings(cores: u16, lines: &[&str]) -> Self {
        let lines: Vec<Override> = lines.iter().map(|line| Override::from_line(line.as_bytes()).unwrap()).collect();
        let settings = load(&Source::Defaults, &lines).unwrap();
        let scratch = Scratch::new("observe");
        let bell = Doorbell::new().unwrap();
        let stop = StopRequest::new(&[bell]);
        let interrupt = Interrupt::default();
        let engines = (0..cores).map(|core| {
            let node = NodeState {
                slice_length: Default::default(),
                settings: settings.clone(),
                run_id: "a".repeat(40),
                name: "b".repeat(40),
                started_unix_ms: 1000,
                stop: stop.clone(),
                counters: CoreCounters::default(),
                observed: Observed::new(std::time::Instant::now()),
            };
            let shard = open(ShardId(core), cores, &scratch, interrupt.clone());
            let mut engine = Engine::new(CoreId(core), (0..cores).map(CoreId).collect(), vec![shard], node);
            engine.touch(0);
            engine
        });
        let engines: Vec<Engine> = engines.collect();
        let clients = (0..cores).map(|_| (client(), Vec::new())).collect();
        let mut node = TestNode { engines, interrupt, clients, _scratch: scratch };
        node.finish();
        node
    }

    /// Runs a command, by the first core's client; its reply.
    pub(crate) fn run(&mut self, words: &str) -> String {
        let list: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        self.run_list(&list)
    }

    pub(crate) fn run_list(&mut self, list: &[&[u8]]) -> String {
        self.begin_list(0, list);
        self.finish().swap_remove(0)
    }

    /// Begins a command by a core's client.
    pub(crate) fn begin(&mut self, core: usize, words: &str) {
        let list: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        self.begin_list(core, &list);
    }

    /// Begins a command by a client of a core that waits for no reply.
    pub(crate) fn begin_by_another(&mut self, core: usize, words: &str) {
        let list: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        let (mut state, mut out) = (client(), Vec::new());
        assert!(self.engines[core].execute(SocketId::for_test(99), &mut state, &list, &[], &mut out, 0));
    }

    /// Carries what cores have sent each other, and nothing else.
    pub(crate) fn carry_messages(&mut self) {
        for core in 0..self.engines.len() {
            for (to, message) in std::mem::take(&mut self.engines[core].outbox) {
                self.engines[usize::from(to.0)].received(message);
            }
        }
    }

    /// Gives slices until nothing wants one.
    pub(crate) fn give_slices(&mut self) {
        for engine in &mut self.engines {
            while engine.wants_slice() {
                engine.give_slice();
            }
        }
    }

    /// A core's shard has lost something; all that wait for it learn of it.
    pub(crate) fn lose(&mut self, core: usize, lost: Lost) {
        self.engines[core].take_back(0, lost);
        let shard = self.engines[core].shards[0].id;
        for (state, out) in &mut self.clients {
            state.take_back(shard, &lost, out, 0);
        }
    }

    pub(crate) fn begin_list(&mut self, core: usize, list: &[&[u8]]) {
        let (state, out) = &mut self.clients[core];
        let engine = &mut self.engines[core];
        assert!(engine.execute(SocketId::for_test(core as u32), state, list, &[], out, 0));
        engine.send_run(SocketId::for_test(core as u32), state);
    }

    /// Carries messages and writes until nothing is left; the replies of each core's client.
    pub(crate) fn finish(&mut self) -> Vec<String> {
        while (0..self.engines.len()).map(|core| usize::from(self.turn(core))).sum::<usize>() > 0 {}
        let taken = |(state, out): &mut (ClientState, Vec<u8>)| {
            assert!(state.waiting.is_none(), "every request is answered");
            state.gates = OutputQueue::default();
            String::from_utf8(std::mem::take(out)).unwrap()
        };
        self.clients.iter_mut().map(taken).collect()
    }

    fn turn(&mut self, core: usize) -> bool {
        let mut moved = false;
        let engine = &mut self.engines[core];
        while engine.wants_slice() {
            engine.give_slice();
            moved = true;
        }
        engine.keep_libraries();
        engine.end_of_turn();
        for (place, chore) in std::mem::take(&mut engine.background) {
            if let Chore::Segment { wanted, .. } = chore {
                engine.step(place, Input::Segment { segment: wanted.segment, bytes: wanted.bytes });
                moved = true;
            }
        }
        for (place, write) in std::mem::take(&mut engine.writes) {
            engine.step(place, Input::Written(write));
            moved = true;
        }
        let (mut connections, mut close) = (Connections::<Client>::default(), Vec::new());
        let mut pool = BufferPool::default();
        for (ticket, question) in std::mem::take(&mut engine.questions) {
            let (connections, pool, close) = (&mut connections, &mut pool, &mut close);
            let mut view = CoreView { engine, connections, pool, ticket, close };
            let Some(answer) = question(&mut view) else { continue };
            let answer = Answer::Data(answer);
            if ticket.core == engine.core {
                engine.answers.push_back((ticket, answer, None));
            } else {
                engine.outbox.push((ticket.core, Message::Answer(ticket, answer)));
            }
            moved = true;
        }
        while let Some((ticket, answer, gate)) = engine.answers.pop_front() {
            moved = true;
            let (state, out) = &mut self.clients[core];
            if let Some(socket) = ticket.socket {
                engine.answered(socket, state, ticket, answer, gate, out, 0);
            }
        }
        for (to, message) in std::mem::take(&mut engine.outbox) {
            self.engines[usize::from(to.0)].received(message);
            moved = true;
        }
        moved
    }
}

pub(crate) fn client() -> ClientState {
    ClientState::new(Session::new(ClientId(1), Door::Server, true), 0, None)
}

fn open(shard: ShardId, shards: u16, scratch: &Scratch, interrupt: Interrupt) -> LocalShard {
    let directory = scratch.path().join(shard.0.to_string());
    let files = SegmentFiles::open(&directory, Disk::probe(scratch.path()).unwrap()).unwrap();
    let files = ShardFiles::open(files).unwrap();
    let config = ShardConfig {
        shard,
        shards,
        databases: 16,
        string_bytes_max: 512 << 20,
        memory_bytes_max: 0,
        warm_bytes_max: 1 << 20,
        segment_bytes: 1 << 20,
        checkpoint_growth_percent: 100,
        entropy: 1,
        script: ScriptLimits::default(),
        script_time_limit_ms: 0,
        interrupt,
    };
    let open = OpenConfig {
        identity: LogIdentity { shard, salt: 0 },
        log: LogConfig { segment_bytes: 1 << 20, block_bytes: 4096 },
        hash_seed: 0,
        large_bytes_min: 16 << 10,
    };
    let opened = open_lone(config, open, &files.found(), &files).unwrap_or_else(|error| panic!("{error}"));
    LocalShard::new(shard, opened.shard, files)
}
