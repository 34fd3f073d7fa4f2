//! A server that sends back what it gets, under all that clients do to it.

use super::*;

/// Serves until it is asked to stop, then sends what is owed and closes. Every `pausing_every`th receipt of a connection
/// pauses it and goes on by one receive into a buffer of its own, as for a large value.
async fn serve(ring: &mut Ring, listening: OwnedFd, stop: &StopRequest, pausing_every: u64) -> u64 {
    let listener = ring.listen(listening);
    let (mut connections, mut pool) = (Connections::<u64>::default(), Pool::default());
    let (mut dirty, mut echoed, mut stopping) = (Vec::new(), 0u64, false);
    loop {
        if stop.is_requested() && !stopping {
            stopping = true;
            ring.stop_listening(listener);
            for connection in connections.iter_mut() {
                connection.close_after_flush = true;
                dirty.push(connection.socket());
            }
        }
        if stopping && ring.sockets() == 0 {
            return echoed;
        }
        ring.turn(Sleep::Forever, || stop.is_requested() && !stopping).await;
        while let Some(event) = ring.next_completion() {
            match event {
                Completion::Accepted { socket, .. } => {
                    let socket = ring.attach(socket);
                    connections.insert(Connection::new(socket, 0, 0));
                    ring.receive(socket);
                }
                Completion::Received { socket, bytes } => {
                    let connection = connections.get_mut(socket).unwrap();
                    connection.client += 1;
                    connection.note_received(bytes.len(), 0);
                    connection.output(&mut pool).extend_from_slice(&bytes);
                    dirty.push(socket);
                    if pausing_every > 0 && connection.client.is_multiple_of(pausing_every) {
                        ring.pause(socket);
                    }
                }
                Completion::Paused { socket, .. } => ring.receive_into(socket, pool.take(), 1),
                Completion::ReceivedInto { socket, buffer, received } => {
                    assert_eq!((received, buffer.len()), (1, 1));
                    let connection = connections.get_mut(socket).unwrap();
                    connection.output(&mut pool).extend_from_slice(&buffer);
                    pool.put(buffer);
                    dirty.push(socket);
                    ring.receive(socket);
                }
                Completion::ReceiveEnded { socket, .. } => {
                    connections.get_mut(socket).unwrap().close_after_flush = true;
                    dirty.push(socket);
                }
                Completion::Sent { socket, buffer } => {
                    echoed += buffer.len() as u64;
                    connections.get_mut(socket).unwrap().sent(buffer, 0, &mut pool);
                    dirty.push(socket);
                }
                Completion::SendFailed { socket, .. } => ring.close(socket),
                Completion::Closed { socket } => {
                    connections.remove(socket).unwrap();
                    assert!(!ring.is_open(socket));
                }
                Completion::ListenerClosed { .. } | Completion::Woken => {}
                other => panic!("{other:?}"),
            }
        }
        for socket in dirty.drain(..) {
            let Some(connection) = connections.get_mut(socket).filter(|_| ring.is_open(socket)) else {
                continue;
            };
            let sendable = connection.gathered_bytes();
            if let Some(buffer) = connection.take_sendable(sendable, &mut pool) {
                ring.send(socket, buffer);
            } else if connection.close_after_flush && connection.is_flushed() {
                ring.close(socket);
            }
        }
    }
}

struct Server {
    address: SocketAddr,
    stop: StopRequest,
    thread: JoinHandle<()>,
    echoed: std::sync::mpsc::Receiver<u64>,
}

fn start(pausing_every: u64) -> Server {
    let (descriptor, address) = listener();
    let bell = Doorbell::new().unwrap();
    let stop = StopRequest::new(std::slice::from_ref(&bell));
    let (sender, echoed): (Sender<u64>, _) = channel();
    let stopping = stop.clone();
    let thread = in_executor(move || async move {
        let mut ring = small_ring(bell);
        sender.send(serve(&mut ring, descriptor, &stopping, pausing_every).await).unwrap();
    });
    Server { address, stop, thread, echoed }
}

fn finish(server: Server) -> u64 {
    server.stop.request();
    server.thread.join().unwrap();
    server.echoed.recv().unwrap()
}

