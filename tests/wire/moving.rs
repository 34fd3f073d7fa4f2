//! Connections move to the core that owns their keys, and nobody notices. Only Ringkeep has these.

use super::common::{Client, Random, Reply, Server, ServerOptions, encode};
use super::is_reference;
use super::shards::ports_of_slots;
use redis_protocol::redis_keyslot;
use std::time::{Duration, Instant};

/// Requests after which even a connection that has moved before is looked at again.
const PHASE_REQUESTS: usize = 2_000;

/// A server whose shards live on two cores; none where there is one core.
fn start() -> Option<Server> {
    if is_reference() {
        return None;
    }
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        eprintln!("skipped: one core has nowhere to move to");
        return None;
    }
    Some(ServerOptions::ringkeep().shards(2).start())
}

/// Keys of each shard: `count` of each, their names beginning with `prefix`.
fn keys(server: &Server, prefix: &str, count: usize) -> [Vec<String>; 2] {
    let ports = ports_of_slots(server);
    let mut keys = [Vec::new(), Vec::new()];
    for number in 0.. {
        let name = format!("{prefix}{number}");
        let shard = usize::from(ports[usize::from(redis_keyslot(name.as_bytes()))] - server.shard_port(0));
        if keys[shard].len() < count {
            keys[shard].push(name);
        }
        if keys.iter().all(|keys| keys.len() == count) {
            break;
        }
    }
    keys
}

fn moves(client: &mut Client) -> u64 {
    client.info("moved_connections").expect("INFO counts moves").parse().expect("a number")
}

/// Increments of keys of one shard; the next value of each key is in `counts`.
fn increments(keys: &[String], requests: usize, counts: &mut [i64], random: &mut Random) -> (Vec<u8>, Vec<i64>) {
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for _ in 0..requests {
        let at = random.below(keys.len());
        counts[at] += 1;
        expected.push(counts[at]);
        encode(&mut bytes, &["INCR", &keys[at]]);
    }
    (bytes, expected)
}

