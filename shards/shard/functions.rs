//! Libraries of functions: FUNCTION's subcommands that a shard runs, FCALL, and the copies that other shards keep.

use crate::command::{
    Arguments, Command, Failure, FunctionList, FunctionLoad, RestorePolicy, TOO_MANY_LIBRARIES, check_function_flush,
    dump_libraries, flag, restore_libraries,
};
use crate::glob::{self, Case};
use crate::ids::{ShardId, Term};
use crate::keyspace::{LibrarySet, library_bytes};
use crate::limits::{LIBRARIES_BYTES_MAX, LIBRARIES_MAX};
use crate::port::{Gate, Outcome};
use crate::reply::ReplySink;
use crate::script::{Library, NewLibraries, ScriptError};
use std::sync::Arc;

use super::Shard;

/// The shard whose libraries the others have copies of.
const FIRST: ShardId = ShardId(0);

impl Shard {
    /// Runs a command whose row says [`crate::command::Run::Library`].
    pub(super) fn library(&mut self, command: &Command, arguments: Arguments<'_>, reply: &mut dyn ReplySink) {
        let list = arguments.list();
        self.follow_libraries();
        let done = match command.name {
            "function|load" => self.load_library(command, list, reply),
            "function|restore" => self.restore_libraries(list, reply),
            "function|delete" => self.delete_library(list[2], reply),
            "function|flush" => check_function_flush(list).map(|()| {
                self.keyspace.flush_libraries();
                reply.ok();
            }),
            "function|dump" => {
                reply.bulk(&dump_libraries(self.keyspace.libraries().values().map(|code| &**code)));
                Ok(())
            }
            "function|list" => FunctionList::read(list).map(|read| self.list_libraries(&read, reply)),
            other => panic!("{other} does not run in a shard"),
        };
        if let Err(failure) = done {
            failure.write(reply);
        }
    }

    fn load_library(&mut self, command: &Command, list: &[&[u8]], reply: &mut dyn ReplySink) -> Result<(), Failure> {
        let FunctionLoad { replaces, code } = FunctionLoad::read(list)?;
        if command.is(flag::AT_SHARD_PORT)
            && let Some(name) = self.name_of_library(code)
        {
            reply.bulk(&name);
            return Ok(());
        }
        let new = self.scripts.prepare(code, replaces, &mut self.script_log).map_err(failure)?;
        let (name, _) = new.texts().next().expect("it was loaded");
        let name = name.to_vec();
        self.store(new, false)?;
        reply.bulk(&name);
        Ok(())
    }

    fn delete_library(&mut self, name: &[u8], reply: &mut dyn ReplySink) -> Result<(), Failure> {
        if !self.keyspace.remove_library(name) {
            return Err(Failure::text("ERR Library not found"));
        }
        reply.ok();
        Ok(())
    }

    /// The name of the library with this very text.
    fn name_of_library(&self, code: &[u8]) -> Option<Vec<u8>> {
        let found = self.keyspace.libraries().iter().find(|(_, there)| ***there == *code);
        found.map(|(name, _)| name.to_vec())
    }

    fn restore_libraries(&mut self, list: &[&[u8]], reply: &mut dyn ReplySink) -> Result<(), Failure> {
        let policy = RestorePolicy::read(list)?;
        let codes = restore_libraries(list[2]).map_err(Failure::text)?;
        let codes = codes.iter().map(|code| &**code);
        let new = self.scripts.prepare_all(codes, &mut self.script_log).map_err(failure)?;
        let taken = self.scripts.first_taken(&new).filter(|_| policy == RestorePolicy::Append);
        let refused = match (policy, taken) {
            (RestorePolicy::Flush, _) => None,
            (_, Some(name)) => Some(ScriptError([b"ERR Library ", name, b" already exists"].concat())),
            (_, None) => self.scripts.clash(&new),
        };
        if let Some(error) = refused {
            self.scripts.discard(new);
            return Err(failure(error));
        }
        self.store(new, policy == RestorePolicy::Flush)?;
        reply.ok();
        Ok(())
    }

