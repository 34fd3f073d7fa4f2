//! A server process of a test's own: Ringkeep, or a real Redis to compare with.

use super::client::Client;
use super::directory::Directory;
use super::ports::PortBlock;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A start that takes longer has failed (recovery of the largest data sets of the benches included).
const START_SECONDS_MAX: u64 = 60;
/// The same for a stop.
const STOP_SECONDS_MAX: u64 = 60;
/// And for a start that must be refused.
const REFUSAL_SECONDS_MAX: u64 = 20;
/// So much of a failed server's log is shown.
const LOG_TAIL_BYTES: usize = 6_000;

/// Which program is started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// This package's binary.
    Ringkeep,
    /// redis-server or valkey-server.
    Reference(PathBuf),
}

/// How a server is started. Everything else is default.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    kind: Kind,
    shards: String,
    core: Option<usize>,
    bind: String,
    settings: Vec<(String, String)>,
    /// The size of the file system that the data is on, if it is one of its own.
    file_system_bytes: Option<u64>,
}

/// A running server, or a stopped one that can be started again on the same files and ports. Dropping it kills the process
/// and removes its directory; during a panic the log's end is printed first.
pub struct Server {
    options: ServerOptions,
    // Before `directory`: the process must be gone when its files are removed.
    child: Option<Child>,
    port: u16,
    data: PathBuf,
    _ports: PortBlock,
    directory: Directory,
}

/// A real server to compare with: the one that `RINGKEEP_REFERENCE` names, else redis-server or valkey-server from the PATH.
pub fn reference_binary() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("RINGKEEP_REFERENCE") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH")?;
    ["redis-server", "valkey-server"]
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |directory| directory.join(name)))
        .find(|candidate| candidate.is_file())
}

