//! The two sides of a comparison, started when a row first needs them.

use super::arguments::Arguments;
use super::machine;
use crate::common::{Server, ServerOptions, reference_binary};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What the real server promises. Ours always promises the second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Persistence {
    /// Nothing on disk.
    None,
    /// `appendfsync always`: on disk before the reply.
    Always,
}

/// Both sides, running.
pub struct Pair {
    /// Ringkeep, or the real server when it is measured against itself.
    pub ours: Server,
    /// The real server.
    pub theirs: Server,
    /// Keys that both hold.
    pub keys: usize,
}

type Started = Result<Rc<Pair>, String>;

/// Starts servers for rows; the last pair is kept, since neighbouring rows mostly want the same.
pub struct Servers {
    arguments: Arguments,
    reference: Option<PathBuf>,
    last: RefCell<Option<(Persistence, Started)>>,
}

impl Servers {
    /// Looks for a real server, starts nothing.
    pub fn new(arguments: Arguments) -> Servers {
        Servers { arguments, reference: reference_binary(), last: RefCell::new(None) }
    }

    /// What the command line asks for.
    pub fn arguments(&self) -> &Arguments {
        &self.arguments
    }

    /// One line on what is measured and how.
    pub fn describe(&self) -> String {
        let reference = self.reference.as_deref().map_or("none found".to_owned(), version);
        let ours = if self.arguments.against_self { "the reference itself" } else { "ringkeep" };
        format!(
            "{ours} against {reference}; {} pairs of {} s, server on core {}, load on core {}",
            self.arguments.pairs(),
            self.arguments.seconds(),
            machine::SERVER_CORE,
            machine::LOAD_CORE
        )
    }

    /// A new server of ours.
    ///
    /// # Errors
    /// When it does not start.
    pub fn ours(&self, shards: u32) -> Result<Server, String> {
        if self.arguments.against_self {
            if shards > 1 {
                return Err("the reference has no shards".to_owned());
            }
            return self.theirs(Persistence::None);
        }
        start(ServerOptions::ringkeep().shards(shards))
    }

    /// A new real server.
    ///
    /// # Errors
    /// When none is installed, or it does not start.
    pub fn theirs(&self, persistence: Persistence) -> Result<Server, String> {
        let binary = self.reference.as_deref().ok_or("neither redis-server nor valkey-server is installed")?;
        let options = ServerOptions::reference(binary);
        start(match persistence {
            Persistence::None => options,
            Persistence::Always => (options.setting("appendonly", "yes").setting("appendfsync", "always"))
                // Its rewrite forks a child onto the measured core; ours pays for its checkpoints within the measured process.
                .setting("auto-aof-rewrite-percentage", "0"),
        })
    }

    /// Both sides with the same keys in them.
    ///
    /// # Errors
    /// When one does not start.
    pub fn pair(&self, persistence: Persistence) -> Started {
        if let Some((wanted, started)) = &*self.last.borrow()
            && *wanted == persistence
        {
            return started.clone();
        }
        // The servers before are stopped first: memory and disk are theirs until then.
        self.release();
        let started = self.start_pair(persistence);
        *self.last.borrow_mut() = Some((persistence, started.clone()));
        started
    }

    fn start_pair(&self, persistence: Persistence) -> Started {
        let theirs = self.theirs(persistence)?;
        let ours = match self.arguments.against_self {
            true => self.theirs(persistence)?,
            false => self.ours(1)?,
        };
        let keys = self.arguments.keys();
        for server in [&ours, &theirs] {
            super::preload::fill(server.port(), keys, super::requests::VALUE_BYTES)?;
        }
        Ok(Rc::new(Pair { ours, theirs, keys }))
    }

    /// Stops the pair that is kept, for rows that need the machine to themselves.
    pub fn release(&self) {
        *self.last.borrow_mut() = None;
    }
}

fn start(options: ServerOptions) -> Result<Server, String> {
    let mut server = options.core(machine::SERVER_CORE).prepare();
    server.try_start()?;
    Ok(server)
}

fn version(binary: &Path) -> String {
    let output = std::process::Command::new(binary).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let words: Vec<&str> = text.split_ascii_whitespace().take(3).collect();
    words.join(" ")
}
