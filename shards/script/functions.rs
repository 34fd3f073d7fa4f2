//! The libraries of functions that a shard knows, and their calls.
//!
//! ```text
//!  the keyspace's set (name -> text), with a version
//!      │ follow: texts that are new are loaded, what is gone is forgotten
//!  registry: library -> functions (name, flags, description)      one per engine
//!      │ on a call, if the VM has not loaded that library yet
//!  callbacks: library -> functions of Lua                         one list per VM
//! ```

use super::chunk::Chunk;
use super::engine::{ScriptEnd, ScriptEngine, ScriptError};
use super::host::{LogLevel, ScriptHost};
use super::metadata::parse_library;
use super::pool::VmId;
use super::registration::Registered;
use super::source::ScriptFlags;
use super::vm::{Callee, Vm};
use crate::reply::ReplySink;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// Names and texts, as the shard keeps them.
type Texts = BTreeMap<Box<[u8]>, Arc<[u8]>>;

/// Tells a library from every other that an engine has loaded, so that a VM knows which one it has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct LibraryId(u64);

/// A function, as FUNCTION LIST shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Function {
    /// Its name.
    pub name: Box<[u8]>,
    /// What its library says about it.
    pub description: Option<Box<[u8]>>,
    /// What it may do.
    pub flags: ScriptFlags,
}

/// A library that was loaded.
pub struct Library {
    id: LibraryId,
    code: Arc<[u8]>,
    /// In the order in which they were registered; or why the text cannot be loaded here, although it could once.
    functions: Result<Vec<Function>, Vec<u8>>,
}

impl Library {
    /// Its text.
    pub fn code(&self) -> &Arc<[u8]> {
        &self.code
    }

    /// Its functions.
    pub fn functions(&self) -> &[Function] {
        self.functions.as_deref().unwrap_or_default()
    }
}

/// Libraries that were loaded and do not count yet, by name. [`ScriptEngine::adopt`] or [`ScriptEngine::discard`] ends them.
#[derive(Default)]
pub struct NewLibraries(BTreeMap<Box<[u8]>, Library>);

impl NewLibraries {
    /// Their names and texts.
    pub fn texts(&self) -> impl Iterator<Item = (&[u8], &Arc<[u8]>)> {
        self.0.iter().map(|(name, library)| (&**name, &library.code))
    }
}

/// A function that can be called.
#[derive(Clone, Debug)]
pub struct Callable {
    library: LibraryId,
    library_name: Rc<[u8]>,
    index: usize,
    name: Rc<[u8]>,
    flags: ScriptFlags,
    /// Has a run of it outlived its slice?
    is_long: bool,
}

impl Callable {
    /// Whether a run of it has outlived its slice before.
    pub fn is_long(&self) -> bool {
        self.is_long
    }
}

/// What an engine knows of libraries.
#[derive(Default)]
pub(super) struct Registry {
    libraries: BTreeMap<Box<[u8]>, Library>,
    /// By name in small letters: case does not count.
    callable: BTreeMap<Box<[u8]>, Callable>,
    /// The version of the texts that this is.
    version: Option<u64>,
    loaded: u64,
}

impl Registry {
    fn index(&mut self) {
        self.callable.clear();
        for (library_name, library) in &self.libraries {
            let library_name: Rc<[u8]> = (&**library_name).into();
            for (index, function) in library.functions().iter().enumerate() {
                let callable = Callable {
                    library: library.id,
                    library_name: library_name.clone(),
                    index,
                    name: (&*function.name).into(),
                    flags: function.flags,
                    is_long: false,
                };
                self.callable.insert(function.name.to_ascii_lowercase().into(), callable);
            }
        }
    }

    fn next_id(&mut self) -> LibraryId {
        self.loaded += 1;
        LibraryId(self.loaded)
    }
}

/// The callbacks of the libraries that one VM has loaded.
#[derive(Default)]
pub(super) struct Callbacks(BTreeMap<LibraryId, Vec<Chunk>>);

impl Vm {
    /// Whether libraries are loaded in it.
    pub(super) fn has_libraries(&self) -> bool {
        !self.callbacks.0.is_empty()
    }

    /// Loads a library and keeps its callbacks.
    fn instantiate(
        &mut self,
        id: LibraryId,
        body: &[u8],
        log: &mut Vec<(LogLevel, Vec<u8>)>,
    ) -> Result<Vec<Function>, Vec<u8>> {
        let registered = self.load_library(body, log)?;
        self.callbacks.0.insert(id, registered.iter().map(|function| function.callback).collect());
        let function = |Registered { name, description, flags, .. }: Registered| Function { name, description, flags };
        Ok(registered.into_iter().map(function).collect())
    }

    /// Whether it has loaded a library.
    pub(super) fn has_loaded(&self, id: LibraryId) -> bool {
        self.callbacks.0.contains_key(&id)
    }