/// Whether this user may mount a file system for a process of its own.
pub fn can_mount() -> bool {
    let tried = Command::new("unshare").args(["-Urm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    tried.is_ok_and(|output| output.status.success())
}

impl ServerOptions {
    /// Ringkeep with one shard.
    pub fn ringkeep() -> ServerOptions {
        ServerOptions::new(Kind::Ringkeep)
    }

    /// The real server, without persistence.
    pub fn reference(binary: &Path) -> ServerOptions {
        ServerOptions::new(Kind::Reference(binary.to_owned())).setting("save", "\"\"")
    }

    fn new(kind: Kind) -> ServerOptions {
        ServerOptions {
            kind,
            shards: "1".to_owned(),
            core: None,
            bind: "127.0.0.1".to_owned(),
            settings: Vec::new(),
            file_system_bytes: None,
        }
    }

    /// The number of shards, or `auto`; the real server has none.
    pub fn shards(mut self, shards: impl ToString) -> ServerOptions {
        self.shards = shards.to_string();
        self
    }

    /// The address it listens on, other than 127.0.0.1.
    pub fn bind(mut self, address: &str) -> ServerOptions {
        self.bind = address.to_owned();
        self
    }

    /// Pins every thread of the server to this core.
    pub fn core(mut self, core: usize) -> ServerOptions {
        self.core = Some(core);
        self
    }

    /// Puts the data on a file system of its own, of this size, which goes with the process. See [`can_mount`].
    pub fn on_file_system(mut self, bytes: u64) -> ServerOptions {
        self.file_system_bytes = Some(bytes);
        self
    }

    /// A line of the configuration file.
    pub fn setting(mut self, name: &str, value: &str) -> ServerOptions {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it in a new directory and waits until it serves. Panics, with the log, when it does not.
    pub fn start(self) -> Server {
        let mut server = self.prepare();
        server.start();
        server
    }

    /// Reserves ports and a directory, but starts nothing yet.
    pub fn prepare(self) -> Server {
        let name = match &self.kind {
            Kind::Ringkeep => "ringkeep",
            Kind::Reference(_) => "reference",
        };
        let directory = Directory::new(name);
        std::fs::create_dir(directory.join("data")).expect("make the data directory");
        let (ports, data) = (PortBlock::reserve(), directory.join("data"));
        Server { options: self, child: None, port: ports.first(), data, _ports: ports, directory }
    }
}

impl Server {
    /// The server's own port. Those of its shards follow it.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of a shard.
    pub fn shard_port(&self, shard: u16) -> u16 {
        self.port + 1 + shard
    }

    /// The process, while there is one.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Where its data is.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Gives its next start another data directory; for servers that get in each other's way, and for damaged copies.
    pub fn use_data(&mut self, data: &Path) {
        self.data = data.to_owned();
    }

    /// Gives its next start another port; for servers that get in each other's way.
    pub fn use_port(&mut self, port: u16) {
        self.port = port;
    }

    /// Gives its next start another number of shards.
    pub fn use_shards(&mut self, shards: impl ToString) {
        self.options.shards = shards.to_string();
    }

    /// What it wrote to stdout and stderr since its last start.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.directory.join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A new connection to the server's own port.
    pub fn client(&self) -> Client {
        Client::connect(self.port())
    }

    /// The command that starts it, with its log as stdout and stderr.
    pub fn command(&self) -> Command {
        let configuration = self.directory.join("server.conf");
        let mut lines: String = self.options.settings.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
        let data = &self.data;
        let bind = self.options.bind.as_str();
        let port = self.port().to_string();
        let mut command = match &self.options.kind {
            Kind::Ringkeep => {
                let binary = env!("CARGO_BIN_EXE_ringkeep");
                let mut command = match self.options.file_system_bytes {
                    None => Command::new(binary),
                    Some(bytes) => {
                        let mut command = Command::new("unshare");
                        let script = format!("mount -t tmpfs -o size={bytes} none \"$0\" && exec \"$@\"");
                        command.args(["-Urm", "sh", "-c", &script]).arg(data).arg(binary);
                        command
                    }
                };
                command.arg("serve");
                if !lines.is_empty() {
                    command.arg(&configuration);
                }
                command.args(["--bind", bind, "--port", &port, "--shards", &self.options.shards]);
                command.arg("--dir").arg(data);
                command
            }
            Kind::Reference(binary) => {
                lines += &format!("bind {bind}\nport {port}\ndir {}\ndaemonize no\n", data.display());
                let mut command = Command::new(binary);
                command.arg(&configuration);
                command
            }
        };
        std::fs::write(&configuration, lines).expect("write the configuration");
        let log = File::create(self.directory.join("server.log")).expect("make the log file");
        command.stdin(Stdio::null());
        command.stdout(log.try_clone().expect("share the log file")).stderr(log);
        let core = self.options.core;
        // SAFETY: between fork and exec only two bare system calls run, on what this closure owns.
        unsafe {
            command.pre_exec(move || {
                // A test that is itself killed leaves no server behind.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                let Some(core) = core else {
                    return Ok(());
                };
                let mut set: libc::cpu_set_t = std::mem::zeroed();
                libc::CPU_SET(core, &mut set);
                match libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        command
    }

    /// Starts the process and waits until it answers.
    ///
    /// # Errors
    /// The log, when the process ends or does not serve in time.
    pub fn try_start(&mut self) -> Result<(), String> {
        assert!(self.child.is_none(), "it runs already");
        self.child = Some(self.command().spawn().expect("start the server's binary"));
        let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        loop {
            if let Some(status) = self.child.as_mut().expect("just started").try_wait().expect("ask for the process") {
                self.child = None;
                return Err(format!("the server ended at its start: {status}\n{}", self.log()));
            }
            if self.is_serving() {
                return Ok(());
            }
            if Instant::now() > deadline {
                self.kill();
                return Err(format!("the server does not serve after {START_SECONDS_MAX} s\n{}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Starts the process where it must not come up, and gives how it ended and what it said. Panics when it runs on.
    pub fn start_refused(&mut self) -> (ExitStatus, String) {
        assert!(self.child.is_none(), "it runs already");
        self.child = Some(self.command().spawn().expect("start the server's binary"));
        match self.wait_for_end(Duration::from_secs(REFUSAL_SECONDS_MAX)) {
            Some(status) => (status, self.log()),
            None => panic!("the server runs, but should have refused to"),
        }
    }

    fn is_serving(&self) -> bool {
        let Ok(mut client) = Client::try_connect(self.port()) else {
            return false;
        };
        client.set_read_timeout(Duration::from_secs(2));
        // A read, since a server can answer PING long before it has its data.
        if client.try_send_raw(b"*2\r\n$3\r\nGET\r\n$13\r\nis it serving\r\n").is_err() {
            return false;
        }
        match client.try_reply() {
            // A server that wants a password is up too.
            Ok(Some((reply, _))) => {
                reply.is_null() || reply.error_text().is_some_and(|text| text.starts_with("NOAUTH"))
            }
            _ => false,
        }
    }

    /// Starts the process and waits until it answers. Panics, with the log, when it does not.
    pub fn start(&mut self) {
        if let Err(reason) = self.try_start() {
            panic!("{reason}");
        }
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill the server");
            child.wait().expect("wait for the killed server");
        }
    }

    /// Asks it to end (SIGTERM) and waits for it. Panics when it takes too long.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(libc::SIGTERM);
        self.wait_for_end(Duration::from_secs(STOP_SECONDS_MAX))
            .unwrap_or_else(|| panic!("the server runs on {STOP_SECONDS_MAX} s after SIGTERM"))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        let pid = self.pid().expect("a running server");
        // SAFETY: a plain system call; the child has not been waited for, so the number is still its own.
        let result = unsafe { libc::kill(pid as libc::pid_t, signal) };
        assert_eq!(result, 0, "cannot signal the server");
    }

    /// Waits until it ends by itself; `None` when it does not within `wait`.
    pub fn wait_for_end(&mut self, wait: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + wait;
        let child = self.child.as_mut().expect("a running server");
        loop {
            if let Some(status) = child.try_wait().expect("ask for the process") {
                self.child = None;
                return Some(status);
            }
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Has it not ended?
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().expect("ask for the process").is_none())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let mut from = log.len().saturating_sub(LOG_TAIL_BYTES);
            while !log.is_char_boundary(from) {
                from += 1;
            }
            eprintln!("--- log of {:?} on port {}\n{}---", self.options.kind, self.port(), &log[from..]);
        }
    }
}
