//! The scripts that a shard knows, and the VM that runs them.

use super::chunk::{Chunk, CompileError};
use super::functions::Registry;
use super::host::ScriptHost;
use super::interrupt::Interrupt;
use super::pool::{Pool, PoolLimits, VmId};
use super::random::Random;
use super::source::{Running, ScriptDigest, ScriptFlags, parse_shebang};
use super::tail_calls::keep_lines;
use super::vm::{Callee, RunEnd};
use crate::limits::SCRIPT_VMS_MAX;
use crate::reply::ReplySink;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// Bounds of a [`ScriptEngine`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScriptLimits {
    /// Memory of one VM, in bytes: compiled scripts and what a running one makes.
    pub memory_bytes_max: usize,
    /// Memory of all VMs together, in bytes.
    pub pool_bytes_max: usize,
    /// How many VMs there may be: one more than there may be scripts that have outlived their slice.
    pub vms_max: usize,
    /// Scripts kept that only EVAL brought; those used longest ago go first. What SCRIPT LOAD brought stays until SCRIPT FLUSH.
    pub evaluated_scripts_max: usize,
    /// Whether scripts are compiled: not by a build whose compiled loops cannot be stopped.
    pub jit: bool,
}

impl Default for ScriptLimits {
    fn default() -> Self {
        ScriptLimits {
            memory_bytes_max: 64 << 20,
            pool_bytes_max: 512 << 20,
            vms_max: SCRIPT_VMS_MAX,
            evaluated_scripts_max: 500,
            jit: true,
        }
    }
}

/// A text that is no script; the words are what the client reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScriptError(pub Vec<u8>);