    /// Makes libraries that were loaded the shard's; `alone`: no others stay.
    fn store(&mut self, new: NewLibraries, alone: bool) -> Result<(), Failure> {
        let there = self.keyspace.libraries().clone();
        let stays = |name: &[u8]| !alone && new.texts().all(|(other, _)| other != name);
        let kept = there.iter().filter(|(name, _)| stays(name)).map(|(name, code)| library_bytes(name, code));
        let (kept, added) = (kept.collect::<Vec<_>>(), new.texts().map(|(name, code)| library_bytes(name, code)));
        let (count, bytes) = kept.into_iter().chain(added).fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes));
        if count > LIBRARIES_MAX || bytes > LIBRARIES_BYTES_MAX {
            self.scripts.discard(new);
            return Err(Failure::text(TOO_MANY_LIBRARIES));
        }
        if alone {
            self.keyspace.flush_libraries();
        }
        for (name, code) in new.texts() {
            self.keyspace.put_library(name, code.clone());
        }
        self.scripts.adopt(new, alone, self.keyspace.libraries_version());
        Ok(())
    }

    fn list_libraries(&self, list: &FunctionList<'_>, reply: &mut dyn ReplySink) {
        let is_shown = |name: &[u8]| list.pattern.is_none_or(|pattern| glob::matches(pattern, name, Case::Insensitive));
        let shown: Vec<(&[u8], &Library)> = self.scripts.libraries().filter(|(name, _)| is_shown(name)).collect();
        reply.array(shown.len());
        for (name, library) in shown {
            reply.map(3 + usize::from(list.with_code));
            reply.bulk(b"library_name");
            reply.bulk(name);
            reply.bulk(b"engine");
            reply.bulk(b"LUA");
            reply.bulk(b"functions");
            reply.array(library.functions().len());
            for function in library.functions() {
                reply.map(3);
                reply.bulk(b"name");
                reply.bulk(&function.name);
                reply.bulk(b"description");
                match &function.description {
                    Some(description) => reply.bulk(description),
                    None => reply.null(),
                }
                reply.bulk(b"flags");
                reply.set(function.flags.names().count());
                function.flags.names().for_each(|name| reply.simple(name));
            }
            if list.with_code {
                reply.bulk(b"library_code");
                reply.bulk(library.code());
            }
        }
    }

    /// Brings the script engine in line with the libraries. What is read of it depends on them.
    pub(super) fn follow_libraries(&mut self) {
        self.scripts.follow(self.keyspace.libraries_version(), self.keyspace.libraries());
    }

    /// How many libraries and functions there are, and the gate of that.
    pub fn count_libraries(&mut self) -> (usize, usize, Gate) {
        self.follow_libraries();
        let libraries = self.scripts.libraries().len();
        let functions = self.scripts.libraries().map(|(_, library)| library.functions().len()).sum();
        (libraries, functions, self.gate(false))
    }

    /// The term that it serves in, if it serves.
    pub fn serving_term(&self) -> Option<Term> {
        self.serving
    }

    /// Whether it waits for the libraries of the first shard: it has not been told of them in this term, or had no room for them.
    pub fn wants_libraries(&self) -> bool {
        self.config.shard != FIRST && self.serving.is_some() && self.libraries_of != self.serving
    }

    /// The first shard has committed these libraries: this shard's become the same. Without room for them it goes on wanting them.
    pub(super) fn take_libraries(&mut self, set: &Arc<LibrarySet>) -> Outcome {
        if self.serving.is_none() {
            return Outcome::NotServing;
        }
        let differ = **self.keyspace.libraries() != **set;
        let shortage = self.shortage();
        if differ && (shortage.disk || shortage.log || self.group.hands_over()) {
            self.libraries_of = None;
            return Outcome::Done(self.gate(false));
        }
        self.keyspace.become_libraries(set);
        self.libraries_of = self.serving;
        Outcome::Done(self.gate(differ))
    }
}

fn failure(error: ScriptError) -> Failure {
    Failure::Text(error.0.into())
}
