//! Listening sockets, and the options of connected ones.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

/// Who accepts on a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// One core has the port for itself.
    One,
    /// Every core listens; the kernel deals the connections out.
    EveryCore,
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// What the operating system said.
    pub error: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, error } = self;
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                write!(f, "port {} on {} is in use: is another server running?", address.port(), address.ip())
            }
            io::ErrorKind::AddrNotAvailable => {
                write!(f, "{} is not an address of this machine", address.ip())
            }
            io::ErrorKind::PermissionDenied => {
                write!(f, "port {} is reserved for the superuser", address.port())
            }
            _ => write!(f, "cannot listen on {address}: {error}"),
        }
    }
}

impl std::error::Error for ListenError {}

/// Makes sure that nobody listens on `address`. Sockets that share a port by SO_REUSEPORT do not notice each other, so that
/// a second server would get half of the first one's connections; one without it is refused. Returns the address, with
/// the port that the kernel chose if it was zero.
///
/// # Errors
/// When the address is taken or cannot be bound.
pub fn probe(address: SocketAddr) -> Result<SocketAddr, ListenError> {
    let bound = || {
        let socket = stream_socket(address)?;
        socket.bind(&address.into())?;
        ip_address(socket.local_addr()?)
    };
    bound().map_err(|error| ListenError { address, error })
}

/// A listening socket. Connections that it accepts have TCP_NODELAY set: they inherit it.
///
/// # Errors
/// When the address is taken or cannot be bound.
pub fn listen(address: SocketAddr, sharing: Sharing, backlog: u32) -> Result<OwnedFd, ListenError> {
    let listening = || {
        let socket = stream_socket(address)?;
        if sharing == Sharing::EveryCore {
            socket.set_reuse_port(true)?;
        }
        socket.set_nodelay(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(OwnedFd::from(TcpListener::from(socket)))
    };
    listening().map_err(|error| ListenError { address, error })
}

fn stream_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Lets a restarted server have its port while connections of the last one linger.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // "bind *" names IPv4 and IPv6 separately; a socket for both would take the other's port.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Sets the probes of a quiet connection as Redis does for `tcp-keepalive`: the first after `seconds`, then three, a third
/// of that apart. Zero switches them off. On a listener it holds for what it accepts from then on.
///
/// # Errors
/// When the descriptor is not a TCP socket.
pub fn set_keepalive(socket: impl AsFd, seconds: u32) -> io::Result<()> {
    let socket = socket.as_fd();
    let socket = SockRef::from(&socket);
    if seconds == 0 {
        return socket.set_keepalive(false);
    }
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(seconds.into()))
        .with_interval(Duration::from_secs((seconds / 3).max(1).into()))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)
}

/// The address that a socket is bound to; of a connection, the one that the peer reached.
///
/// # Errors
/// When the descriptor is not an IP socket.
pub fn local_address(socket: impl AsFd) -> io::Result<SocketAddr> {
    let socket = socket.as_fd();
    ip_address(SockRef::from(&socket).local_addr()?)
}

/// The address of the other end.
///
/// # Errors
/// When the socket is not connected any more.
pub fn peer_address(socket: impl AsFd) -> io::Result<SocketAddr> {
    let socket = socket.as_fd();
    ip_address(SockRef::from(&socket).peer_addr()?)
}

fn ip_address(address: SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    const LOOPBACK: &str = "127.0.0.1:0";

    #[test]
    fn a_second_server_is_refused_although_ports_are_shared() {
        let address = probe(LOOPBACK.parse().unwrap()).unwrap();
        let first = listen(address, Sharing::EveryCore, 16).unwrap();
        let second = listen(address, Sharing::EveryCore, 16).unwrap();
        let refused = probe(address).unwrap_err();
        assert_eq!(refused.error.kind(), io::ErrorKind::AddrInUse);
        assert!(refused.to_string().contains(&format!("port {}", address.port())), "{refused}");
        assert!(listen(address, Sharing::One, 16).is_err());
        drop((first, second));
        probe(address).unwrap();
    }

    #[test]
    fn a_foreign_listener_is_seen() {
        let foreign = TcpListener::bind(LOOPBACK).unwrap();
        assert!(probe(foreign.local_addr().unwrap()).is_err());
    }

    #[test]
    fn accepted_connections_inherit_the_options() {
        for text in [LOOPBACK, "[::1]:0"] {
            let Ok(address) = probe(text.parse().unwrap()) else {
                assert!(text.starts_with('['), "IPv4 is there; IPv6 may not be");
                continue;
            };
            let listener = TcpListener::from(listen(address, Sharing::EveryCore, 16).unwrap());
            set_keepalive(&listener, 300).unwrap();
            let client = TcpStream::connect(address).unwrap();
            let (socket, _) = listener.accept().unwrap();
            assert!(socket.nodelay().unwrap());
            assert_eq!(peer_address(&socket).unwrap(), client.local_addr().unwrap());
            assert_eq!(local_address(&socket).unwrap(), address);
            let socket = SockRef::from(&socket);
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.keepalive_time().unwrap(), Duration::from_secs(300));
            assert_eq!(socket.keepalive_interval().unwrap(), Duration::from_secs(100));
            assert_eq!(socket.keepalive_retries().unwrap(), 3);
        }
    }

    #[test]
    fn keepalive_can_be_switched_off() {
        let listener = TcpListener::bind(LOOPBACK).unwrap();
        set_keepalive(&listener, 2).unwrap();
        assert_eq!(SockRef::from(&listener).keepalive_interval().unwrap(), Duration::from_secs(1));
        set_keepalive(&listener, 0).unwrap();
        assert!(!SockRef::from(&listener).keepalive().unwrap());
    }

    #[test]
    fn a_foreign_address_is_named() {
        let error = probe("192.0.2.1:6379".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("192.0.2.1 is not an address of this machine"), "{error}");
    }
}
