//! The cores of a node: one executor each, pinned, started and ended together.
//!
//! A fault of glommio 0.9 is stepped around here and in `ring::sleep`. Its loop polls I/O, arms the preemption timer, and runs
//! the task queues. When the timer fires in between (the thread was descheduled for that long), it runs nothing, takes the
//! queues for empty and parks, though a task is ready; only a foreign event wakes it again. So the timer is set beyond what a
//! scheduler does, nobody may count on `yield_if_needed`, and a timer of every executor rouses it once in a while.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;
use std::time::Duration;

use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement, PoolPlacement};
use ringkeep_shards::ids::CoreId;

use super::sys;

/// A CPU by the operating system's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CpuId(pub usize);

/// When an executor's own preemption timer fires; see the module. Foreground and background tasks make way by themselves:
/// by awaiting I/O or a timer about every millisecond.
const PREEMPT_INTERVAL: Duration = Duration::from_secs(2);

/// How often an executor is roused, should it have parked with a task ready to run.
const ROUSE_INTERVAL: Duration = Duration::from_secs(1);

/// Memory that an executor registers with the kernel for its own file I/O, three times over. Sockets and logs do not use it.
const EXECUTOR_IO_BYTES: usize = 256 << 10;

/// What an executor locks in memory, by and large: its registered buffers and its rings.
const EXECUTOR_LOCKED_BYTES: u64 = 1 << 20;

/// The CPUs that the process may run on: affinity and cgroup considered, ascending.
///
/// # Errors
/// When the kernel does not tell.
pub fn allowed_cpus() -> io::Result<Vec<CpuId>> {
    Ok(sys::allowed_cpus()?.into_iter().map(CpuId).collect())
}

/// Does what costs little while the process has one thread and much later. Call it first thing in `main`.
pub fn prepare_process() {
    sys::register_membarrier();
    sys::raise_memory_lock_limit();
}

/// Why a node did not start, or stopped.
#[derive(Debug)]
pub enum NodeError {
    /// A core's executor cannot be made.
    Start {
        /// The core.
        core: CoreId,
        /// What the executor said, and what to do about it.
        reason: String,
    },
    /// A core's own work ended with an error.
    Core {
        /// The core.
        core: CoreId,
        /// What it said.
        reason: String,
    },
    /// A core's code panicked: the process must not go on, its state is not to be trusted.
    Panicked {
        /// The core.
        core: CoreId,
        /// The panic's message.
        message: String,
    },
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { core, reason } => write!(f, "core {core} cannot start: {reason}"),
            Self::Core { reason, .. } => f.write_str(reason),
            Self::Panicked { core, message } => write!(f, "core {core} panicked: {message}"),
        }
    }
}

impl std::error::Error for NodeError {}

/// The running cores.
pub struct Node {
    handles: Vec<Option<ExecutorJoinHandle<Result<(), NodeError>>>>,
    ends: Receiver<CoreId>,
}

impl Node {
    /// Starts an executor on each of `cpus`, and in it the future that `make` returns for that core. The future may hold
    /// what is not `Send`; it ends the core when it ends.
    ///
    /// # Errors
    /// When a thread cannot be started. What goes wrong inside a core comes out of [`Self::join`].
    pub fn start<F, E>(cpus: &[CpuId], make: impl Fn(CoreId) -> F + Send + Sync + 'static) -> Result<Self, NodeError>
    where
        F: Future<Output = Result<(), E>> + 'static,
        E: fmt::Display + 'static,
    {
        assert!(!cpus.is_empty() && cpus.len() <= usize::from(u16::MAX), "a node has cores, numbered by 16 bits");
        let make = Arc::new(make);
        let (sender, ends) = channel();
        let mut handles = Vec::with_capacity(cpus.len());
        for (index, cpu) in cpus.iter().enumerate() {
            let core = CoreId(index as u16);
            let (make, end) = (Arc::clone(&make), CoreEnd { core, sender: sender.clone() });
            let handle = executor(Placement::Fixed(cpu.0))
                .name(&format!("core-{core}"))
                .spawn(move || {
                    CORE_END.with_borrow_mut(|slot| *slot = Some(end));
                    guarded(core, make)
                })
                .map_err(|error| NodeError::Start { core, reason: explain(&error.to_string(), cpus.len()) })?;
            handles.push(Some(handle));
        }
        Ok(Self { handles, ends })
    }

    /// Waits until all cores have ended, or until one ends badly: then the caller must end the process at once, with an
    /// exit code, as the others go on.
    ///
    /// # Errors
    /// What the first core that did not end well said.
    pub fn join(mut self) -> Result<(), NodeError> {
        for _ in 0..self.handles.len() {
            let core = self.ends.recv().expect("every core announces its end");
            let handle = self.handles[usize::from(core.0)].take().expect("a core ends once");
            match handle.join() {
                Ok(outcome) => outcome?,
                Err(error) => {
                    let reason = explain(&error.to_string(), self.handles.len());
                    return Err(NodeError::Start { core, reason });
                }
            }
        }
        Ok(())
    }
}

/// An executor as the ring needs it; see the module.
pub(super) fn executor(placement: Placement) -> LocalExecutorBuilder {
    LocalExecutorBuilder::new(placement)
        .io_memory(EXECUTOR_IO_BYTES)
        .preempt_timer(PREEMPT_INTERVAL)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
}

/// Rouses the executor once in a while, until the flag is cleared.
async fn rouse(running: Rc<Cell<bool>>) {
    while running.get() {
        glommio::timer::sleep(ROUSE_INTERVAL).await;
    }
}

/// Announces a core's end when it is dropped: with its thread, or with the closure of an executor that was never made.
struct CoreEnd {
    core: CoreId,
    sender: Sender<CoreId>,
}

impl Drop for CoreEnd {
    fn drop(&mut self) {
        // Nobody listens any more when another core ended badly before.
        let _ = self.sender.send(self.core);
    }
}

thread_local! {
    static CORE_END: RefCell<Option<CoreEnd>> = const { RefCell::new(None) };
}

/// The core's future, whose panic becomes its outcome: unwinding through the executor would leave the node waiting.
async fn guarded<F, E>(core: CoreId, make: Arc<impl Fn(CoreId) -> F>) -> Result<(), NodeError>
where
    F: Future<Output = Result<(), E>>,
    E: fmt::Display,
{
    let running = Rc::new(Cell::new(true));
    glommio::spawn_local(rouse(Rc::clone(&running))).detach();
    let mut future = Box::pin(async move { make(core).await });
    let outcome = std::future::poll_fn(move |context| {
        // What the panic left half done is never looked at again.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(outcome)) => {
                Poll::Ready(outcome.map_err(|error| NodeError::Core { core, reason: error.to_string() }))
            }
            Err(payload) => {
                let message = payload
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| payload.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "without a message".to_owned());
                Poll::Ready(Err(NodeError::Panicked { core, message }))
            }
        }
    })
    .await;
    running.set(false);
    outcome
}