fn exchange(address: SocketAddr, bytes: &[u8], piece_bytes: usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let expected = bytes.to_vec();
    let reading = std::thread::spawn(move || {
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        assert!(got == expected, "{} of {} bytes came back", got.len(), expected.len());
    });
    for piece in bytes.chunks(piece_bytes) {
        stream.write_all(piece).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    reading.join().unwrap();
}

#[test]
fn fifty_connections_with_few_buffers() {
    let server = start(0);
    let address = server.address;
    let clients: Vec<_> =
        (0..50).map(|number| std::thread::spawn(move || exchange(address, &pattern(200_000 + number), 7000))).collect();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(finish(server), (0..50).map(|number| 200_000 + number).sum::<u64>());
}

#[test]
fn pauses_and_direct_receives_keep_the_order() {
    let server = start(3);
    let address = server.address;
    let clients: Vec<_> =
        (0..8).map(|number| std::thread::spawn(move || exchange(address, &pattern(300_000 + number), 999))).collect();
    for client in clients {
        client.join().unwrap();
    }
    finish(server);
}

#[test]
fn sixty_four_mebibytes_to_a_slow_reader_while_others_are_served() {
    let server = start(0);
    let bytes = pattern(64 << 20);
    let mut slow = TcpStream::connect(server.address).unwrap();
    let mut writer = slow.try_clone().unwrap();
    let sent = bytes.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    writing.join().unwrap();
    // Nothing of it was read so far: the server holds what the kernel does not.
    exchange(server.address, &pattern(10_000), 100);
    let mut got = Vec::with_capacity(bytes.len());
    let mut piece = vec![0; 1 << 20];
    loop {
        match slow.read(&mut piece).unwrap() {
            0 => break,
            count => got.extend_from_slice(&piece[..count]),
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    assert!(got == bytes);
    finish(server);
}

#[test]
fn abrupt_closes_leave_nothing_behind() {
    let server = start(2);
    for round in 0..200 {
        let stream = TcpStream::connect(server.address).unwrap();
        (&stream).write_all(&pattern(round * 300 + 1)).unwrap();
        if round % 2 == 0 {
            // Close sends a reset, as the echo was not read.
            let linger = socket2::SockRef::from(&stream);
            linger.set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
    exchange(server.address, b"still here", 1);
    finish(server);
}

#[test]
fn stops_under_load() {
    let server = start(5);
    let address = server.address;
    let clients: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                let (mut piece, mut count) = (vec![7; 5000], 0);
                while stream.write_all(&piece).is_ok() && stream.read_exact(&mut piece).is_ok() {
                    count += 1;
                }
                count
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    assert!(finish(server) > 0);
    let rounds: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(rounds > 8, "there was load: {rounds}");
}

#[test]
fn a_ring_is_dropped_with_everything_in_flight() {
    in_executor(|| async {
        let mut ring = small_ring(Doorbell::new().unwrap());
        let (descriptor, address) = listener();
        ring.listen(descriptor);
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(TcpStream::connect(address).unwrap());
            let Completion::Accepted { socket, .. } = next(&mut ring).await else { panic!("a connection arrives") };
            let socket = ring.attach(socket);
            ring.send(socket, vec![1; 32 << 20]);
            if clients.len() % 2 == 0 {
                ring.receive(socket);
            } else {
                ring.receive_into(socket, Vec::new(), 1 << 20);
            }
        }
        // One more is accepted by the kernel, and never taken out of the ring.
        clients.push(TcpStream::connect(address).unwrap());
        for client in &mut clients {
            client.write_all(b"some bytes").unwrap();
        }
        ring.turn(Sleep::No, || false).await;
        let started = Instant::now();
        drop(ring);
        assert!(started.elapsed() < Duration::from_secs(5));
        for mut client in clients {
            // All descriptors were closed: the stream ends, orderly or not.
            client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut rest = Vec::new();
            if let Err(error) = client.read_to_end(&mut rest) {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            }
        }
    })
    .join()
    .unwrap();
}

#[test]
fn held_buffers_starve_and_given_back_they_feed() {
    in_executor(|| async {
        let mut ring = small_ring(Doorbell::new().unwrap());
        let (socket, mut client) = pair(&mut ring).await;
        ring.receive(socket);
        client.write_all(&pattern(100_000)).unwrap();
        let mut held = Vec::new();
        while held.len() < 8 {
            let Completion::Received { bytes, .. } = next(&mut ring).await else { panic!("bytes arrive") };
            held.push(bytes);
        }
        ring.turn(Sleep::AtMost(Duration::from_millis(20)), || false).await;
        ring.turn(Sleep::AtMost(Duration::from_millis(20)), || false).await;
        assert!(ring.next_completion().is_none(), "all buffers are held");
        let mut got: Vec<u8> = held.iter().flat_map(|bytes| bytes.to_vec()).collect();
        drop(held);
        while got.len() < 100_000 {
            let Completion::Received { bytes, .. } = next(&mut ring).await else { panic!("bytes arrive") };
            got.extend_from_slice(&bytes);
        }
        assert!(got == pattern(100_000));
    })
    .join()
    .unwrap();
}

#[test]
fn a_socket_that_waits_for_buffers_can_be_closed() {
    in_executor(|| async {
        let mut ring = small_ring(Doorbell::new().unwrap());
        let (socket, mut client) = pair(&mut ring).await;
        client.write_all(&pattern(256 << 10)).unwrap();
        ring.receive(socket);
        // All buffers are taken and none is given back, so the receive ends for want of one.
        let mut held = Vec::new();
        while held.len() < 8 {
            let Completion::Received { bytes, .. } = next(&mut ring).await else { panic!("bytes arrive") };
            held.push(bytes);
        }
        while !ring.starved.contains(&socket) {
            ring.turn(Sleep::AtMost(Duration::from_millis(1)), || false).await;
            assert!(ring.next_completion().is_none());
        }
        ring.close(socket);
        drop(held);
        ring.turn(Sleep::No, || false).await;
        let Completion::Closed { socket: closed } = next(&mut ring).await else { panic!("it is closed") };
        assert!(closed == socket && ring.sockets() == 0);
    })
    .join()
    .unwrap();
}
