//! The data directory: one owner at a time, and an identity that is written once.
//!
//! ```text
//!  <dir>/lock                                     held by the server that runs; its text is that server's process id
//!  <dir>/identity                                 format, shard count, incarnation, seeds
//!  <dir>/shard-0003/0000000000000007.log          see `segment_files`
//! ```

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use ringkeep_shards::ids::{SegmentId, ShardId};
use ringkeep_shards::log::LogIdentity;

/// The format of the directory that this build reads and writes.
pub const FORMAT: u32 = 1;

/// The id of a shard's first segment: where its log begins before there is a checkpoint.
pub const FIRST_SEGMENT: SegmentId = SegmentId(1);

/// An identity file is far shorter.
const IDENTITY_BYTES_MAX: u64 = 4096;

/// What a data directory is, for all its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// How many shards its keys are split into.
    pub shards: u16,
    /// A random number that tells it from every other directory, also from one made anew at the same place.
    pub incarnation: u128,
    /// The seed of the hash of keys.
    pub hash_seed: u64,
    /// The random number that starts the log's checksums; clients must not learn it.
    pub log_salt: u32,
}

impl Identity {
    /// The identity of a shard's log.
    pub fn log(&self, shard: ShardId) -> LogIdentity {
        LogIdentity { shard, salt: self.log_salt }
    }

    /// The identity of a directory that nobody needs to own; `None` if it has none.
    ///
    /// # Errors
    /// When it cannot be read or believed.
    pub fn read(directory: &Path) -> Result<Option<Self>, DirectoryError> {
        let path = directory.join("identity");
        let mut text = String::new();
        match File::open(&path).and_then(|file| file.take(IDENTITY_BYTES_MAX).read_to_string(&mut text)) {
            Ok(_) => Self::decode(&text).map(Some).map_err(|reason| DirectoryError::Identity { path, reason }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(DirectoryError::Identity { path, reason: "it is not text" })
            }
            Err(error) => Err(at(&path)(error)),
        }
    }

    fn encode(&self) -> String {
        let Self { shards, incarnation, hash_seed, log_salt } = self;
        let content = format!(
            "ringkeep data directory\nformat {FORMAT}\nshards {shards}\nincarnation {incarnation:032x}\n\
             hash-seed {hash_seed:016x}\nlog-salt {log_salt:08x}\n"
        );
        format!("{content}crc32c {:08x}\n", crc32c::crc32c(content.as_bytes()))
    }

    fn decode(text: &str) -> Result<Self, &'static str> {
        let (content, crc) = text.rsplit_once("crc32c ").ok_or("it ends early")?;
        if u32::from_str_radix(crc.trim_end(), 16) != Ok(crc32c::crc32c(content.as_bytes())) {
            return Err("its checksum does not hold");
        }
        let mut lines = content.lines();
        if lines.next() != Some("ringkeep data directory") {
            return Err("it does not begin as one");
        }
        let mut field = |name: &str| lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
        if field("format") != Some("1") {
            return Err("it is of a format that this build cannot read");
        }
        const _: () = assert!(FORMAT == 1);
        let mut read = || {
            let shards = field("shards")?.parse().ok().filter(|shards| *shards > 0)?;
            let incarnation = u128::from_str_radix(field("incarnation")?, 16).ok()?;
            let hash_seed = u64::from_str_radix(field("hash-seed")?, 16).ok()?;
            let log_salt = u32::from_str_radix(field("log-salt")?, 16).ok()?;
            Some(Self { shards, incarnation, hash_seed, log_salt })
        };
        read().ok_or("a field is missing or malformed")
    }
}

/// Why a data directory cannot be used.
#[derive(Debug)]
pub enum DirectoryError {
    /// Another server has it.
    Locked {
        /// The directory.
        directory: PathBuf,
        /// What the lock says of its owner: a process id.
        owner: String,
    },
    /// Its identity file cannot be believed.
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There are shards without an identity: files were lost.
    IdentityMissing {
        /// The directory.
        directory: PathBuf,
    },
    /// The operating system refused.
    Io {
        /// What was touched.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { directory, owner } => {
                write!(f, "{} is in use by the server with process id {owner}", directory.display())
            }
            Self::Identity { path, reason } => write!(f, "{} cannot be used: {reason}", path.display()),
            Self::IdentityMissing { directory } => {
                write!(f, "{} has shards but no identity file: restore it from a copy", directory.display())
            }
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for DirectoryError {}

/// A data directory that this process owns. Dropping it lets go of it.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    _lock: File,
}

