use std::cell::Cell;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::*;
use crate::runtime::connection::{BufferPool as Pool, Connection, Connections};
use crate::runtime::signals::StopRequest;

mod disk;
mod echo;
mod idle;
mod moving;

fn in_executor<F: Future<Output = ()> + 'static>(make: impl FnOnce() -> F + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(|| {
        let executor = crate::runtime::node::executor(glommio::Placement::Unbound).make().unwrap();
        executor.run(async move { make().await });
    })
}

fn small_ring(doorbell: Doorbell) -> Ring {
    let config = RingConfig { receive_buffers: 8, receive_buffer_bytes: 4096, ..RingConfig::default() };
    Ring::new(&config, doorbell, &[]).unwrap()
}

fn listener() -> (OwnedFd, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener.into(), address)
}

/// The next event, waited for.
async fn next(ring: &mut Ring) -> Completion {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match ring.next_completion() {
            Some(Completion::Woken) => {}
            Some(event) => return event,
            None => ring.turn(Sleep::AtMost(Duration::from_secs(1)), || false).await,
        }
        assert!(Instant::now() < deadline, "an event is due");
    }
}

/// Two ends of a connection: the ring's and a blocking one.
async fn pair(ring: &mut Ring) -> (SocketId, TcpStream) {
    let (descriptor, address) = listener();
    let listener = ring.listen(descriptor);
    let client = TcpStream::connect(address).unwrap();
    let Completion::Accepted { socket, .. } = next(ring).await else { panic!("a connection arrives") };
    ring.stop_listening(listener);
    let Completion::ListenerClosed { .. } = next(ring).await else { panic!("the listener closes") };
    assert!(TcpStream::connect(address).is_err(), "a closed listener refuses");
    (ring.attach(socket), client)
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index * 31 + index / 4096) as u8).collect()
}
