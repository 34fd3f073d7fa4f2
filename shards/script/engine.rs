//! The scripts that a shard knows, and the VM that runs them.

use super::host::ScriptHost;
use super::interrupt::Interrupt;
use super::lua::turn_jit_off;
use super::source::{ScriptDigest, ScriptFlags, parse_shebang};
use super::tail_calls::keep_lines;
use super::vm::{Chunk, CompileError, RunEnd, Vm};
use crate::reply::ReplySink;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// Bounds of a [`ScriptEngine`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScriptLimits {
    /// Memory of the VM, in bytes: compiled scripts and what a running one makes.
    pub memory_bytes_max: usize,
    /// Scripts kept that only EVAL brought; those used longest ago go first. What SCRIPT LOAD brought stays until SCRIPT FLUSH.
    pub evaluated_scripts_max: usize,
    /// Whether scripts are compiled: not by a build whose compiled loops cannot be stopped.
    pub jit: bool,
}

impl Default for ScriptLimits {
    fn default() -> Self {
        ScriptLimits { memory_bytes_max: 64 << 20, evaluated_scripts_max: 500, jit: true }
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
    /// No script has that digest. Nothing is in the reply; [`NO_SCRIPT`] is the error.
    NoScript,
    /// The host abandoned the run. Nothing is in the reply.
    Abandoned,
}

/// The error of EVALSHA with an unknown digest.
pub const NO_SCRIPT: &str = "NOSCRIPT No matching script. Please use EVAL.";

struct Entry {
    source: Box<[u8]>,
    digest: ScriptDigest,
    flags: ScriptFlags,
    chunk: Chunk,
    /// Did SCRIPT LOAD ask for it to be kept?
    is_loaded: bool,
    /// The number of the last run that used it.
    last_run: u64,
}

/// A shard's scripts and its VM. It stays on its core.
pub struct ScriptEngine {
    vm: Vm,
    limits: ScriptLimits,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_source: HashTable<u32>,
    by_digest: HashTable<u32>,
    evaluated: usize,
    runs: u64,
    interrupt: Interrupt,
}

impl ScriptEngine {
    /// An engine without scripts. The error says why there is no VM.
    pub fn new(limits: ScriptLimits) -> Result<Self, String> {
        let vm = Vm::new(limits.memory_bytes_max)?;
        if !limits.jit {
            // SAFETY: the VM is alive and runs nothing.
            unsafe { turn_jit_off(vm.state()) };
        }
        Ok(ScriptEngine {
            interrupt: Interrupt::new(vm.state()),
            vm,
            limits,
            entries: Vec::new(),
            free: Vec::new(),
            by_source: HashTable::new(),
            by_digest: HashTable::new(),
            evaluated: 0,
            runs: 0,
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

    /// Bytes that the VM holds.
    pub fn memory_bytes(&self) -> usize {
        self.vm.room().memory.used_bytes()
    }

    /// The handle for whoever watches over running scripts.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// SCRIPT FLUSH: forgets all scripts.
    pub fn flush(&mut self) {
        for entry in self.entries.drain(..).flatten() {
            self.vm.release(entry.chunk);
        }
        self.free.clear();
        self.by_source.clear();
        self.by_digest.clear();
        self.evaluated = 0;
        self.vm.collect();
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
        let (chunk, digest, flags) = (entry.chunk, entry.digest, entry.flags);
        if let Err(error) = host.begin(flags, read_only) {
            reply.error(error);
            return ScriptEnd::Raised;
        }
        let _running = Running::new(&self.interrupt, run);
        match self.vm.run(chunk, &digest, keys, arguments, host, reply) {
            RunEnd::Done => ScriptEnd::Done,
            RunEnd::Raised => ScriptEnd::Raised,
            RunEnd::Abandoned => ScriptEnd::Abandoned,
        }
    }

    /// Stops runs at their so many-th look at the clock's flag; `None`: never.
    #[cfg(test)]
    pub(super) fn stop_at_look(&self, looks: Option<usize>) {
        self.vm.room().looks_left.set(looks);
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

    /// The script with this text. An unchanged text costs one fast hash and a comparison, no SHA1.
    fn find_or_compile(&mut self, source: &[u8]) -> Result<u32, ScriptError> {
        let found = self.by_source.find(hash(source), |&index| *self.entry(index).source == *source);
        match found {
            Some(&index) => Ok(index),
            None => self.compile(source),
        }
    }

    fn compile(&mut self, source: &[u8]) -> Result<u32, ScriptError> {
        let (flags, text) = parse_shebang(source).map_err(ScriptError)?;
        let chunk = self.vm.compile(&keep_lines(text)).map_err(|error| {
            let reason = match error {
                CompileError::Syntax(message) => message,
                CompileError::Memory => b"not enough memory".to_vec(),
            };
            ScriptError([b"ERR Error compiling script (new function): ", &reason[..]].concat())
        })?;
        if self.evaluated >= self.limits.evaluated_scripts_max {
            self.drop_oldest();
        }
        let digest = ScriptDigest::of(source);
        let entry = Entry { source: source.into(), digest, flags, chunk, is_loaded: false, last_run: self.runs };
        let index = match self.free.pop() {
            Some(index) => {
                self.entries[index as usize] = Some(entry);
                index
            }
            None => {
                self.entries.push(Some(entry));
                (self.entries.len() - 1) as u32
            }
        };
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
        self.vm.release(entry.chunk);
        self.free.push(index);
        self.evaluated -= 1;
    }
}

/// While it lives, the interrupt handle shows a run; it ends with a panic of the host as well.
struct Running<'a>(&'a Interrupt);

impl<'a> Running<'a> {
    fn new(interrupt: &'a Interrupt, run: u64) -> Self {
        interrupt.set_run(run);
        Running(interrupt)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set_run(0);
    }
}

fn hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}
