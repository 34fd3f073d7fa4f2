//! What a server costs that has nothing to do, and how soon it is there when it has.

use super::*;

fn thread_cpu_us() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
}

#[test]
fn an_idle_core_with_a_tick_uses_far_below_a_hundredth() {
    in_executor(|| async {
        let mut ring = small_ring(Doorbell::new().unwrap());
        let (socket, _client) = pair(&mut ring).await;
        ring.receive(socket);
        let (started, cpu_us, mut turns) = (Instant::now(), thread_cpu_us(), 0);
        while started.elapsed() < Duration::from_secs(2) {
            ring.turn(Sleep::AtMost(Duration::from_millis(100)), || false).await;
            assert!(ring.next_completion().is_none());
            turns += 1;
        }
        let used_us = thread_cpu_us() - cpu_us;
        assert!(turns < 100, "{turns} turns in 2 s");
        assert!(used_us < 10_000, "{used_us} us of 2 s");
        assert!(ring.counters().sleeps >= 10);
        println!("idle: {used_us} us of CPU in 2 s, {turns} turns");
    })
    .join()
    .unwrap();
}

#[test]
fn a_deadline_is_kept_and_a_shorter_one_replaces_it() {
    in_executor(|| async {
        let mut ring = small_ring(Doorbell::new().unwrap());
        for limit_ms in [300, 50, 20, 100, 1] {
            let limit = Duration::from_millis(limit_ms);
            let started = Instant::now();
            while started.elapsed() < limit {
                ring.turn(Sleep::AtMost(limit - started.elapsed()), || false).await;
                while ring.next_completion().is_some() {}
            }
            assert!(started.elapsed() < limit + Duration::from_millis(250), "{:?} for {limit:?}", started.elapsed());
        }
    })
    .join()
    .unwrap();
}

#[test]
fn a_sleeper_wakes_for_bytes_for_the_bell_and_for_a_stop() {
    let bell = Doorbell::new().unwrap();
    let stop = StopRequest::new(std::slice::from_ref(&bell));
    let stopping = stop.clone();
    let (sender, clients) = channel();
    let thread = in_executor(move || async move {
        let mut ring = small_ring(bell);
        let (socket, client) = pair(&mut ring).await;
        ring.receive(socket);
        sender.send(client).unwrap();
        let mut received = 0;
        while !stopping.is_requested() {
            ring.turn(Sleep::Forever, || stopping.is_requested()).await;
            while let Some(event) = ring.next_completion() {
                if let Completion::Received { bytes, .. } = event {
                    received += bytes.len();
                }
            }
        }
        assert_eq!(received, 3);
        assert!(ring.counters().sleeps >= 3);
    });
    let mut client = clients.recv().unwrap();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(50));
        client.write_all(b"x").unwrap();
    }
    std::thread::sleep(Duration::from_millis(50));
    stop.request();
    thread.join().unwrap();
}

#[test]
fn other_tasks_of_the_executor_run_while_the_foreground_is_busy_and_while_it_sleeps() {
    in_executor(|| async {
        let mut ring = small_ring(Doorbell::new().unwrap());
        let ticks = Rc::new(Cell::new(0));
        let (counted, running) = (Rc::clone(&ticks), Rc::new(Cell::new(true)));
        let goes_on = Rc::clone(&running);
        let background = glommio::spawn_local(async move {
            while goes_on.get() {
                glommio::timer::sleep(Duration::from_millis(1)).await;
                counted.set(counted.get() + 1);
            }
        })
        .detach();
        for sleep in [Sleep::No, Sleep::AtMost(Duration::from_millis(100)), Sleep::AtMost(sleep::NAP)] {
            let (before, started) = (ticks.get(), Instant::now());
            while started.elapsed() < Duration::from_millis(300) {
                ring.turn(sleep, || false).await;
                while ring.next_completion().is_some() {}
            }
            assert!(ticks.get() > before + 10, "{sleep:?}: {} ticks", ticks.get() - before);
        }
        running.set(false);
        background.await;
    })
    .join()
    .unwrap();
}
