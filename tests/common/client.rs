//! A blocking client: a socket, the bytes not yet parsed, and no opinion on what is sent.

use super::reply::Reply;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A server that is silent for this long in a test has failed it.
const REPLY_SECONDS_MAX: u64 = 20;

/// One connection.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    parsed_bytes: usize,
}

/// One request in the multibulk form, appended to `out`.
pub fn encode<A: AsRef<[u8]>>(out: &mut Vec<u8>, arguments: &[A]) {
    out.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
    for argument in arguments {
        let argument = argument.as_ref();
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}

impl Client {
    /// Connects to a port of this machine. Panics when it cannot.
    pub fn connect(port: u16) -> Client {
        Client::try_connect(port).unwrap_or_else(|error| panic!("cannot connect to port {port}: {error}"))
    }

    /// Connects to a port of this machine.
    ///
    /// # Errors
    /// Those of the socket: nobody listens, say.
    pub fn try_connect(port: u16) -> std::io::Result<Client> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_secs(5))?;
        Ok(Client::from_stream(stream))
    }

    /// A client over a connection that is already there.
    pub fn from_stream(stream: TcpStream) -> Client {
        let patience = Some(Duration::from_secs(REPLY_SECONDS_MAX));
        stream.set_nodelay(true).expect("an open socket");
        stream.set_read_timeout(patience).expect("a timeout above 0");
        stream.set_write_timeout(patience).expect("a timeout above 0");
        Client { stream, received: Vec::new(), parsed_bytes: 0 }
    }

    /// How long a read may wait from now on.
    pub fn set_read_timeout(&mut self, timeout: Duration) {
        self.stream.set_read_timeout(Some(timeout)).expect("set a read timeout");
    }

    /// The socket itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// Those of the socket; a server that closed.
    pub fn try_send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends bytes as they are. Panics when the socket fails.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.try_send_raw(bytes).unwrap_or_else(|error| panic!("cannot send: {error}"));
    }

    /// Sends one request without waiting for its reply.
    pub fn send<A: AsRef<[u8]>>(&mut self, arguments: &[A]) {
        let mut bytes = Vec::new();
        encode(&mut bytes, arguments);
        self.send_raw(&bytes);
    }

    /// The next reply with the very bytes it came as; `None` when the server closed the connection before any of it.
    ///
    /// # Errors
    /// Those of the socket (a timeout is one), an end in the middle of a reply, and bytes that are no reply.
    pub fn try_reply(&mut self) -> std::io::Result<Option<(Reply, Vec<u8>)>> {
        loop {
            let rest = &self.received[self.parsed_bytes..];
            match Reply::parse(rest) {
                Ok(Some((reply, length))) => {
                    let raw = rest[..length].to_vec();
                    self.parsed_bytes += length;
                    if self.parsed_bytes == self.received.len() {
                        self.received.clear();
                        self.parsed_bytes = 0;
                    }
                    return Ok(Some((reply, raw)));
                }
                Ok(None) => {}
                Err(malformed) => {
                    let shown = rest[..rest.len().min(200)].escape_ascii().to_string();
                    return Err(std::io::Error::other(format!("{malformed:?} in \"{shown}\"")));
                }
            }
            if self.receive()? == 0 {
                if self.parsed_bytes == self.received.len() {
                    return Ok(None);
                }
                return Err(std::io::Error::new(ErrorKind::UnexpectedEof, "closed in the middle of a reply"));
            }
        }
    }

    fn receive(&mut self) -> std::io::Result<usize> {
        self.received.drain(..self.parsed_bytes);
        self.parsed_bytes = 0;
        // A large reply is parsed anew at each read, so the reads grow with what is already there.
        let room = self.received.len().clamp(16 << 10, 64 << 20);
        let filled = self.received.len();
        self.received.resize(filled + room, 0);
        let result = loop {
            match self.stream.read(&mut self.received[filled..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.received.truncate(filled + *result.as_ref().unwrap_or(&0));
        result
    }

    /// The next reply. Panics when the server closed, is silent too long or sends garbage.
    pub fn reply(&mut self) -> Reply {
        match self.try_reply() {
            Ok(Some((reply, _))) => reply,
            Ok(None) => panic!("the server closed the connection"),
            Err(error) => panic!("no reply: {error}"),
        }
    }

    /// The next reply's bytes. Panics as [`Client::reply`] does.
    pub fn reply_raw(&mut self) -> Vec<u8> {
        match self.try_reply() {
            Ok(Some((_, raw))) => raw,
            Ok(None) => panic!("the server closed the connection"),
            Err(error) => panic!("no reply: {error}"),
        }
    }

    /// Sends one request and waits for its reply.
    pub fn command<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Reply {
        self.send(arguments);
        self.reply()
    }

    /// Like [`Client::command`] for requests without blanks in their arguments: `run("SET key value")`.
    pub fn run(&mut self, line: &str) -> Reply {
        let arguments: Vec<&str> = line.split_ascii_whitespace().collect();
        self.command(&arguments)
    }

    /// Sends all requests in one go, then waits for all replies.
    pub fn pipeline<A: AsRef<[u8]>>(&mut self, requests: &[Vec<A>]) -> Vec<Reply> {
        let mut bytes = Vec::new();
        for request in requests {
            encode(&mut bytes, request);
        }
        self.send_raw(&bytes);
        requests.iter().map(|_| self.reply()).collect()
    }

    /// Everything until the server closes, parsed or not. Panics when it does not close in time.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        loop {
            match self.receive() {
                Ok(0) => return std::mem::take(&mut self.received),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return std::mem::take(&mut self.received),
                Err(error) => {
                    let got = self.received.len();
                    panic!("the server did not close: {error}, after {got} bytes");
                }
            }
        }
    }

    /// Is anything to be read within `wait`? For tests of silence.
    pub fn is_silent_for(&mut self, wait: Duration) -> bool {
        if self.parsed_bytes < self.received.len() {
            return false;
        }
        let before = self.stream.read_timeout().expect("read timeout");
        self.set_read_timeout(wait);
        let result = self.receive();
        self.stream.set_read_timeout(before).expect("set a read timeout");
        matches!(result, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// Says that no more requests follow; replies can still be read.
    pub fn finish_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("shut the sending side");
    }

    /// A field of INFO, if it is there.
    pub fn info(&mut self, field: &str) -> Option<String> {
        let reply = self.command(&["INFO", "everything"]);
        let text = String::from_utf8_lossy(reply.bytes()?).into_owned();
        let prefix = format!("{field}:");
        text.lines().find_map(|line| line.strip_prefix(&prefix)).map(|value| value.trim_end().to_owned())
    }
}
