//! The server: opens the data directory and its shards, starts the cores, serves until it is asked to stop.

use crate::config::{Config, ConfigStore, ShardCount};
use crate::host::{self, PidFile};
use crate::log_line;
use crate::resp::Decoder;
use crate::runtime::background;
use crate::runtime::clock::{Clock, Entropy};
use crate::runtime::directory::{DataDirectory, Identity};
use crate::runtime::disk::Disk;
use crate::runtime::doorbell::Doorbell;
use crate::runtime::files::{ShardFiles, Unhurried};
use crate::runtime::listen::{Sharing, listen, probe};
use crate::runtime::mesh::Mesh;
use crate::runtime::node::{CpuId, Node, prepare_process};
use crate::runtime::reactor::Reactor;
use crate::runtime::ring::{ColdRing, Ring, RingConfig};
use crate::runtime::segment_files::SegmentFiles;
use crate::runtime::signals::StopRequest;
use crate::runtime::slice_timer::{self, SliceLength};
use crate::serve::bounds::bound_shard;
use crate::serve::client::{Client, ClientState};
use crate::serve::engine::Engine;
use crate::serve::local::LocalShard;
use crate::serve::message::Message;
use crate::serve::node::{CoreCounters, NodeState};
use ringkeep_shards::command::{Door, Session};
use ringkeep_shards::ids::{ClientId, CoreId, ShardId};
use ringkeep_shards::log::LogConfig;
use ringkeep_shards::script::{Interrupt, ScriptLimits, proves_hooks_fire_in_compiled_loops};
use ringkeep_shards::{OpenConfig, ShardConfig, open_lone};
use std::error::Error;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What every core is told.
struct Plan {
    settings: ConfigStore,
    identity: Identity,
    directory: DataDirectory,
    disk: Disk,
    addresses: Vec<SocketAddr>,
    /// Where it is said to be ready: there, or at the shards' own ports if these are all.
    announced: Vec<SocketAddr>,
    core_of: Vec<CoreId>,
    run_id: String,
    /// Whether scripts are compiled.
    jit: bool,
    started_unix_ms: u64,
    clients: Arc<AtomicU64>,
    connected: Arc<AtomicUsize>,
    origin: Instant,
    stop: StopRequest,
    /// Cores that are not ready yet: the server says that it is when there are none.
    starting: AtomicUsize,
}

/// Does what must come before anything else in the process.
pub fn prepare() {
    prepare_process();
}

/// How many shards a data directory has, if it was founded and says so.
pub fn shards_in(directory: &Path) -> Option<u16> {
    // What is wrong with it is told when it is taken.
    Identity::read(directory).ok().flatten().map(|identity| identity.shards)
}

