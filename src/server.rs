//! The server: opens the shards, starts the cores, serves until it is asked to stop.

use crate::config::ConfigStore;
use crate::resp::Decoder;
use crate::route::OutputQueue;
use crate::runtime::background;
use crate::runtime::clock::{Clock, Entropy};
use crate::runtime::doorbell::Doorbell;
use crate::runtime::files::ShardFiles;
use crate::runtime::listen::{Sharing, listen, probe};
use crate::runtime::mesh::Mesh;
use crate::runtime::node::{CpuId, Node};
use crate::runtime::reactor::Reactor;
use crate::runtime::ring::{ColdRing, Ring, RingConfig};
use crate::runtime::signals::StopRequest;
use crate::serve::client::{Client, ClientState, Traffic};
use crate::serve::engine::Engine;
use crate::serve::local::LocalShard;
use crate::serve::message::Message;
use crate::serve::node::{CoreCounters, NodeState};
use ringkeep_shards::command::{Door, Session};
use ringkeep_shards::ids::{Batch, ClientId, CoreId, SegmentId, ShardId};
use ringkeep_shards::log::{LogConfig, LogIdentity};
use ringkeep_shards::{OpenConfig, ShardConfig, open_lone};
use std::net::SocketAddr;
use std::path::PathBuf;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What the server is told.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Addresses to listen on.
    pub addresses: Vec<SocketAddr>,
    /// The data directory.
    pub directory: PathBuf,
    /// How many shards.
    pub shards: u16,
    /// The CPUs to run on.
    pub cpus: Vec<CpuId>,
    /// The settings.
    pub settings: ConfigStore,
    /// The node's random name.
    pub run_id: String,
    /// When the process started, in Unix milliseconds.
    pub started_unix_ms: u64,
}

/// Serves until it is asked to stop.
///
/// # Errors
/// Why it cannot start, or what ended it.
pub fn serve(config: ServerConfig) -> Result<(), Box<dyn std::error::Error>> {
    let cores = config.cpus.len().min(usize::from(config.shards));
    let cpus = config.cpus[..cores].to_vec();
    for &address in &config.addresses {
        probe(address)?;
    }
    let doorbells: Vec<Doorbell> = (0..cores).map(|_| Doorbell::new()).collect::<Result<_, _>>()?;
    let stop = StopRequest::new(&doorbells);
    stop.on_signals()?;
    let meshes: Vec<Option<Mesh<Message>>> = Mesh::connect(&doorbells).into_iter().map(Some).collect();
    let meshes = Arc::new(Mutex::new(meshes));
    let clients = Arc::new(AtomicU64::new(1));
    let origin = Instant::now();
    let config = Arc::new(config);
    let core_of: Vec<CoreId> = (0..config.shards).map(|shard| CoreId(shard % cores as u16)).collect();
    let doorbells = Arc::new(doorbells);
    let node = Node::start(&cpus, move |core| {
        let mesh = meshes.lock().expect("no core panicked yet")[usize::from(core.0)].take().expect("once per core");
        let (config, clients, stop) = (config.clone(), clients.clone(), stop.clone());
        let (core_of, doorbell) = (core_of.clone(), doorbells[usize::from(core.0)].clone());
        async move { run_core(core, core_of, config, mesh, doorbell, clients, stop, origin).await }
    })?;
    node.join()?;
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "the parts of a core, made apart")]
async fn run_core(
    core: CoreId,
    core_of: Vec<CoreId>,
    config: Arc<ServerConfig>,
    mesh: Mesh<Message>,
    doorbell: Doorbell,
    clients: Arc<AtomicU64>,
    stop: StopRequest,
    origin: Instant,
) -> Result<(), String> {
    let mut entropy = Entropy::default();
    let mut shards = Vec::new();
    for (shard, _) in core_of.iter().enumerate().filter(|(_, owner)| **owner == core) {
        let shard = ShardId(shard as u16);
        shards.push(open_shard(shard, core_of.len() as u16, &config, &mut entropy)?);
    }
    let (requests, replies) = background::start(doorbell.clone());
    let ring = Ring::new(&RingConfig::default(), doorbell.clone(), &[]).map_err(|error| error.to_string())?;
    let cold = ColdRing::new(&doorbell).map_err(|error| error.to_string())?;
    let node = NodeState {
        settings: config.settings.clone(),
        run_id: config.run_id.clone(),
        started_unix_ms: config.started_unix_ms,
        stop: stop.clone(),
        counters: CoreCounters::default(),
        observed: crate::observe::Observed::default(),
    };
    let engine = Engine::new(core, core_of, shards, node);
    let make_client = Box::new(move |door, now_us| {
        let id = ClientId(clients.fetch_add(1, Ordering::Relaxed));
        Client {
            decoder: Decoder::default(),
            state: ClientState {
                session: Session::new(id, door, true),
                gates: OutputQueue::default(),
                waiting: None,
                serial: 0,
                run: None,
                deferred: None,
                listed: (ShardId(0), Batch(0)),
                paused: false,
                ended: false,
                peer: None,
                local: None,
                shard_port_first: None,
                since_us: now_us,
                traffic: Traffic::default(),
            },
        }
    });
    let mut reactor = Reactor::new(ring, cold, mesh, Clock::new(origin), engine, requests, replies, stop, make_client);
    for &address in &config.addresses {
        let listener = listen(address, Sharing::EveryCore, 511).map_err(|error| error.to_string())?;
        reactor.listen(listener, Door::Server);
    }
    reactor.run().await;
    Ok(())
}

fn open_shard(shard: ShardId, shards: u16, config: &ServerConfig, entropy: &mut Entropy) -> Result<LocalShard, String> {
    let directory = config.directory.join(format!("shard-{:04}", shard.0));
    let files = ShardFiles::open(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let shard_config = ShardConfig {
        shard,
        shards,
        databases: 16,
        string_bytes_max: 512 << 20,
        memory_bytes_max: 0,
        warm_bytes_max: 64 << 20,
        segment_bytes: 64 << 20,
        entropy: entropy.next_u64(),
    };
    let open = OpenConfig {
        identity: LogIdentity { shard, salt: 0 },
        log: LogConfig { segment_bytes: 64 << 20, block_bytes: 4096 },
        hash_seed: 0,
        large_bytes_min: 16 << 10,
    };
    let bytes = files.bytes();
    let next = SegmentId(files.newest().0 + 1);
    let opened = open_lone(shard_config, open, &bytes, &files, next)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(LocalShard::new(shard, opened.shard, files))
}
