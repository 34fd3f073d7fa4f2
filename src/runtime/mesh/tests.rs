use super::*;
use crate::runtime::ring::{Ring, RingConfig, Sleep};
use std::time::{Duration, Instant};

fn doorbells(count: usize) -> Vec<Doorbell> {
    (0..count).map(|_| Doorbell::new().unwrap()).collect()
}

#[test]
fn messages_keep_their_order_through_a_full_queue() {
    let mut ends = Mesh::connect_with(&doorbells(2), 4);
    let (mut b, mut a) = (ends.pop().unwrap(), ends.pop().unwrap());
    for number in 0..10 {
        a.send(CoreId(1), number);
    }
    assert!(!b.has_inbound(), "nothing is announced before the flush");
    let mut got = Vec::new();
    while a.flush() {
        assert!(b.has_inbound());
        b.receive(|from, number| got.push((from, number)));
    }
    b.receive(|from, number| got.push((from, number)));
    assert_eq!(got, (0..10).map(|number| (CoreId(0), number)).collect::<Vec<_>>());
    assert!(!b.has_inbound() && !a.has_inbound());
    assert_eq!((a.counters().sent, b.counters().received), (10, 10));
}

#[test]
fn more_cores_than_a_word_has_bits() {
    let mut ends = Mesh::connect(&doorbells(70));
    ends[69].send(CoreId(3), 'x');
    ends[1].send(CoreId(3), 'y');
    ends[69].flush();
    ends[1].flush();
    let mut got = Vec::new();
    ends[3].receive(|from, message| got.push((from.0, message)));
    assert_eq!(got, [(1, 'y'), (69, 'x')]);
    assert!(!ends[2].has_inbound());
}

#[test]
fn a_bell_rings_only_for_who_waits() {
    let bells = doorbells(2);
    let mut ends = Mesh::connect(&bells);
    ends[0].send(CoreId(1), ());
    ends[0].flush();
    assert_eq!(ends[0].counters().bells, 0);
    bells[1].begin_wait(crate::runtime::doorbell::WaitingIn::Ring);
    ends[0].send(CoreId(1), ());
    ends[0].send(CoreId(1), ());
    ends[0].flush();
    assert_eq!(ends[0].counters().bells, 1);
}

const STRESS_MESSAGES: u64 = 1_000_000;

/// The other core is never silent for so long, even on a machine with much else to do.
const LOST_AFTER: Duration = Duration::from_secs(20);

/// Two executors send each other numbers, in bursts of a random size, and wait in every way in between. A lost wake-up
/// shows as a wait that only its limit ends.
async fn stress(mut mesh: Mesh<u64>, doorbell: Doorbell, leads: bool) -> (u64, u64) {
    let other = CoreId(1 - mesh.core().0);
    let config = RingConfig { receive_buffers: 2, ..RingConfig::default() };
    let mut ring = Ring::new(&config, doorbell, &[]).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15u64 ^ u64::from(leads);
    let (mut sent, mut expected) = (0u64, 0u64);
    // A ball is in the air until it is answered; a burst of balls is thrown by the leader when all came back.
    let mut in_the_air = 0;
    while expected < STRESS_MESSAGES {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let awaited = if leads { in_the_air == 0 } else { mesh.has_inbound() };
        if awaited && random >> 60 == 0 {
            // Long enough for the other core to fall asleep, in the ring or in the executor.
            let pause_us = random >> 33 & 0xfff;
            std::thread::sleep(Duration::from_micros(pause_us));
        }
        if leads && in_the_air == 0 && sent < STRESS_MESSAGES {
            for _ in 0..(1 << ((random >> 40) % 11)).min(STRESS_MESSAGES - sent) {
                mesh.send(other, sent);
                sent += 1;
                in_the_air += 1;
            }
        }
        let mut answers = Vec::new();
        mesh.receive(|from, number| {
            assert_eq!((from, number), (other, expected), "in order, none lost, none twice");
            expected += 1;
            in_the_air -= u64::from(leads);
            if !leads {
                answers.push(number);
            }
        });
        for number in answers {
            mesh.send(other, number);
        }
        let done = expected == STRESS_MESSAGES;
        // Whose turn it is to throw waits for nobody: nobody would wake it.
        let throws = leads && in_the_air == 0;
        let sleep = if mesh.flush() || done || throws { Sleep::No } else { Sleep::AtMost(LOST_AFTER) };
        let turned = Instant::now();
        ring.turn(sleep, || mesh.has_inbound()).await;
        assert!(turned.elapsed() < LOST_AFTER, "a wake-up was lost at message {expected}");
        while ring.next_completion().is_some() {}
    }
    (ring.counters().naps, ring.counters().sleeps)
}

#[test]
fn a_million_messages_without_a_lost_wake_up() {
    let bells = doorbells(2);
    let mut ends = Mesh::connect(&bells).into_iter();
    let mut threads = Vec::new();
    for (core, bell) in bells.iter().enumerate() {
        let (end, bell) = (ends.next().unwrap(), bell.clone());
        let cpus = crate::runtime::sys::allowed_cpus().unwrap();
        let placement = glommio::Placement::Fixed(cpus[core % cpus.len()]);
        threads.push(crate::runtime::node::executor(placement).spawn(move || stress(end, bell, core == 0)).unwrap());
    }
    for thread in threads {
        let (naps, sleeps) = thread.join().unwrap();
        assert!(naps > 100 && sleeps > 10, "the test waits in both ways: {naps} naps, {sleeps} sleeps");
    }
}