/// Serves until the process is asked to stop.
///
/// # Errors
/// Why it cannot start, or what ended it.
pub fn serve(settings: &ConfigStore) -> Result<(), Box<dyn Error>> {
    let config = settings.config();
    let addresses = addresses(config)?;
    if config.protected_mode && config.requirepass.is_none() {
        warn_if_open(&addresses);
    }
    std::fs::create_dir_all(&config.dir).map_err(|error| format!("{}: {error}", config.dir.display()))?;
    let directory = DataDirectory::take(&config.dir)?;
    let cpus: Vec<CpuId> = host::available_cores().into_iter().map(CpuId).collect();
    let mut entropy = Entropy::default();
    let found = directory.identity()?;
    let identity = match found {
        Some(identity) => believed(identity, config.shards, directory.path())?,
        None => new_identity(config.shards, cpus.len(), &mut entropy),
    };
    config.check_shard_ports(identity.shards)?;
    let disk = Disk::probe(&config.dir).map_err(|error| format!("{}: {error}", config.dir.display()))?;
    if !disk.is_direct() {
        log_line::warning("the data directory's file system refuses direct I/O: log writes go through the page cache");
    }
    let shard_ports = (0..identity.shards).filter_map(|shard| config.shard_port(ShardId(shard)));
    let shard_addresses = shard_ports.map(|port| bound(config, port)).collect::<Result<Vec<_>, _>>()?.concat();
    if addresses.is_empty() && shard_addresses.is_empty() {
        return Err("there is no port or no address to listen on (port, shard-ports, bind)".into());
    }
    for &address in addresses.iter().chain(&shard_addresses) {
        probe_patiently(address)?;
    }
    // Its number of shards does not change any more, so a start that is refused leaves a new directory without one.
    if found.is_none() {
        directory.found(&identity)?;
    }
    let cores = cpus.len().min(usize::from(identity.shards));
    let doorbells: Arc<[Doorbell]> = (0..cores).map(|_| Doorbell::new()).collect::<Result<Vec<_>, _>>()?.into();
    let stop = StopRequest::new(&doorbells);
    stop.on_signals()?;
    // As in Redis, a server without its pid file serves all the same.
    let _pid_file = config.pid_file.as_ref().and_then(|path| match PidFile::write(path.clone()) {
        Ok(file) => Some(file),
        Err(error) => {
            log_line::warning(format_args!("the pid file {} cannot be written: {error}", path.display()));
            None
        }
    });
    let meshes: Vec<Option<Mesh<Message>>> = Mesh::connect(&doorbells).into_iter().map(Some).collect();
    let meshes = Arc::new(Mutex::new(meshes));
    let origin = Instant::now();
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let plan = Arc::new(Plan {
        settings: settings.clone(),
        identity,
        directory,
        disk,
        announced: if addresses.is_empty() { shard_addresses } else { addresses.clone() },
        addresses,
        core_of: (0..identity.shards).map(|shard| CoreId(shard % cores as u16)).collect(),
        jit: jit_can_be_stopped(),
        run_id: run_id(&identity),
        started_unix_ms: started.as_millis() as u64,
        clients: Arc::new(AtomicU64::new(1)),
        connected: Arc::new(AtomicUsize::new(0)),
        origin,
        stop,
        starting: AtomicUsize::new(cores),
    });
    let node = Node::start(&cpus[..cores], move |core| {
        let mesh = meshes.lock().expect("no core panicked yet")[usize::from(core.0)].take().expect("once per core");
        let (plan, doorbell) = (plan.clone(), doorbells[usize::from(core.0)].clone());
        async move { run_core(core, &plan, mesh, doorbell).await }
    })?;
    node.join()?;
    log_line::notice("stopped; everything owed was sent and is on disk");
    Ok(())
}

/// Whether this build stops a loop that LuaJIT has compiled. One that does not runs scripts without the JIT.
fn jit_can_be_stopped() -> bool {
    let stops = proves_hooks_fire_in_compiled_loops();
    if !stops {
        log_line::warning(
            "this build cannot stop a loop that LuaJIT has compiled, so scripts run uncompiled: build it with \
             -DLUAJIT_ENABLE_CHECKHOOK, which a CFLAGS in the environment or `cargo install` leaves out",
        );
    }
    stops
}