impl DataDirectory {
    /// Takes the directory, making it if there is none.
    ///
    /// # Errors
    /// When another server has it, or it cannot be made or written.
    pub fn take(path: &Path) -> Result<Self, DirectoryError> {
        fs::create_dir_all(path).map_err(at(path))?;
        Self::take_existing(path)
    }

    /// Takes a directory that must be there.
    ///
    /// # Errors
    /// When another server has it, or it is not there or cannot be written.
    pub fn take_existing(path: &Path) -> Result<Self, DirectoryError> {
        let lock_path = path.join("lock");
        let mut options = OpenOptions::new();
        let mut lock =
            options.read(true).write(true).create(true).truncate(false).open(&lock_path).map_err(at(&lock_path))?;
        // SAFETY: a plain system call on an open descriptor.
        if unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(at(&lock_path)(error));
            }
            let mut owner = String::new();
            let _ = lock.take(64).read_to_string(&mut owner);
            let owner = if owner.trim().is_empty() { "unknown".into() } else { owner.trim().to_owned() };
            return Err(DirectoryError::Locked { directory: path.to_owned(), owner });
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(at(&lock_path))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The identity; `None` for a directory that is yet to get one.
    ///
    /// # Errors
    /// When it cannot be read or believed, or when there are shards without it.
    pub fn identity(&self) -> Result<Option<Identity>, DirectoryError> {
        let identity = Identity::read(&self.path)?;
        if identity.is_none() && self.shard(ShardId(0)).exists() {
            return Err(DirectoryError::IdentityMissing { directory: self.path.clone() });
        }
        Ok(identity)
    }

    /// Gives the directory its identity, durably: all of it or nothing.
    ///
    /// # Errors
    /// When it has one, or it cannot be written.
    pub fn found(&self, identity: &Identity) -> Result<(), DirectoryError> {
        let path = self.path.join("identity");
        if self.identity()?.is_some() {
            return Err(DirectoryError::Identity { path, reason: "the directory has an identity already" });
        }
        let unfinished = self.path.join("identity.tmp");
        let write = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(identity.encode().as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            sync_directory(&self.path)
        };
        write().map_err(at(&path))
    }

    /// The directory of a shard's files, there or not.
    pub fn shard(&self, shard: ShardId) -> PathBuf {
        self.path.join(format!("shard-{:04}", shard.0))
    }
}

/// Makes names in a directory durable: files made, renamed, removed.
///
/// # Errors
/// As `fsync(2)`.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn at(path: &Path) -> impl Fn(io::Error) -> DirectoryError {
    let path = path.to_owned();
    move |error| DirectoryError::Io { path: path.clone(), error }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A directory of a test's own, removed at its end.
    pub(crate) struct Scratch(PathBuf);

    impl Scratch {
        pub(crate) fn new(name: &str) -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("ringkeep-{name}-{}-{number}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const IDENTITY: Identity = Identity { shards: 4, incarnation: 0xabc, hash_seed: 7, log_salt: 0xfeed };

    #[test]
    fn one_server_at_a_time() {
        let scratch = Scratch::new("lock");
        let first = DataDirectory::take(scratch.path()).unwrap();
        let refused = DataDirectory::take(scratch.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process id {}", std::process::id())), "{refused}");
        drop(first);
        DataDirectory::take(scratch.path()).unwrap();
    }

    #[test]
    fn an_identity_is_given_once_and_stays() {
        let scratch = Scratch::new("identity");
        let directory = DataDirectory::take(&scratch.path().join("deep/inside")).unwrap();
        assert_eq!(directory.identity().unwrap(), None);
        directory.found(&IDENTITY).unwrap();
        assert_eq!(directory.identity().unwrap(), Some(IDENTITY));
        assert_eq!(Identity::read(directory.path()).unwrap(), Some(IDENTITY), "it can be had without the directory");
        assert_eq!(Identity::read(scratch.path()).unwrap(), None);
        assert!(directory.found(&IDENTITY).is_err());
        fs::create_dir(directory.shard(ShardId(0))).unwrap();
        fs::remove_file(directory.path().join("identity")).unwrap();
        assert!(matches!(directory.identity(), Err(DirectoryError::IdentityMissing { .. })));
    }

    #[test]
    fn an_identity_with_any_byte_changed_or_missing_is_refused() {
        let text = IDENTITY.encode();
        assert_eq!(Identity::decode(&text), Ok(IDENTITY));
        for end in 0..text.len() - 1 {
            assert!(Identity::decode(&text[..end]).is_err(), "cut at {end}");
        }
        for at in 0..text.len() - 1 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert!(Identity::decode(&String::from_utf8(bytes).unwrap()).is_err(), "byte {at}");
        }
    }
}
