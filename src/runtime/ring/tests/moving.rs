//! A connection changes its core under load.

use super::*;
use crate::runtime::connection::MovedConnection;
use crate::runtime::mesh::Mesh;
use ringkeep_shards::ids::CoreId;

const ROUNDS: u32 = 2000;

/// Answers numbers of four bytes with the next one. After every few answers the connection goes to the other core.
async fn serve(mut ring: Ring, mut mesh: Mesh<MovedConnection<u32>>, stop: StopRequest, first: Option<OwnedFd>) -> u64 {
    let (mut connections, mut pool) = (Connections::<u32>::default(), Pool::default());
    let (mut arrived, mut leaving, mut moves) = (Vec::new(), None, 0);
    if let Some(descriptor) = first {
        arrived.push(MovedConnection {
            descriptor,
            undecoded: Vec::new(),
            client: 0,
            traffic_bytes: (0, 0),
            last_active_us: 0,
        });
    }
    loop {
        mesh.receive(|_, moved| arrived.push(moved));
        let mut ready = Vec::new();
        for MovedConnection { descriptor, undecoded, client, traffic_bytes, .. } in arrived.drain(..) {
            let socket = ring.attach(descriptor);
            connections.insert(Connection::from_moved(socket, undecoded, client, traffic_bytes, 0));
            ring.receive(socket);
            ready.push(socket);
        }
        let mut paused = None;
        while let Some(event) = ring.next_completion() {
            match event {
                Completion::Received { socket, bytes } => {
                    connections.get_mut(socket).unwrap().keep(&bytes, &mut pool);
                    ready.push(socket);
                }
                Completion::Sent { socket, buffer } => {
                    connections.get_mut(socket).unwrap().sent(buffer, 0, &mut pool);
                    ready.push(socket);
                }
                Completion::Paused { socket, .. } => {
                    paused = Some(socket);
                    ready.push(socket);
                }
                Completion::ReceiveEnded { socket, .. } => ring.close(socket),
                Completion::Closed { socket } => {
                    connections.remove(socket).unwrap();
                    stop.request();
                }
                _ => {}
            }
        }
        for socket in ready {
            let Some(connection) = connections.get_mut(socket).filter(|_| ring.is_open(socket)) else {
                continue;
            };
            // A connection on its way answers no more here: what it gets goes along.
            if leaving.is_none() {
                while let Some(number) =
                    connection.undecoded().first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
                {
                    connection.consume(4, &mut pool);
                    connection.client += 1;
                    connection.output(&mut pool).extend_from_slice(&(number + 1).to_le_bytes());
                    if connection.client.is_multiple_of(5) {
                        ring.pause(socket);
                        leaving = Some((socket, false));
                        break;
                    }
                }
            }
            if let Some((_, is_paused)) = &mut leaving {
                *is_paused |= paused == Some(socket);
            }
            let gathered = connection.gathered_bytes();
            if let Some(buffer) = connection.take_sendable(gathered, &mut pool) {
                ring.send(socket, buffer);
            }
            if leaving == Some((socket, true)) && connection.is_flushed() && ring.is_at_rest(socket) {
                leaving = None;
                let connection = connections.remove(socket).unwrap();
                mesh.send(CoreId(1 - mesh.core().0), connection.into_moved(ring.release(socket)));
                moves += 1;
            }
        }
        mesh.flush();
        if stop.is_requested() && ring.sockets() == 0 {
            return moves;
        }
        ring.turn(Sleep::Forever, || mesh.has_inbound() || stop.is_requested()).await;
    }
}

#[test]
fn no_byte_is_lost_between_the_cores() {
    let bells = [Doorbell::new().unwrap(), Doorbell::new().unwrap()];
    let stop = StopRequest::new(&bells);
    let (descriptor, address) = listener();
    let mut client = TcpStream::connect(address).unwrap();
    let (accepted, _) = TcpListener::from(descriptor).accept().unwrap();
    let mut first = Some(OwnedFd::from(accepted));
    let (sender, moves) = channel();
    let threads: Vec<_> = Mesh::connect(&bells)
        .into_iter()
        .zip(bells.clone())
        .map(|(mesh, bell)| {
            let (stop, first, sender) = (stop.clone(), first.take(), sender.clone());
            in_executor(move || async move {
                let moves = serve(small_ring(bell), mesh, stop, first).await;
                sender.send(moves).unwrap();
            })
        })
        .collect();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut writer = client.try_clone().unwrap();
    // Pipelined, and cut at every place.
    let writing = std::thread::spawn(move || {
        let bytes: Vec<u8> = (0..ROUNDS).flat_map(u32::to_le_bytes).collect();
        for piece in bytes.chunks(7) {
            writer.write_all(piece).unwrap();
        }
    });
    for number in 0..ROUNDS {
        let mut answer = [0; 4];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(u32::from_le_bytes(answer), number + 1);
    }
    writing.join().unwrap();
    drop(client);
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(moves.iter().take(2).sum::<u64>(), u64::from(ROUNDS) / 5);
}