/// Probes an address. The kernel lets go of a killed server's listeners a moment after its process: that moment is waited for.
fn probe_patiently(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        match probe(address) {
            Ok(_) => return Ok(()),
            Err(error) if error.error.kind() == std::io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The addresses of the base port.
fn addresses(config: &Config) -> Result<Vec<SocketAddr>, String> {
    match config.port {
        Some(port) => bound(config, port.get()),
        None => Ok(Vec::new()),
    }
}

fn bound(config: &Config, port: u16) -> Result<Vec<SocketAddr>, String> {
    let mut addresses = Vec::new();
    for bind in &config.bind {
        match bind.addresses(port) {
            Ok(found) => {
                let usable = |address: &SocketAddr| !bind.optional || probe(SocketAddr::new(address.ip(), 0)).is_ok();
                addresses.extend(found.into_iter().filter(usable));
            }
            Err(_) if bind.optional => {}
            Err(error) => return Err(format!("bind {}: {error}", bind.host)),
        }
    }
    Ok(addresses)
}

fn warn_if_open(addresses: &[SocketAddr]) {
    if addresses.iter().any(|address| !address.ip().is_loopback()) {
        log_line::warning(
            "bound beyond loopback without a password: clients from other machines are refused (protected-mode)",
        );
    }
}

/// A directory's identity, unless the settings want another one.
fn believed(identity: Identity, wanted: ShardCount, path: &Path) -> Result<Identity, String> {
    match wanted {
        ShardCount::Exactly(count) if count.get() != identity.shards => Err(format!(
            "{} was made with {} shards, which does not change: start it with --shards {} or --shards auto, or give \
             another --dir",
            path.display(),
            identity.shards,
            identity.shards
        )),
        _ => Ok(identity),
    }
}

/// The identity of a directory that is new.
fn new_identity(wanted: ShardCount, cores: usize, entropy: &mut Entropy) -> Identity {
    let shards = match wanted {
        ShardCount::Auto => NonZeroU16::new(cores as u16).unwrap_or(NonZeroU16::MIN),
        ShardCount::Exactly(count) => count,
    };
    Identity {
        shards: shards.get(),
        incarnation: u128::from(entropy.next_u64()) << 64 | u128::from(entropy.next_u64()),
        hash_seed: entropy.next_u64(),
        log_salt: entropy.next_u64() as u32,
    }
}

/// The node's name, 40 hexadecimal digits: that of its data directory's incarnation, so that it holds over restarts.
fn run_id(identity: &Identity) -> String {
    let incarnation = identity.incarnation;
    format!("{incarnation:032x}{:08x}", crc32c::crc32c(&incarnation.to_le_bytes()))
}

async fn run_core(core: CoreId, plan: &Plan, mesh: Mesh<Message>, doorbell: Doorbell) -> Result<(), String> {
    let config = plan.settings.config();
    let mut entropy = Entropy::default();
    let mut shards = Vec::new();
    let (interrupt, slice_length) = (Interrupt::default(), SliceLength::default());
    slice_length.set(config.script.slice);
    slice_timer::attach(&interrupt, &slice_length).map_err(|error| format!("no timer for scripts: {error}"))?;
    for (shard, _) in plan.core_of.iter().enumerate().filter(|(_, owner)| **owner == core) {
        shards.push(open_shard(ShardId(shard as u16), plan, &mut entropy, &interrupt)?);
    }
    let (requests, replies) = background::start(doorbell.clone(), config.log.background_bytes_per_second);
    let ring = Ring::new(&RingConfig::default(), doorbell.clone(), &[]).map_err(|error| error.to_string())?;
    let cold = ColdRing::new(&doorbell).map_err(|error| error.to_string())?;
    let node = NodeState {
        slice_length,
        settings: plan.settings.clone(),
        run_id: plan.run_id.clone(),
        name: format!("{:040x}", plan.identity.incarnation),
        started_unix_ms: plan.started_unix_ms,
        stop: plan.stop.clone(),
        counters: CoreCounters::default(),
        observed: crate::observe::Observed::new(plan.origin),
    };
    let engine = Engine::new(core, plan.core_of.clone(), shards, node);
    let clients = plan.clients.clone();
    let make_client = Box::new(move |door, now_us, config: &Config| {
        let id = ClientId(clients.fetch_add(1, Ordering::Relaxed));
        new_client(id, door, now_us, config)
    });
    let clock = Clock::new(plan.origin);
    let mut reactor = Reactor::new(
        ring,
        cold,
        mesh,
        clock,
        engine,
        requests,
        replies,
        plan.stop.clone(),
        plan.connected.clone(),
        make_client,
    );
    reactor.begin().await;
    // Who reaches any port reaches all of them, or waits in their queues: the shards' are there before the server's own.
    let backlog = config.tcp_backlog;
    let mut shard_listeners = Vec::new();
    for (shard, _) in plan.core_of.iter().enumerate().filter(|(_, owner)| **owner == core) {
        let shard = ShardId(shard as u16);
        let Some(port) = config.shard_port(shard) else { continue };
        for address in bound(config, port)? {
            let listener = listen(address, Sharing::One, backlog).map_err(|error| error.to_string())?;
            shard_listeners.push((listener, shard));
        }
    }
    // Nobody is served before every shard serves: a core may be asked for any of them.
    let last = plan.starting.fetch_sub(1, Ordering::SeqCst) == 1;
    while plan.starting.load(Ordering::SeqCst) > 0 && !plan.stop.is_requested() {
        std::thread::sleep(Duration::from_millis(1));
    }
    for &address in &plan.addresses {
        let listener = listen(address, Sharing::EveryCore, backlog).map_err(|error| error.to_string())?;
        reactor.listen(listener, Door::Server);
    }
    for (listener, shard) in shard_listeners {
        reactor.listen(listener, Door::Shard(shard));
    }
    if last {
        for address in &plan.announced {
            log_line::notice(format_args!("Ready to accept connections on {address}, {} shards", plan.identity.shards));
        }
        if let Err(error) = host::tell_ready(config.supervision) {
            log_line::warning(format_args!("the service manager was not told: {error}"));
        }
    }
    reactor.run().await;
    Ok(())
}

fn new_client(id: ClientId, door: Door, now_us: u64, config: &Config) -> Client {
    let authenticated = config.requirepass.is_none();
    let session = Session::new(id, door, authenticated);
    Client { decoder: Decoder::default(), state: ClientState::new(session, now_us, config.shard_port(ShardId(0))) }
}

/// What a shard is told of the settings.
fn shard_config(config: &Config, shard: ShardId, shards: u16, entropy: u64) -> ShardConfig {
    let mut told = ShardConfig {
        shard,
        shards,
        databases: config.databases,
        string_bytes_max: 0,
        memory_bytes_max: 0,
        warm_bytes_max: 0,
        segment_bytes: config.log.segment_bytes,
        checkpoint_growth_percent: 0,
        entropy,
        script: ScriptLimits { memory_bytes_max: config.script.memory_bytes_max as usize, ..ScriptLimits::default() },
        script_time_limit_ms: 0,
        interrupt: Default::default(),
    };
    bound_shard(&mut told, config);
    told
}

fn open_shard(shard: ShardId, plan: &Plan, entropy: &mut Entropy, interrupt: &Interrupt) -> Result<LocalShard, String> {
    let path = plan.directory.shard(shard);
    let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let config = plan.settings.config();
    let files = SegmentFiles::open(&path, plan.disk).map_err(|error| said(&error))?;
    let mut files = ShardFiles::open(files).map_err(|error| said(&error))?;
    for open in files.segments() {
        open.map.populate().map_err(|error| said(&error))?;
    }
    let mut shard_config = shard_config(config, shard, plan.identity.shards, entropy.next_u64());
    shard_config.script.jit = plan.jit;
    shard_config.interrupt = interrupt.clone();
    let open = OpenConfig {
        identity: plan.identity.log(shard),
        log: LogConfig { segment_bytes: config.log.segment_bytes, block_bytes: plan.disk.block_bytes },
        hash_seed: plan.identity.hash_seed,
        large_bytes_min: config.log.large_value_bytes as usize,
    };
    let started = Instant::now();
    let opened = open_lone(shard_config, open, &files.found(), &Unhurried(&files)).map_err(|error| said(&error))?;
    files.open_for_writes(opened.recovered.resume.start.segment).map_err(|error| said(&error))?;
    // What kill -9 left in the page cache is not on disk yet; what a torn write left must not be taken for a record later.
    for &range in &opened.recovered.torn {
        files.directory().zero(range).map_err(|error| said(&error))?;
    }
    for &segment in &opened.recovered.sync {
        files.directory().sync(segment).map_err(|error| said(&error))?;
    }
    let keys: usize = (0..config.databases).map(|db| opened.shard.keyspace().len(db)).sum();
    log_line::verbose(format_args!(
        "shard {shard}: {keys} keys from {} entries in {} ms",
        opened.recovered.entries,
        started.elapsed().as_millis()
    ));
    Ok(LocalShard::new(shard, opened.shard, files))
}