    /// Forgets a library that it has loaded. No run of it may be set aside.
    pub(super) fn forget(&mut self, id: LibraryId) {
        for callback in self.callbacks.0.remove(&id).unwrap_or_default() {
            self.release(callback);
        }
    }
}

impl ScriptEngine {
    /// Brings the registry in line with the shard's libraries. It does nothing while their version is the same.
    pub fn follow(&mut self, version: u64, texts: &Texts) {
        if self.registry.version.replace(version) == Some(version) {
            return;
        }
        let stands =
            |name: &[u8], library: &Library| texts.get(name).is_some_and(|code| Arc::ptr_eq(code, &library.code));
        let (kept, gone) =
            std::mem::take(&mut self.registry.libraries).into_iter().partition(|(name, library)| stands(name, library));
        self.registry.libraries = kept;
        self.discard(NewLibraries(gone));
        for (name, code) in texts {
            if !self.registry.libraries.contains_key(name) {
                let library = self.load_again(code);
                self.registry.libraries.insert(name.clone(), library);
            }
        }
        self.registry.index();
    }

    /// A library from a text that was loaded before, on this shard or another. What it logs was logged then.
    fn load_again(&mut self, code: &Arc<[u8]>) -> Library {
        let id = self.registry.next_id();
        let vm = self.pool.ready();
        let functions = parse_library(code).and_then(|(_, body)| self.instantiate(vm, id, body, &mut Vec::new()));
        Library { id, code: code.clone(), functions }
    }

    /// FUNCTION LOAD: loads one library beside those that are there. It may take the place of the one of its name if `replaces`.
    ///
    /// # Errors
    /// What the client reads; nothing is left then.
    pub fn prepare(
        &mut self,
        code: &[u8],
        replaces: bool,
        log: &mut Vec<(LogLevel, Vec<u8>)>,
    ) -> Result<NewLibraries, ScriptError> {
        let (name, library) =
            self.load_new(code, |engine, name| replaces || !engine.registry.libraries.contains_key(name), log)?;
        let new = NewLibraries(BTreeMap::from([(name, library)]));
        match self.clash(&new) {
            None => Ok(new),
            Some(error) => {
                self.discard(new);
                Err(error)
            }
        }
    }

