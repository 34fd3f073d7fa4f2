use super::*;
use crate::runtime::doorbell::Doorbell;
use crate::runtime::ring::{Ring, RingConfig};
use proptest::prelude::*;
use std::fs::File;

fn ring() -> Ring {
    let config = RingConfig {
        receive_buffers: 2,
        receive_buffer_bytes: 4096,
        ..RingConfig::default()
    };
    Ring::new(&config, Doorbell::new().unwrap(), &[]).unwrap()
}

fn connection(ring: &mut Ring) -> Connection<()> {
    let socket = ring.attach(File::open("/dev/null").unwrap().into());
    Connection::new(socket, (), 0)
}

proptest! {
    #[test]
    fn what_is_sent_is_what_was_gathered(steps in proptest::collection::vec((0usize..5000, 0u8..=4), 1..60)) {
        let (mut pool, mut ring) = (BufferPool::default(), ring());
        let mut connection = connection(&mut ring);
        let (mut gathered, mut sent) = (Vec::new(), Vec::new());
        for (bytes, part) in steps {
            let piece: Vec<u8> = (0..bytes).map(|index| (gathered.len() + index) as u8).collect();
            connection.output(&mut pool).extend_from_slice(&piece);
            gathered.extend_from_slice(&piece);
            let sendable = connection.gathered_bytes() * usize::from(part) / 4;
            if let Some(buffer) = connection.take_sendable(sendable, &mut pool) {
                prop_assert_eq!(buffer.len(), sendable);
                prop_assert!(connection.is_sending());
                prop_assert_eq!(connection.unsent_bytes(), gathered.len() - sent.len());
                prop_assert!(connection.take_sendable(connection.gathered_bytes(), &mut pool).is_none());
                sent.extend_from_slice(&buffer);
                connection.sent(buffer, 1, &mut pool);
            } else {
                prop_assert_eq!(sendable, 0);
            }
        }
        if let Some(buffer) = connection.take_sendable(connection.gathered_bytes(), &mut pool) {
            sent.extend_from_slice(&buffer);
            connection.sent(buffer, 1, &mut pool);
        }
        prop_assert!(connection.is_flushed());
        prop_assert_eq!(&sent, &gathered);
        prop_assert_eq!(connection.traffic_bytes(), (0, gathered.len() as u64));
    }

    #[test]
    fn what_is_undecoded_is_what_was_kept(steps in proptest::collection::vec((0usize..3000, 0u8..=4), 1..60)) {
        let (mut pool, mut ring) = (BufferPool::default(), ring());
        let mut connection = connection(&mut ring);
        let (mut model, mut next) = (Vec::new(), 0u8);
        for (bytes, part) in steps {
            let piece: Vec<u8> = (0..bytes).map(|_| { next = next.wrapping_add(1); next }).collect();
            connection.keep(&piece, &mut pool);
            model.extend_from_slice(&piece);
            let consumed = model.len() * usize::from(part) / 4;
            connection.consume(consumed, &mut pool);
            model.drain(..consumed);
            prop_assert_eq!(connection.undecoded(), &model[..]);
        }
        let taken = connection.take_undecoded();
        prop_assert_eq!(&taken, &model);
        connection.put_undecoded(taken);
        prop_assert_eq!(connection.undecoded(), &model[..]);
    }
}

#[test]
fn a_quiet_connection_holds_no_bytes_and_a_burst_is_not_kept() {
    let (mut pool, mut ring) = (BufferPool::default(), ring());
    let mut connection = connection(&mut ring);
    for burst_bytes in [100, POOLED_BUFFER_BYTES_MAX * 4] {
        let burst = vec![7; burst_bytes];
        connection.keep(&burst, &mut pool);
        connection.consume(burst_bytes, &mut pool);
        connection.output(&mut pool).extend_from_slice(&burst);
        let buffer = connection.take_sendable(burst_bytes, &mut pool).unwrap();
        connection.sent(buffer, 1, &mut pool);
        assert_eq!(connection.buffer_bytes(), 0);
    }
    for _ in 0..3 {
        assert!(pool.take().capacity() <= POOLED_BUFFER_BYTES_MAX);
    }
}

#[test]
fn an_old_id_does_not_find_a_new_connection() {
    let mut ring = ring();
    let mut connections = Connections::default();
    let old = connections.insert(connection(&mut ring)).socket();
    ring.release(old);
    assert_eq!(connections.remove(old).unwrap().socket(), old);
    let new = connections.insert(connection(&mut ring)).socket();
    assert_eq!((new.index(), connections.len()), (old.index(), 1));
    assert!(connections.get(old).is_none() && connections.remove(old).is_none());
    assert!(connections.get_mut(new).is_some());
}
