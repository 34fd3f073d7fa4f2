//! What a hop from core to core costs: a message there and one back, with both cores awake, and with the other one asleep.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use ringkeep::runtime::doorbell::Doorbell;
use ringkeep::runtime::mesh::Mesh;
use ringkeep::runtime::node::{CpuId, Node, allowed_cpus};
use ringkeep::runtime::ring::{Ring, RingConfig, RingError, Sleep};
use ringkeep_shards::ids::CoreId;

/// A core that answers each message.
fn answerer(mesh: Mesh<u64>, doorbell: Doorbell, stop: Arc<AtomicBool>, sleep: Sleep, cpu: CpuId) -> Node {
    let mesh = Mutex::new(Some(mesh));
    Node::start(&[cpu], move |_| {
        let mut mesh = mesh.lock().expect("no panic").take().expect("one core");
        let (doorbell, stop) = (doorbell.clone(), Arc::clone(&stop));
        async move {
            let mut ring = Ring::new(&RingConfig::default(), doorbell, &[])?;
            let mut answers = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                mesh.receive(|from, number| answers.push((from, number)));
                for (from, number) in answers.drain(..) {
                    mesh.send(from, number + 1);
                }
                mesh.flush();
                ring.turn(sleep, || mesh.has_inbound() || stop.load(Ordering::SeqCst)).await;
                while ring.next_completion().is_some() {}
            }
            Ok::<(), RingError>(())
        }
    })
    .expect("an executor starts")
}

fn hop(criterion: &mut Criterion) {
    let cpus = allowed_cpus().expect("the kernel tells the CPUs");
    // Two threads that share a CPU would measure the scheduler: making an executor pins its thread, which is all it is for.
    let pin = glommio::LocalExecutorBuilder::new(glommio::Placement::Fixed(cpus[0].0));
    let _pinned = pin.make().expect("an executor starts");
    for (name, sleep) in [("awake", Sleep::No), ("napping", Sleep::AtMost(Duration::from_millis(1)))] {
        let bells = [Doorbell::new().expect("a descriptor"), Doorbell::new().expect("a descriptor")];
        let mut ends = Mesh::connect(&bells).into_iter();
        let (mut near, far) = (ends.next().expect("two ends"), ends.next().expect("two ends"));
        let stop = Arc::new(AtomicBool::new(false));
        let node = answerer(far, bells[1].clone(), Arc::clone(&stop), sleep, cpus[1 % cpus.len()]);
        criterion.bench_function(&format!("mesh/there and back/{name}"), |bencher| {
            bencher.iter(|| {
                near.send(CoreId(1), 1);
                near.flush();
                let mut answer = 0;
                while answer == 0 {
                    near.receive(|_, number| answer = number);
                    spin_loop();
                }
                assert_eq!(answer, 2);
            });
        });
        stop.store(true, Ordering::SeqCst);
        bells[1].wake();
        node.join().expect("the other core ends well");
    }
    // The work alone, without another core's cache and without waiting.
    let bells = [Doorbell::new().expect("a descriptor"), Doorbell::new().expect("a descriptor")];
    let mut ends = Mesh::connect(&bells).into_iter();
    let (mut near, mut far) = (ends.next().expect("two ends"), ends.next().expect("two ends"));
    criterion.bench_function("mesh/send, flush and receive on one core", |bencher| {
        bencher.iter(|| {
            near.send(CoreId(1), 1u64);
            near.flush();
            let mut got = 0;
            far.receive(|_, number| got += number);
            assert_eq!(got, 1);
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    targets = hop
}
criterion_main!(benches);
