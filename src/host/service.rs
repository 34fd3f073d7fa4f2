//! What a service manager expects: a file with the process id, and to be told that the server is ready.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;

use crate::config::Supervision;

/// A file with the process id, which goes away with the value.
#[derive(Debug)]
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file.
    pub fn write(path: PathBuf) -> io::Result<Self> {
        fs::write(&path, format!("{}\n", std::process::id()))?;
        Ok(PidFile(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Whoever removed it before had a reason.
        let _ = fs::remove_file(&self.0);
    }
}

/// Tells systemd that the server takes connections, where settings and environment ask for it. Returns whether it was told.
pub fn tell_ready(supervision: Supervision) -> io::Result<bool> {
    match (supervision, env::var_os("NOTIFY_SOCKET")) {
        (Supervision::No, _) | (_, None) => Ok(false),
        (_, Some(socket)) => notify(&socket, b"STATUS=Ready to accept connections\nREADY=1\n").map(|()| true),
    }
}

fn notify(socket: &OsStr, message: &[u8]) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message, &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_pid_file_comes_and_goes() {
        let root = Scratch::new("pid");
        let path = root.path().join("server.pid");
        let file = PidFile::write(path.clone()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn systemd_is_told_through_a_path_or_an_abstract_name() {
        let root = Scratch::new("notify");
        let path = root.path().join("socket");
        let abstract_name = format!("ringkeep-test-{}", std::process::id());
        let by_name = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let sockets = [UnixDatagram::bind(&path).unwrap(), UnixDatagram::bind_addr(&by_name).unwrap()];
        notify(path.as_os_str(), b"READY=1\n").unwrap();
        notify(OsStr::new(&format!("@{abstract_name}")), b"READY=1\n").unwrap();
        for socket in sockets {
            let mut buffer = [0; 64];
            let len = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], b"READY=1\n");
        }
    }
}