fn wait_until_alone(client: &mut Client) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while client.run("CLIENT LIST").text().lines().count() > 1 {
        assert!(Instant::now() < deadline, "still connected:\n{}", client.run("CLIENT LIST").text());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_connection_moves_once_with_all_that_it_is() {
    let Some(server) = start() else { return };
    let keys = keys(&server, "key", 4);
    let mut watcher = server.client();
    // The kernel spreads connections over the cores: among so many some land on the wrong one.
    let mut clients: Vec<Client> = (0..16).map(|_| server.client()).collect();
    let mut ids = Vec::new();
    for (number, client) in clients.iter_mut().enumerate() {
        ids.push(client.run("CLIENT ID").integer());
        client.run("HELLO 3");
        client.run(&format!("CLIENT SETNAME name{number}"));
        client.run("SELECT 5");
        client.run(&format!("SET {} {number}", keys[1][0]));
        client.run(&format!("WATCH watched{number}"));
        let requests: Vec<Vec<&str>> = (0..PHASE_REQUESTS).map(|at| vec!["GET", &keys[1][at % 4]]).collect();
        client.pipeline(&requests);
        client.run("MULTI");
        assert_eq!(client.command(&["GET", &keys[1][0]]).text(), "QUEUED");
    }
    let moved = moves(&mut watcher);
    assert!((1..=16).contains(&moved), "{moved} of 16 moved");
    for (number, client) in clients.iter_mut().enumerate() {
        if number % 2 == 0 {
            watcher.run("SELECT 5");
            watcher.run(&format!("SET watched{number} x"));
        }
        let key = client.command(&["GET", &keys[1][0]]);
        assert_eq!(key.text(), "QUEUED");
        let reply = client.run("EXEC");
        // The watched key may live in the other shard; then the transaction is refused, as ever.
        let crosses = reply.error_text().is_some_and(|text| text.contains("CROSSSLOT"));
        assert!(crosses || reply.is_null() == (number % 2 == 0), "{number}: {reply:?}");
        assert_eq!(client.run("CLIENT ID").integer(), ids[number]);
        assert_eq!(client.run("CLIENT GETNAME").text(), format!("name{number}"));
        assert_eq!(client.run("GET missing"), Reply::Null, "RESP3 goes along");
        let requests: Vec<Vec<&str>> = (0..PHASE_REQUESTS).map(|at| vec!["GET", &keys[1][at % 4]]).collect();
        assert_eq!(client.pipeline(&requests)[0].text(), "15", "and so does the database");
    }
    assert_eq!(moves(&mut watcher), moved, "who is where its keys are stays there");
    let list = watcher.run("CLIENT LIST").text();
    for (number, id) in ids.iter().enumerate() {
        let lines: Vec<&str> = list.lines().filter(|line| line.starts_with(&format!("id={id} "))).collect();
        assert!(lines.len() == 1 && lines[0].contains(&format!(" name=name{number} ")), "{lines:?}");
    }
}

#[test]
fn mixed_traffic_stays_where_it_is() {
    let Some(server) = start() else { return };
    let keys = keys(&server, "key", 4);
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    for client in &mut clients {
        for _ in 0..10 {
            let requests: Vec<Vec<&str>> = (0..1000).map(|at| vec!["GET", &keys[at % 2][at % 4]]).collect();
            client.pipeline(&requests);
        }
    }
    assert_eq!(moves(&mut server.client()), 0);
    // The ports of shards are where a client said it wants to be.
    let mut there = Client::connect(server.shard_port(0));
    for _ in 0..5 {
        there.pipeline(&(0..1000).map(|_| vec!["GET", keys[0][0].as_str()]).collect::<Vec<_>>());
    }
    assert_eq!(moves(&mut server.client()), 0);
}

#[test]
fn requests_keep_their_order_and_number_while_connections_move() {
    const CLIENTS: u64 = 6;
    const PHASES: usize = 16;
    let Some(server) = start() else { return };
    let threads: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let keys = keys(&server, &format!("client{number}:"), 5);
            let mut client = server.client();
            std::thread::spawn(move || {
                let mut random = Random::new(number);
                let mut counts = [[0; 5]; 2];
                for phase in 0..PHASES {
                    let shard = phase % 2;
                    let (bytes, expected) = increments(&keys[shard], PHASE_REQUESTS, &mut counts[shard], &mut random);
                    let mut writer = client.stream().try_clone().expect("a second handle");
                    let seed = random.next();
                    // Cut anywhere, and written while the replies are read.
                    let writing = std::thread::spawn(move || {
                        let (mut rest, mut random) = (&bytes[..], Random::new(seed));
                        while !rest.is_empty() {
                            let (piece, left) = rest.split_at(random.below(5_000).clamp(1, rest.len()));
                            std::io::Write::write_all(&mut writer, piece).expect("the server reads");
                            rest = left;
                        }
                    });
                    for (at, expected) in expected.into_iter().enumerate() {
                        assert_eq!(client.reply(), Reply::Integer(expected), "client {number}, phase {phase}, {at}");
                    }
                    writing.join().expect("the writer");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("a client");
    }
    let moved = moves(&mut server.client());
    assert!(moved >= CLIENTS, "{moved} moves in {CLIENTS} swinging connections");
}

#[test]
fn who_writes_all_before_it_reads_is_served() {
    const REQUESTS: usize = 20_000;
    let Some(server) = start() else { return };
    // Long keys and long values: neither direction fits the kernel's buffers.
    let keys = keys(&server, &"k".repeat(1_000), 1);
    let mut client = server.client();
    for key in [&keys[0][0], &keys[1][0]] {
        client.command(&["SET", key, &"v".repeat(1_000)]);
    }
    for shard in [0, 1] {
        let mut bytes = Vec::new();
        (0..REQUESTS).for_each(|_| encode(&mut bytes, &["GET", &keys[shard][0]]));
        client.send_raw(&bytes);
        for _ in 0..REQUESTS {
            assert_eq!(client.reply().bytes().map(<[u8]>::len), Some(1_000));
        }
    }
}

#[test]
fn what_was_asked_before_the_end_is_answered_wherever_its_keys_are() {
    let Some(server) = start() else { return };
    let keys = keys(&server, "key", 1);
    for _ in 0..20 {
        let mut client = server.client();
        let mut bytes = Vec::new();
        (0..PHASE_REQUESTS).for_each(|at| encode(&mut bytes, &["GET", &keys[at / 700 % 2][0]]));
        client.send_raw(&bytes);
        client.finish_sending();
        assert_eq!(client.read_to_end(), b"$-1\r\n".repeat(PHASE_REQUESTS));
    }
}

/// Swings between the shards until the connection ends.
fn swing(mut client: Client, keys: [Vec<String>; 2]) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for phase in 0.. {
            let mut bytes = Vec::new();
            (0..300).for_each(|_| encode(&mut bytes, &["GET", &keys[phase % 2][0]]));
            if client.try_send_raw(&bytes).is_err() {
                return;
            }
            for _ in 0..300 {
                if !matches!(client.try_reply(), Ok(Some(_))) {
                    return;
                }
            }
        }
    })
}