/// Which script to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Script<'a> {
    /// By its text (EVAL).
    Source(&'a [u8]),
    /// By the digest that the client sent (EVALSHA).
    Digest(&'a [u8]),
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScriptEnd {
    /// The result is in the reply.
    Done,
    /// The script did not compile, was not allowed to begin or raised an error that it did not catch: the error is in the reply, what
    /// it wrote is to be undone.
    Raised,
    /// Its result is longer than a reply may be: what it wrote is to be undone, what is in the reply is void; [`TOO_LONG`] is the error.
    TooLong,
    /// No script has that digest. Nothing is in the reply; [`NO_SCRIPT`] is the error.
    NoScript,
    /// The host lets it not run. Nothing is in the reply; this is the error.
    Refused(&'static str),
    /// The host abandoned the run. Nothing is in the reply.
    Abandoned,
    /// It has outlived its slice and is set aside. Nothing is in the reply; [`ScriptEngine::go_on`] lets it go on.
    Aside(RunId),
    /// It has outlived its slice and cannot be kept, since as many are set aside as may be: it was taken down, to be run again when
    /// one of them has ended. Nothing is in the reply.
    Crowded,
}

/// A run that is set aside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunId(VmId);

/// The error of EVALSHA with an unknown digest.
pub const NO_SCRIPT: &str = "NOSCRIPT No matching script. Please use EVAL.";

/// The error of a script whose result is too long.
pub const TOO_LONG: &str =
    "ERR The script's result is longer than 512 MiB or has more than 8388608 elements; nothing of it was applied";

struct Entry {
    source: Box<[u8]>,
    digest: ScriptDigest,
    flags: ScriptFlags,
    /// Has its last run outlived its first slice?
    is_long: bool,
    /// Did SCRIPT LOAD ask for it to be kept?
    is_loaded: bool,
    /// The number of the last run that used it.
    last_run: u64,
}

/// A shard's scripts and its VMs. It stays on its core.
pub struct ScriptEngine {
    pub(super) pool: Pool,
    pub(super) registry: Registry,
    limits: ScriptLimits,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_source: HashTable<u32>,
    by_digest: HashTable<u32>,
    evaluated: usize,
    evicted: u64,
    source_bytes: usize,
    runs: u64,
    /// Where the scripts' random numbers are, whichever VM they run in.
    random: Random,
}

impl ScriptEngine {
    /// An engine without scripts, whose runs take part in these slices. The error says why there is no VM.
    pub fn new(limits: ScriptLimits, interrupt: Interrupt) -> Result<Self, String> {
        let pool_limits = PoolLimits {
            vm_bytes_max: limits.memory_bytes_max,
            pool_bytes_max: limits.pool_bytes_max,
            vms_max: limits.vms_max,
            jit: limits.jit,
        };
        Ok(ScriptEngine {
            pool: Pool::new(pool_limits, interrupt)?,
            registry: Registry::default(),
            limits,
            entries: Vec::new(),
            free: Vec::new(),
            by_source: HashTable::new(),
            by_digest: HashTable::new(),
            evaluated: 0,
            evicted: 0,
            source_bytes: 0,
            runs: 0,
            random: Random::default(),
        })
    }

    /// SCRIPT LOAD: compiles a text and keeps it until [`ScriptEngine::flush`].
    pub fn load(&mut self, source: &[u8]) -> Result<ScriptDigest, ScriptError> {
        let index = self.find_or_compile(source)?;
        let entry = self.entry_mut(index);
        let was_loaded = std::mem::replace(&mut entry.is_loaded, true);
        let digest = entry.digest;
        if !was_loaded {
            self.evaluated -= 1;
        }
        Ok(digest)
    }

    /// Compiles a text that another shard knows from EVAL; it may be forgotten again like this shard's own.
    pub fn learn(&mut self, source: &[u8]) -> Result<(), ScriptError> {
        self.find_or_compile(source).map(|_| ())
    }

    /// SCRIPT EXISTS, for one digest as the client sent it.
    pub fn exists(&self, digest: &[u8]) -> bool {
        self.find_digest(digest).is_some()
    }

    /// The text of a script.
    pub fn source(&self, digest: &[u8]) -> Option<&[u8]> {
        self.find_digest(digest).map(|index| &*self.entry(index).source)
    }

    /// What a script says about itself.
    pub fn flags(&self, digest: &[u8]) -> Option<ScriptFlags> {
        self.find_digest(digest).map(|index| self.entry(index).flags)
    }

    /// The digests of all scripts.
    pub fn digests(&self) -> impl Iterator<Item = &ScriptDigest> {
        self.entries.iter().flatten().map(|entry| &entry.digest)
    }

    /// How many scripts there are.
    pub fn len(&self) -> usize {
        self.by_digest.len()
    }

    /// Are there no scripts?
    pub fn is_empty(&self) -> bool {
        self.by_digest.is_empty()
    }

    /// Bytes that the VMs hold.
    pub fn memory_bytes(&self) -> usize {
        self.pool.memory_bytes()
    }

    /// How many VMs there are.
    pub fn vms(&self) -> usize {
        self.pool.count()
    }

    /// Bytes of the scripts' texts.
    pub fn source_bytes(&self) -> usize {
        self.source_bytes
    }

    /// Scripts that were forgotten to make room for others.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Changes what the VMs may hold together, in bytes.
    pub fn set_pool_bytes_max(&mut self, bytes: usize) {
        self.pool.set_memory_bytes_max(bytes);
    }

    /// Whether a run that outlives its slice now could be set aside.
    pub fn may_keep(&self) -> bool {
        self.pool.may_keep()
    }

    /// Collects a slice of the VMs' garbage, some ten microseconds of it; whether there is more to do.
    pub fn clean_some(&mut self) -> bool {
        self.pool.clean_some()
    }

    /// Whether there is garbage that is worth a collection.
    pub fn wants_cleaning(&self) -> bool {
        self.pool.wants_cleaning()
    }

    /// Whether a run of this script has outlived its slice before.
    pub fn is_long(&self, script: Script<'_>) -> bool {
        let index = match script {
            Script::Digest(digest) => self.find_digest(digest),
            Script::Source(source) => self.find_source(source),
        };
        index.is_some_and(|index| self.entry(index).is_long)
    }

    /// SCRIPT FLUSH: forgets all scripts. Runs that are set aside go on.
    pub fn flush(&mut self) {
        self.entries.clear();
        self.pool.forget_all();
        self.free.clear();
        self.by_source.clear();
        self.by_digest.clear();
        self.evaluated = 0;
        self.source_bytes = 0;
    }

    /// Runs a script. `read_only` is what the command asks for (EVAL_RO, EVALSHA_RO); the reply is shaped for `reply`'s protocol.
    pub fn run(
        &mut self,
        script: Script<'_>,
        keys: &[&[u8]],
        arguments: &[&[u8]],
        read_only: bool,
        host: &mut dyn ScriptHost,
        reply: &mut dyn ReplySink,
    ) -> ScriptEnd {
        let index = match script {
            Script::Digest(digest) => match self.find_digest(digest) {
                Some(index) => index,
                None => return ScriptEnd::NoScript,
            },
            Script::Source(source) => match self.find_or_compile(source) {
                Ok(index) => index,
                Err(error) => {
                    reply.error_bytes(&error.0);
                    return ScriptEnd::Raised;
                }
            },
        };
        self.runs += 1;
        let run = self.runs;
        let entry = self.entry_mut(index);
        entry.last_run = run;
        let (digest, flags) = (entry.digest, entry.flags);
        if let Err(error) = host.begin(flags, read_only) {
            return ScriptEnd::Refused(error);
        }
        let vm = self.pool.ready();
        let chunk = match self.pool.compiled(vm, index) {
            Some(chunk) => chunk,
            None => match self.compile_in(vm, index) {
                Ok(chunk) => chunk,
                Err(error) => {
                    reply.error_bytes(&error.0);
                    return ScriptEnd::Raised;
                }
            },
        };
        let end = self.run_in(vm, Callee::Script(chunk, digest), keys, arguments, host, reply);
        if let Some(entry) = self.entries.get_mut(index as usize).and_then(Option::as_mut) {
            match end {
                // One that is set aside in the midst of its slice waits for a value or a lock: that says nothing about it.
                ScriptEnd::Aside(_) | ScriptEnd::Crowded => entry.is_long |= self.pool.slice_is_over(),
                _ => entry.is_long = false,
            }
        }
        end
    }

    /// Runs a script or a function, which may begin, in the VM that stands ready.
    pub(super) fn run_in(
        &mut self,
        vm: VmId,
        callee: Callee,
        keys: &[&[u8]],
        arguments: &[&[u8]],
        host: &mut dyn ScriptHost,
        reply: &mut dyn ReplySink,
    ) -> ScriptEnd {
        self.pool.vm(vm).set_random(self.random);
        let end = self.pool.vm(vm).run(callee, keys, arguments, host, reply);
        self.random = self.pool.vm(vm).random();
        match end {
            RunEnd::Done => ScriptEnd::Done,
            RunEnd::Abandoned => ScriptEnd::Abandoned,
            RunEnd::TooLong => ScriptEnd::TooLong,
            RunEnd::Raised | RunEnd::Stopped => {
                self.pool.settle(vm);
                ScriptEnd::Raised
            }
            RunEnd::Aside => {
                if self.pool.may_keep() {
                    self.pool.keep(vm);
                    return ScriptEnd::Aside(RunId(vm));
                }
                self.pool.vm(vm).stop(None, reply);
                ScriptEnd::Crowded
            }
        }
    }

    /// Lets a run that is set aside go on for a slice.
    pub fn go_on(&mut self, run: RunId, host: &mut dyn ScriptHost, reply: &mut dyn ReplySink) -> ScriptEnd {
        let end = self.pool.vm(run.0).go_on(host, reply);
        self.ended(run, end)
    }

    /// Takes a run down that is set aside. With a text, that is the error that its client reads ([`ScriptEnd::Raised`]); without one
    /// nothing is written ([`ScriptEnd::Abandoned`]).
    pub fn stop(&mut self, run: RunId, text: Option<&'static str>, reply: &mut dyn ReplySink) -> ScriptEnd {
        let end = self.pool.vm(run.0).stop(text, reply);
        self.ended(run, end)
    }

    /// What it is a run of.
    pub fn running(&self, run: RunId) -> Option<Running> {
        self.pool.running(run.0)
    }

    fn ended(&mut self, run: RunId, end: RunEnd) -> ScriptEnd {
        let end = match end {
            RunEnd::Aside => return ScriptEnd::Aside(run),
            RunEnd::Done => ScriptEnd::Done,
            RunEnd::Raised | RunEnd::Stopped => ScriptEnd::Raised,
            RunEnd::Abandoned => ScriptEnd::Abandoned,
            RunEnd::TooLong => ScriptEnd::TooLong,
        };
        self.pool.give_back(run.0);
        end
    }

    /// Stops runs at their so many-th look at the clock's flag; `None`: never.
    #[cfg(test)]
    pub(super) fn stop_at_look(&self, looks: Option<usize>) {
        self.pool.stop_at_look(looks);
    }

    fn entry(&self, index: u32) -> &Entry {
        self.entries[index as usize].as_ref().expect("the tables name live entries")
    }

    fn entry_mut(&mut self, index: u32) -> &mut Entry {
        self.entries[index as usize].as_mut().expect("the tables name live entries")
    }

    fn find_digest(&self, digest: &[u8]) -> Option<u32> {
        // Clients send what SCRIPT LOAD gave them: lower case. The rest is worth a second look, not a check of every call.
        let find = |digest: &[u8]| {
            let found = self.by_digest.find(hash(digest), |&index| self.entry(index).digest.as_bytes() == digest);
            found.copied()
        };
        find(digest).or_else(|| find(ScriptDigest::parse(digest)?.as_bytes()))
    }

    fn find_source(&self, source: &[u8]) -> Option<u32> {
        self.by_source.find(hash(source), |&index| *self.entry(index).source == *source).copied()
    }

    /// The script with this text. An unchanged text costs one fast hash and a comparison, no SHA1.
    fn find_or_compile(&mut self, source: &[u8]) -> Result<u32, ScriptError> {
        match self.find_source(source) {
            Some(index) => Ok(index),
            None => self.add(source),
        }
    }

    /// Compiles a known script in a VM that has not run it yet.
    fn compile_in(&mut self, vm: VmId, index: u32) -> Result<Chunk, ScriptError> {
        let entry = self.entries[index as usize].as_ref().expect("the tables name live entries");
        let (_, text) = parse_shebang(&entry.source).map_err(ScriptError)?;
        self.pool.chunk(vm, index, &keep_lines(text)).map_err(not_compiled)
    }

    fn add(&mut self, source: &[u8]) -> Result<u32, ScriptError> {
        let (flags, text) = parse_shebang(source).map_err(ScriptError)?;
        let index = self.free.last().copied().unwrap_or(self.entries.len() as u32);
        let vm = self.pool.ready();
        self.pool.chunk(vm, index, &keep_lines(text)).map_err(not_compiled)?;
        if self.evaluated >= self.limits.evaluated_scripts_max {
            self.drop_oldest();
            self.evicted += 1;
        }
        let digest = ScriptDigest::of(source);
        let entry =
            Entry { source: source.into(), digest, flags, is_long: false, is_loaded: false, last_run: self.runs };
        self.source_bytes += source.len();
        // A script that was just forgotten may have left a place above this one on the list of free ones.
        match self.free.iter().rposition(|&free| free == index) {
            Some(place) => {
                self.free.remove(place);
                self.entries[index as usize] = Some(entry);
            }
            None => self.entries.push(Some(entry)),
        }
        self.evaluated += 1;
        let entries = &self.entries;
        let of = |index: &u32| entries[*index as usize].as_ref().expect("the tables name live entries");
        self.by_source.insert_unique(hash(source), index, |index| hash(&of(index).source));
        self.by_digest.insert_unique(hash(digest.as_bytes()), index, |index| hash(of(index).digest.as_bytes()));
        Ok(index)
    }

    /// Forgets the script that only EVAL brought and that was used longest ago.
    fn drop_oldest(&mut self) {
        let evaluated = self.entries.iter().enumerate().filter_map(|(index, entry)| Some((index, entry.as_ref()?)));
        let evaluated = evaluated.filter(|(_, entry)| !entry.is_loaded);
        let Some((index, _)) = evaluated.min_by_key(|(_, entry)| entry.last_run) else {
            return;
        };
        let entry = self.entries[index].take().expect("it was just seen");
        let index = index as u32;
        for (table, key) in [(&mut self.by_source, &*entry.source), (&mut self.by_digest, entry.digest.as_bytes())] {
            let found = table.find_entry(hash(key), |&other| other == index);
            found.expect("every entry is in both tables").remove();
        }
        self.pool.forget(index);
        self.source_bytes -= entry.source.len();
        self.free.push(index);
        self.evaluated -= 1;
    }
}

fn not_compiled(error: CompileError) -> ScriptError {
    let reason = match error {
        CompileError::Syntax(message) => message,
        CompileError::Memory => b"not enough memory".to_vec(),
    };
    ScriptError([b"ERR Error compiling script (new function): ", &reason[..]].concat())
}

fn hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}