/// An executor's error with what to do about it.
fn explain(error: &str, cores: usize) -> String {
    let (soft, _) = sys::memory_lock_limit_bytes();
    let needed = EXECUTOR_LOCKED_BYTES * cores as u64;
    let lowercase = error.to_lowercase();
    if lowercase.contains("memlock") || lowercase.contains("cannot allocate memory") {
        format!(
            "too little lockable memory: the limit is {} KiB, {cores} cores need about {} KiB; raise it with `ulimit -l`, \
             LimitMEMLOCK= or --ulimit memlock= ({error})",
            soft / 1024,
            needed / 1024
        )
    } else if lowercase.contains("not permitted") || lowercase.contains("not implemented") {
        format!(
            "io_uring is not available: allow it in the seccomp profile, or set `sysctl kernel.io_uring_disabled=0` ({error})"
        )
    } else {
        error.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn cpus(count: usize) -> Vec<CpuId> {
        let allowed = allowed_cpus().unwrap();
        (0..count).map(|index| allowed[index % allowed.len()]).collect()
    }

    #[test]
    fn every_core_runs_its_future_on_its_cpu() {
        prepare_process();
        let cpus = cpus(3);
        let ran = Arc::new(AtomicUsize::new(0));
        let (counted, expected) = (Arc::clone(&ran), cpus.clone());
        let node = Node::start(&cpus, move |core| {
            let (counted, cpu) = (Arc::clone(&counted), expected[usize::from(core.0)]);
            async move {
                let not_send = Rc::new(1);
                glommio::timer::sleep(Duration::from_millis(1)).await;
                assert_eq!(allowed_cpus().unwrap(), [cpu]);
                assert!(std::thread::current().name().unwrap().starts_with(&format!("core-{core}")));
                counted.fetch_add(*not_send, Ordering::SeqCst);
                Ok::<(), io::Error>(())
            }
        });
        node.unwrap().join().unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_panic_comes_out_although_other_cores_go_on() {
        let node = Node::start(&cpus(2), |core| async move {
            loop {
                glommio::timer::sleep(Duration::from_millis(5)).await;
                assert!(core.0 == 0, "an invariant of core {core}");
                if core.0 > 7 {
                    return Ok::<(), io::Error>(());
                }
            }
        });
        match node.unwrap().join().unwrap_err() {
            NodeError::Panicked { core: CoreId(1), message } => assert!(message.contains("an invariant of core 1")),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn an_error_of_a_core_comes_out_in_its_own_words() {
        let node = Node::start(&cpus(1), |_| async { Err(io::Error::other("the disk is on fire")) });
        assert_eq!(node.unwrap().join().unwrap_err().to_string(), "the disk is on fire");
    }

    #[test]
    fn errors_tell_what_to_do() {
        assert!(explain("The memlock resource limit is too low: 65536", 4).contains("ulimit -l"));
        assert!(explain("Operation not permitted (os error 1)", 1).contains("io_uring_disabled"));
        assert_eq!(explain("something else", 1), "something else");
    }
}