#[test]
fn a_moving_client_is_listed_once_and_killed_for_good() {
    const CLIENTS: usize = 4;
    let Some(server) = start() else { return };
    let keys = keys(&server, "key", 1);
    let mut killer = server.client();
    let mut other_killer = server.client();
    for round in 0..40 {
        let mut ids = Vec::new();
        let mut threads = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = server.client();
            ids.push(client.run("CLIENT ID").integer());
            threads.push(swing(client, keys.clone()));
        }
        for _ in 0..5 {
            let list = killer.run("CLIENT LIST").text();
            for id in &ids {
                let seen = list.lines().filter(|line| line.starts_with(&format!("id={id} "))).count();
                assert_eq!(seen, 1, "round {round}, client {id}:\n{list}");
            }
        }
        for (at, id) in ids.iter().enumerate() {
            let killer = if at % 2 == 0 { &mut killer } else { &mut other_killer };
            let request = ["CLIENT", "KILL", "ID", &id.to_string()].map(str::to_owned);
            assert_eq!(killer.command(&request), Reply::Integer(1), "round {round}");
        }
        for thread in threads {
            thread.join().expect("a killed client ends");
        }
    }
    assert!(moves(&mut killer) > 0, "nobody moved");
    drop(other_killer);
    wait_until_alone(&mut killer);
}

#[test]
fn clients_that_close_in_the_middle_leave_nothing_behind() {
    const CLIENTS: usize = 300;
    let Some(server) = start() else { return };
    let keys = keys(&server, "key", 1);
    let descriptors = || {
        let pid = server.pid().expect("a running server");
        std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count()
    };
    let mut watcher = server.client();
    wait_until_alone(&mut watcher);
    let before = descriptors();
    let mut random = Random::new(7);
    for _ in 0..CLIENTS {
        let mut client = server.client();
        let mut bytes = Vec::new();
        let shard = random.below(2);
        (0..random.below(1_000)).for_each(|_| encode(&mut bytes, &["GET", &keys[shard][0]]));
        client.send_raw(&bytes);
        for _ in 0..random.below(3) {
            // Closed with replies unread, the connection is reset.
            let _ = client.is_silent_for(Duration::from_micros(300));
        }
    }
    wait_until_alone(&mut watcher);
    assert_eq!(watcher.info("connected_clients").as_deref(), Some("1"));
    assert!(moves(&mut watcher) > 0, "nobody moved");
    // A few are the server's own, made when first needed.
    assert!(descriptors() < before + CLIENTS / 20, "{before} descriptors became {}", descriptors());
}
