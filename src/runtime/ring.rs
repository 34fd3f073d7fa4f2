//! One core's io_uring: its sockets, its log writes, and its sleep.
//!
//! Operations are queued without a system call; [`Ring::turn`] submits all of them and reaps what has completed in one
//! call. Memory that the kernel reads or writes belongs to the ring from the request to its completion: nothing that a
//! caller does, not even dropping the ring, frees it earlier. No operation allocates, apart from tables that grow.
//!
//! A ring belongs to the thread that made it.

mod buffers;
mod cold;
mod completion;
mod drain;
mod reap;
mod setup;
mod sleep;
mod sockets;
#[cfg(test)]
mod tests;
mod user_data;

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Instant;

use io_uring::types::{CancelBuilder, Fd, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use slab::Slab;

pub use buffers::ProvidedBuffer;
pub use cold::{COLD_IN_FLIGHT_MAX, ColdDone, ColdRing};
pub use completion::{Completion, EndReason, ListenerId, SocketId};
pub use setup::{RingConfig, RingError};
pub use sleep::{NAP, Sleep, YIELD_INTERVAL};

use ringkeep_shards::log::AlignedBuffer;

use super::doorbell::Doorbell;
use super::sys;
use buffers::{BUFFER_GROUP, BufferPool};
use sockets::{Receiving, Sending, Sockets};
use user_data::{Kind, pack};

/// One receive or send asks for no more than this; what is longer takes several.
const TRANSFER_BYTES_MAX: usize = 1 << 30;

/// A single write that the kernel takes whole; it would cut a longer one.
pub const LOG_WRITE_BYTES_MAX: usize = 0x7fff_f000;

const _: () = assert!(ringkeep_shards::limits::RECORD_BODY_BYTES_MAX + (512 << 10) <= LOG_WRITE_BYTES_MAX);

/// See the module.
pub struct Ring {
    ring: IoUring,
    buffers: Rc<BufferPool>,
    sockets: Sockets,
    listeners: Vec<Listener>,
    log_writes: Slab<LogWrite>,
    /// Sockets that wait for provided buffers.
    starved: Vec<SocketId>,
    /// Events that need no completion of the kernel's.
    deferred: VecDeque<Completion>,
    reaped: Vec<cqueue::Entry>,
    reaped_next: usize,
    /// Operations whose last completion has not been reaped.
    in_flight: usize,
    doorbell: Doorbell,
    doorbell_armed: bool,
    /// The executor's view of the doorbell, made at the first long sleep.
    executor_file: Option<glommio::io::BufferedFile>,
    timer_expires: Option<Instant>,
    /// What queued timer operations point to; the kernel reads it during the call that submits them.
    timer_span: Box<Timespec>,
    napped_in_vain: bool,
    /// When the executor's other tasks last had a chance to run.
    yielded_at: Instant,
    counters: RingCounters,
}

struct Listener {
    descriptor: Option<OwnedFd>,
    accepting: bool,
    stopping: bool,
}

struct LogWrite {
    buffer: AlignedBuffer,
    token: u64,
    /// Keeps the descriptor open until the kernel has taken the file.
    _file: Rc<File>,
}

/// What a ring has done since it was made.
#[derive(Clone, Copy, Default, Debug)]
pub struct RingCounters {
    /// Calls of the kernel.
    pub calls: u64,
    /// Completions reaped.
    pub completions: u64,
    /// Short waits in the ring.
    pub naps: u64,
    /// Long waits in the executor.
    pub sleeps: u64,
}

impl Ring {
    /// A ring for the calling thread, woken by `doorbell`. Kernel workers on its behalf run on `worker_cpus` (the operating
    /// system's numbers; empty: anywhere), which should leave out the thread's own when there are others.
    ///
    /// # Errors
    /// See [`RingError`].
    pub fn new(config: &RingConfig, doorbell: Doorbell, worker_cpus: &[usize]) -> Result<Self, RingError> {
        let mut ring = setup::build(config)?;
        let buffers = BufferPool::register(&ring, config.receive_buffers, config.receive_buffer_bytes)?;
        ring.submitter().register_eventfd(doorbell.executor_descriptor().as_raw_fd())?;
        ring.completion().disable_eventfd();
        if !worker_cpus.is_empty() {
            // A matter of speed: a kernel that refuses places its workers itself.
            let _ = ring.submitter().register_iowq_aff(&sys::cpu_set(worker_cpus));
        }
        Ok(Self {
            ring,
            buffers,
            sockets: Sockets::default(),
            listeners: Vec::new(),
            log_writes: Slab::new(),
            starved: Vec::new(),
            deferred: VecDeque::new(),
            reaped: Vec::with_capacity(config.completion_entries as usize),
            reaped_next: 0,
            in_flight: 0,
            doorbell,
            doorbell_armed: false,
            executor_file: None,
            timer_expires: None,
            timer_span: Box::new(Timespec::new()),
            napped_in_vain: false,
            yielded_at: Instant::now(),
            counters: RingCounters::default(),
        })
    }

    /// What was done so far.
    pub fn counters(&self) -> RingCounters {
        self.counters
    }

    /// How many sockets the ring drives, those being closed included.
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// Starts to accept connections on a listening socket.
    pub fn listen(&mut self, listener: OwnedFd) -> ListenerId {
        let id = ListenerId(u32::try_from(self.listeners.len()).expect("listeners are few"));
        self.listeners.push(Listener { descriptor: Some(listener), accepting: false, stopping: false });
        self.arm_accept(id);
        id
    }

    /// Accepts again after [`Completion::AcceptFailed`].
    pub fn resume_accepting(&mut self, listener: ListenerId) {
        let state = &self.listeners[listener.0 as usize];
        if !state.accepting && !state.stopping {
            self.arm_accept(listener);
        }
    }

    /// Stops accepting and closes the listener; answered by [`Completion::ListenerClosed`]. Connections that arrive
    /// meanwhile still come out.
    pub fn stop_listening(&mut self, listener: ListenerId) {
        let state = &mut self.listeners[listener.0 as usize];
        if state.stopping {
            return;
        }
        state.stopping = true;
        if state.accepting {
            let target = CancelBuilder::user_data(pack(Kind::Accept, 0, listener.0));
            let cancel = opcode::AsyncCancel2::new(target).build().user_data(pack(Kind::CancelListener, 0, listener.0));
            // SAFETY: a cancellation points to no memory.
            unsafe { self.push(&cancel) };
        } else {
            state.descriptor = None;
            self.deferred.push_back(Completion::ListenerClosed { listener });
        }
    }

    fn arm_accept(&mut self, id: ListenerId) {
        let state = &mut self.listeners[id.0 as usize];
        let descriptor = state.descriptor.as_ref().expect("a listener accepts until it is closed").as_raw_fd();
        state.accepting = true;
        let accept = opcode::AcceptMulti::new(Fd(descriptor)).flags(libc::SOCK_CLOEXEC).build().user_data(pack(
            Kind::Accept,
            0,
            id.0,
        ));
        // SAFETY: a multishot accept points to no memory. The descriptor is open until the accept has ended.
        unsafe { self.push(&accept) };
    }

    /// Takes a connected socket under the ring's care. Nothing is received until [`Self::receive`].
    pub fn attach(&mut self, socket: OwnedFd) -> SocketId {
        self.sockets.insert(socket)
    }

    /// Whether the id is of a socket that is not being closed.
    pub fn is_open(&self, socket: SocketId) -> bool {
        self.sockets.get(socket).is_some_and(|state| !state.closing)
    }

    /// The socket's descriptor, for options and addresses.
    pub fn descriptor(&self, socket: SocketId) -> Option<BorrowedFd<'_>> {
        self.sockets.descriptor(socket)
    }

    /// Receives from now on into provided buffers, until the stream ends or [`Self::pause`] is called. Takes back a pause
    /// that was not answered yet. Does nothing when it receives already, or when the stream has ended.
    ///
    /// # Panics
    /// While a [`Self::receive_into`] is under way.
    pub fn receive(&mut self, socket: SocketId) {
        let state = self.sockets.expect(socket);
        match state.receiving {
            Receiving::Idle if !state.closing => self.arm_receive(socket),
            Receiving::Into(_) => panic!("a socket is received from in one way at a time"),
            // A cancellation may be on its way; the receive that it ends is then armed again.
            Receiving::Armed => state.pausing = false,
            Receiving::Idle | Receiving::Starved | Receiving::Ended => {}
        }
    }

    fn arm_receive(&mut self, socket: SocketId) {
        let state = self.sockets.expect(socket);
        state.receiving = Receiving::Armed;
        state.in_flight += 1;
        let receive = opcode::RecvMulti::new(Fd(state.descriptor.as_raw_fd()), BUFFER_GROUP).build().user_data(pack(
            Kind::Receive,
            socket.generation,
            socket.index,
        ));
        // SAFETY: the kernel writes into provided buffers only, which the pool keeps. The descriptor is open until the
        // socket's last operation has completed.
        unsafe { self.push(&receive) };
    }

    /// Stops receiving. What has arrived already still comes out, then [`Completion::Paused`] (or
    /// [`Completion::ReceiveEnded`], when the stream ended meanwhile).
    pub fn pause(&mut self, socket: SocketId) {
        let state = self.sockets.expect(socket);
        if state.closing || state.pausing {
            return;
        }
        let kind = match state.receiving {
            Receiving::Armed => Kind::Receive,
            Receiving::Into(_) => Kind::ReceiveInto,
            Receiving::Starved | Receiving::Idle | Receiving::Ended => {
                if let Receiving::Starved = state.receiving {
                    state.receiving = Receiving::Idle;
                }
                self.deferred.push_back(Completion::Paused { socket, buffer: None });
                return;
            }
        };
        state.pausing = true;
        state.in_flight += 1;
        let target = CancelBuilder::user_data(pack(kind, socket.generation, socket.index));
        let cancel = opcode::AsyncCancel2::new(target).build().user_data(pack(
            Kind::CancelSocket,
            socket.generation,
            socket.index,
        ));
        // SAFETY: a cancellation points to no memory.
        unsafe { self.push(&cancel) };
    }

    /// Receives up to `bytes` bytes behind the contents of `buffer`, which grows if it must; waits until all of them are
    /// there. For a large value that is known to come; the socket must be paused.
    ///
    /// # Panics
    /// When the socket is receiving already, or `bytes` is zero.
    pub fn receive_into(&mut self, socket: SocketId, mut buffer: Vec<u8>, bytes: usize) {
        assert!(bytes > 0, "an empty receive would look like the end of the stream");
        let state = self.sockets.expect(socket);
        if state.closing {
            return;
        }
        match state.receiving {
            Receiving::Idle => {}
            Receiving::Ended => return,
            _ => panic!("a socket is received from in one way at a time"),
        }
        let bytes = bytes.min(TRANSFER_BYTES_MAX);
        buffer.reserve(bytes);
        let start = buffer.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        state.receiving = Receiving::Into(buffer);
        state.in_flight += 1;
        let receive = opcode::Recv::new(Fd(state.descriptor.as_raw_fd()), start, bytes as u32)
            .flags(libc::MSG_WAITALL)
            .build()
            .user_data(pack(Kind::ReceiveInto, socket.generation, socket.index));
        // SAFETY: the spare capacity holds at least `bytes` bytes; the buffer is the ring's, untouched and unmoved, until
        // the operation has completed (a move of the Vec leaves its heap memory where it is).
        unsafe { self.push(&receive) };
    }

    /// Sends all of `buffer`, in order after what was sent before. One send per socket at a time: wait for
    /// [`Completion::Sent`] or [`Completion::SendFailed`]. On a socket being closed it is dropped.
    ///
    /// # Panics
    /// When a send is under way, or the buffer is empty.
    pub fn send(&mut self, socket: SocketId, buffer: Vec<u8>) {
        assert!(!buffer.is_empty(), "there is something to send");
        let state = self.sockets.expect(socket);
        if state.closing {
            return;
        }
        assert!(state.sending.is_none(), "one send per socket at a time");
        state.sending = Some(Sending { buffer, sent: 0 });
        self.push_send(socket);
    }

    /// Whether a send is under way.
    pub fn is_sending(&self, socket: SocketId) -> bool {
        self.sockets.get(socket).is_some_and(|state| state.sending.is_some())
    }

    fn push_send(&mut self, socket: SocketId) {
        let state = self.sockets.expect(socket);
        let sending = state.sending.as_ref().expect("a send is pushed for a buffer");
        let rest = &sending.buffer[sending.sent..];
        let length = rest.len().min(TRANSFER_BYTES_MAX) as u32;
        state.in_flight += 1;
        let send = opcode::Send::new(Fd(state.descriptor.as_raw_fd()), rest.as_ptr(), length)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .user_data(pack(Kind::Send, socket.generation, socket.index));
        // SAFETY: the bytes lie in a buffer that is the ring's, untouched, until the operation has completed.
        unsafe { self.push(&send) };
    }

    /// Ends both directions at once and closes: what is being sent or received is cut off and its buffers are freed when
    /// the kernel has let go of them. No event of the socket comes out after this but [`Completion::Closed`].
    /// An id that is not valid any more is left alone.
    pub fn close(&mut self, socket: SocketId) {
        let Some(state) = self.sockets.get_mut(socket) else {
            return;
        };
        if state.closing {
            return;
        }
        state.closing = true;
        if state.in_flight == 0 {
            self.deferred.push_back(Completion::Closed { socket });
            return;
        }
        sys::shut_down(state.descriptor.as_fd());
        state.in_flight += 1;
        let target = CancelBuilder::fd(Fd(state.descriptor.as_raw_fd())).all();
        let cancel = opcode::AsyncCancel2::new(target).build().user_data(pack(
            Kind::CancelSocket,
            socket.generation,
            socket.index,
        ));
        // SAFETY: a cancellation points to no memory; the descriptor is open until the socket's last operation completed.
        unsafe { self.push(&cancel) };
    }

    /// Gives the descriptor back, to be attached to another core's ring. The socket must be at rest: paused (and the event
    /// taken), nothing being sent. Nothing of it comes out any more.
    ///
    /// # Panics
    /// When it is not at rest.
    pub fn release(&mut self, socket: SocketId) -> OwnedFd {
        let state = self.sockets.expect(socket);
        assert!(!state.closing && state.sending.is_none(), "a socket is released at rest");
        assert!(matches!(state.receiving, Receiving::Idle | Receiving::Ended), "a socket is released paused");
        self.sockets.remove(socket).descriptor
    }

    /// Whether [`Self::release`] may be called.
    pub fn is_at_rest(&self, socket: SocketId) -> bool {
        self.sockets.get(socket).is_some_and(|state| {
            let receiving = matches!(state.receiving, Receiving::Idle | Receiving::Ended);
            receiving && !state.closing && state.in_flight == 0
        })
    }

    /// Writes `buffer` to a file opened with O_DIRECT at `offset`, durably: [`Completion::LogWritten`] with `token` says
    /// that it survives a power cut. Offset and length must be multiples of the device's logical block.
    ///
    /// # Panics
    /// When the buffer is empty or longer than [`LOG_WRITE_BYTES_MAX`], or something is not a multiple of 512 bytes.
    pub fn write_log(&mut self, file: &Rc<File>, offset: u64, buffer: AlignedBuffer, token: u64) {
        assert!(!buffer.is_empty() && buffer.len() <= LOG_WRITE_BYTES_MAX, "a log write has a sane length");
        let whole = buffer.len().is_multiple_of(512) && offset.is_multiple_of(512);
        assert!(whole, "a log write covers whole blocks");
        let (start, length) = (buffer.as_ptr(), buffer.len() as u32);
        let index = self.log_writes.insert(LogWrite { buffer, token, _file: Rc::clone(file) });
        let write = opcode::Write::new(Fd(file.as_raw_fd()), start, length)
            .offset(offset)
            .rw_flags(libc::RWF_DSYNC)
            .build()
            .user_data(pack(Kind::LogWrite, 0, index as u32));
        // SAFETY: the buffer and the file are in the table of writes, untouched, until the operation has completed.
        unsafe { self.push(&write) };
    }

    /// Queues one operation.
    ///
    /// # Safety
    /// What the entry points to stays valid, and is not accessed against its use, until its last completion is reaped.
    unsafe fn push(&mut self, entry: &squeue::Entry) {
        self.in_flight += 1;
        loop {
            // SAFETY: the caller's promise.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return;
            }
            self.enter(false);
        }
    }
}