    /// FUNCTION RESTORE: loads libraries that are to be there together.
    ///
    /// # Errors
    /// What the client reads; nothing is left then.
    pub fn prepare_all<'a>(
        &mut self,
        codes: impl Iterator<Item = &'a [u8]>,
        log: &mut Vec<(LogLevel, Vec<u8>)>,
    ) -> Result<NewLibraries, ScriptError> {
        let mut new = NewLibraries::default();
        for code in codes {
            let loaded = self.load_new(code, |_, name| !new.0.contains_key(name), log).and_then(|(name, library)| {
                let twice =
                    library.functions().iter().find(|function| new.0.values().any(|other| has(other, &function.name)));
                match twice.map(|function| function_exists(&function.name)) {
                    None => Ok((name, library)),
                    Some(error) => {
                        self.pool.forget_library(library.id);
                        Err(error)
                    }
                }
            });
            match loaded {
                Ok((name, library)) => new.0.insert(name, library),
                Err(error) => {
                    self.discard(new);
                    return Err(error);
                }
            };
        }
        Ok(new)
    }

    /// Why new libraries cannot join those that are there, if they take the places of those of their names.
    pub fn clash(&self, new: &NewLibraries) -> Option<ScriptError> {
        let others = || self.registry.libraries.iter().filter(|(name, _)| !new.0.contains_key(*name));
        let mut functions = new.0.values().flat_map(Library::functions);
        let taken = functions.find(|function| others().any(|(_, other)| has(other, &function.name)))?;
        Some(function_exists(&taken.name))
    }

    /// The first of these libraries whose name is taken.
    pub fn first_taken<'a>(&self, new: &'a NewLibraries) -> Option<&'a [u8]> {
        new.0.keys().find(|name| self.registry.libraries.contains_key(*name)).map(|name| &**name)
    }

    /// The new libraries are the shard's now, whose libraries have this version; with `alone` there are no others.
    pub fn adopt(&mut self, new: NewLibraries, alone: bool, version: u64) {
        let mut gone = BTreeMap::new();
        if alone {
            gone = std::mem::take(&mut self.registry.libraries);
        }
        for (name, library) in new.0 {
            if let Some(old) = self.registry.libraries.insert(name.clone(), library) {
                gone.insert(name, old);
            }
        }
        self.discard(NewLibraries(gone));
        self.registry.version = Some(version);
        self.registry.index();
    }

    /// Forgets libraries that do not count.
    pub fn discard(&mut self, new: NewLibraries) {
        new.0.into_values().for_each(|library| self.pool.forget_library(library.id));
    }

    /// The libraries, by name.
    pub fn libraries(&self) -> impl ExactSizeIterator<Item = (&[u8], &Library)> {
        self.registry.libraries.iter().map(|(name, library)| (&**name, library))
    }

    /// The function of this name, in any case of letters.
    ///
    /// # Errors
    /// There is none, in words for the client.
    pub fn function(&mut self, name: &[u8]) -> Result<Callable, ScriptError> {
        let lower = name.to_ascii_lowercase();
        if let Some(callable) = self.registry.callable.get(&*lower) {
            return Ok(callable.clone());
        }
        // One that could not be loaded, for want of memory say, may have it. It is tried again.
        let broken = |library: &Library| library.functions.is_err().then(|| library.code.clone());
        let libraries = self.registry.libraries.iter();
        let again: Vec<_> = libraries.filter_map(|(name, library)| Some((name.clone(), broken(library)?))).collect();
        for (name, code) in &again {
            let library = self.load_again(code);
            self.registry.libraries.insert(name.clone(), library);
        }
        if !again.is_empty() {
            self.registry.index();
        }
        if let Some(callable) = self.registry.callable.get(&*lower) {
            return Ok(callable.clone());
        }
        let failed =
            self.registry.libraries.iter().find_map(|(name, library)| Some((name, library.functions.as_ref().err()?)));
        Err(ScriptError(match failed {
            None => b"ERR Function not found".to_vec(),
            Some((name, why)) => {
                [b"ERR Function not found, and library '", &**name, b"' cannot be loaded here: ", &why[..]].concat()
            }
        }))
    }

    /// FCALL. `read_only` is what the command asks for (FCALL_RO); the reply is shaped for `reply`'s protocol.
    pub fn call(
        &mut self,
        function: &Callable,
        keys: &[&[u8]],
        arguments: &[&[u8]],
        read_only: bool,
        host: &mut dyn ScriptHost,
        reply: &mut dyn ReplySink,
    ) -> ScriptEnd {
        if let Err(error) = host.begin(function.flags, read_only) {
            return ScriptEnd::Refused(error);
        }
        let vm = self.pool.ready();
        let callback = match self.callback(vm, function) {
            Ok(callback) => callback,
            Err(text) => {
                reply.error_bytes(&text);
                return ScriptEnd::Raised;
            }
        };
        let callee = Callee::Function(callback, function.name.clone());
        let end = self.run_in(vm, callee, keys, arguments, host, reply);
        if matches!(end, ScriptEnd::Aside(_) | ScriptEnd::Crowded)
            && let Some(callable) = self.registry.callable.get_mut(&*function.name.to_ascii_lowercase())
        {
            callable.is_long = true;
        }
        end
    }

    /// A function's callback in the VM that is to run it, which loads the library if it has not yet.
    fn callback(&mut self, vm: VmId, function: &Callable) -> Result<Chunk, Vec<u8>> {
        if !self.pool.vm(vm).has_loaded(function.library) {
            let code = self.registry.libraries[&*function.library_name].code.clone();
            let (_, body) = parse_library(&code)?;
            let functions = self.instantiate(vm, function.library, body, &mut Vec::new())?;
            if Ok(&functions) != self.registry.libraries[&*function.library_name].functions.as_ref() {
                self.pool.vm(vm).forget(function.library);
                return Err(b"ERR The library registers other functions each time it is loaded".to_vec());
            }
        }
        Ok(self.pool.vm(vm).callbacks.0[&function.library][function.index])
    }

    /// Loads a library in the VM that stands ready.
    fn instantiate(
        &mut self,
        vm: VmId,
        id: LibraryId,
        body: &[u8],
        log: &mut Vec<(LogLevel, Vec<u8>)>,
    ) -> Result<Vec<Function>, Vec<u8>> {
        let loaded = self.pool.vm(vm).instantiate(id, body, log);
        if loaded.is_err() {
            self.pool.settle(vm);
        }
        loaded
    }

    /// Loads a library that does not count yet; `is_free` says whether its name may be used.
    fn load_new(
        &mut self,
        code: &[u8],
        is_free: impl FnOnce(&Self, &[u8]) -> bool,
        log: &mut Vec<(LogLevel, Vec<u8>)>,
    ) -> Result<(Box<[u8]>, Library), ScriptError> {
        let (name, body) = parse_library(code).map_err(ScriptError)?;
        if !is_free(self, &name) {
            return Err(ScriptError([b"ERR Library '", &name[..], b"' already exists"].concat()));
        }
        let id = self.registry.next_id();
        let vm = self.pool.ready();
        let functions = self.instantiate(vm, id, body, log).map_err(ScriptError)?;
        if functions.is_empty() {
            self.pool.forget_library(id);
            return Err(ScriptError(b"ERR No functions registered".to_vec()));
        }
        Ok((name.into(), Library { id, code: code.into(), functions: Ok(functions) }))
    }
}

fn has(library: &Library, function: &[u8]) -> bool {
    library.functions().iter().any(|other| other.name.eq_ignore_ascii_case(function))
}

fn function_exists(name: &[u8]) -> ScriptError {
    ScriptError([b"ERR Function ", name, b" already exists"].concat())
}
