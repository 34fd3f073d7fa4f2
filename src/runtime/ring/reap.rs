//! From the kernel's completions to typed events.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use io_uring::cqueue;

use super::completion::{Completion, EndReason, ListenerId, SocketId};
use super::sockets::Receiving;
use super::user_data::{Kind, unpack};
use super::{LogWrite, Ring};

/// Errors of accept that say something about one connection or nothing at all; the listener is as good as before.
fn is_passing_accept_error(number: i32) -> bool {
    !matches!(
        number,
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM
    )
}

impl Ring {
    /// The next event, or `None` when the next [`Self::turn`] is due.
    pub fn next_completion(&mut self) -> Option<Completion> {
        loop {
            if let Some(event) = self.deferred.pop_front() {
                match event {
                    Completion::Closed { socket } => {
                        // Only now is the slot free, so that callers can index by it until they have seen the event.
                        self.sockets.remove(socket);
                    }
                    Completion::Paused { socket, .. } if !self.is_open(socket) => continue,
                    _ => {}
                }
                return Some(event);
            }
            let entry = self.reaped.get(self.reaped_next)?.clone();
            self.reaped_next += 1;
            if let Some(event) = self.interpret(&entry) {
                return Some(event);
            }
        }
    }

    fn interpret(&mut self, entry: &cqueue::Entry) -> Option<Completion> {
        let (kind, generation, index) = unpack(entry.user_data());
        let (result, flags) = (entry.result(), entry.flags());
        let last = !cqueue::more(flags);
        if last {
            self.in_flight -= 1;
        }
        let socket = SocketId { index, generation };
        match kind {
            Kind::Accept => self.accepted(ListenerId(index), result, last),
            Kind::Receive => self.received(socket, result, flags, last),
            Kind::ReceiveInto => self.received_into(socket, result),
            Kind::Send => self.sent(socket, result),
            Kind::CancelSocket => {
                self.sockets.expect(socket).in_flight -= 1;
                self.finish_close(socket)
            }
            Kind::CancelListener | Kind::TimerUpdate => None,
            Kind::LogWrite => Some(self.log_written(index, result)),
            Kind::Doorbell => {
                self.doorbell_armed = !last;
                Some(Completion::Woken)
            }
            Kind::Timer => {
                self.timer_expires = None;
                None
            }
        }
    }

    fn accepted(&mut self, listener: ListenerId, result: i32, last: bool) -> Option<Completion> {
        let state = &mut self.listeners[listener.0 as usize];
        let mut event = None;
        if result >= 0 {
            // SAFETY: the kernel has just made this descriptor for us.
            let socket = unsafe { OwnedFd::from_raw_fd(result) };
            event = Some(Completion::Accepted { listener, socket });
        }
        if !last {
            return event;
        }
        state.accepting = false;
        if state.stopping {
            state.descriptor = None;
            self.deferred
                .push_back(Completion::ListenerClosed { listener });
        } else if result >= 0 || is_passing_accept_error(-result) {
            self.arm_accept(listener);
        } else {
            event = Some(Completion::AcceptFailed {
                listener,
                error: io::Error::from_raw_os_error(-result),
            });
        }
        event
    }

    fn received(
        &mut self,
        socket: SocketId,
        result: i32,
        flags: u32,
        last: bool,
    ) -> Option<Completion> {
        let bytes = cqueue::buffer_select(flags).map(|id| {
            // SAFETY: number and length are of one completion, which is interpreted once.
            unsafe { self.buffers.take(id, result.max(0) as u32) }
        });
        let state = self.sockets.expect(socket);
        if last {
            state.in_flight -= 1;
            state.receiving = Receiving::Idle;
        }
        if state.closing {
            drop(bytes);
            return self.finish_close(socket);
        }
        let pausing = last && state.pausing;
        let event = match result {
            1.. => {
                let bytes = bytes.expect("received bytes are in a provided buffer");
                Some(Completion::Received { socket, bytes })
            }
            0 => return Some(self.receive_ended(socket, EndReason::EndOfStream)),
            _ if !last => None,
            _ => match -result {
                libc::ENOBUFS if !pausing => {
                    state.receiving = Receiving::Starved;
                    self.starved.push(socket);
                    return None;
                }
                libc::ENOBUFS | libc::ECANCELED | libc::EINTR | libc::EAGAIN => None,
                number => {
                    let error = io::Error::from_raw_os_error(number);
                    return Some(self.receive_ended(socket, EndReason::Failed(error)));
                }
            },
        };
        if pausing {
            state.pausing = false;
            self.deferred.push_back(Completion::Paused {
                socket,
                buffer: None,
            });
        } else if last {
            self.arm_receive(socket);
        }
        event
    }

    fn receive_ended(&mut self, socket: SocketId, reason: EndReason) -> Completion {
        let state = self.sockets.expect(socket);
        state.receiving = Receiving::Ended;
        state.pausing = false;
        Completion::ReceiveEnded { socket, reason }
    }

    fn received_into(&mut self, socket: SocketId, result: i32) -> Option<Completion> {
        let state = self.sockets.expect(socket);
        state.in_flight -= 1;
        let Receiving::Into(mut buffer) = std::mem::replace(&mut state.receiving, Receiving::Idle)
        else {
            unreachable!("a receive into a buffer ends while the ring holds that buffer")
        };
        if state.closing {
            return self.finish_close(socket);
        }
        let pausing = std::mem::take(&mut state.pausing);
        match result {
            1.. => {
                let received = result as usize;
                assert!(
                    received <= buffer.capacity() - buffer.len(),
                    "the kernel fills what it was given"
                );
                // SAFETY: the kernel has initialised this many bytes of the spare capacity.
                unsafe { buffer.set_len(buffer.len() + received) };
                if pausing {
                    self.deferred.push_back(Completion::Paused {
                        socket,
                        buffer: None,
                    });
                }
                Some(Completion::ReceivedInto {
                    socket,
                    buffer,
                    received,
                })
            }
            0 => Some(self.receive_ended(socket, EndReason::EndOfStream)),
            _ if [libc::ECANCELED, libc::EINTR, libc::EAGAIN].contains(&-result) => {
                Some(Completion::Paused {
                    socket,
                    buffer: Some(buffer),
                })
            }
            _ => {
                let error = io::Error::from_raw_os_error(-result);
                Some(self.receive_ended(socket, EndReason::Failed(error)))
            }
        }
    }

    fn sent(&mut self, socket: SocketId, result: i32) -> Option<Completion> {
        let state = self.sockets.expect(socket);
        state.in_flight -= 1;
        if state.closing {
            state.sending = None;
            return self.finish_close(socket);
        }
        let sending = state
            .sending
            .as_mut()
            .expect("a send ends while the ring holds its buffer");
        let passing = result < 0 && [libc::EINTR, libc::EAGAIN].contains(&-result);
        if result > 0 || passing {
            sending.sent += result.max(0) as usize;
            if sending.sent < sending.buffer.len() {
                self.push_send(socket);
                return None;
            }
        }
        let buffer = state.sending.take().expect("looked at above").buffer;
        if result > 0 {
            return Some(Completion::Sent { socket, buffer });
        }
        // A send of something that takes nothing cannot go on; the kernel has no such answer for a TCP socket.
        let error = if result == 0 {
            io::ErrorKind::WriteZero.into()
        } else {
            io::Error::from_raw_os_error(-result)
        };
        Some(Completion::SendFailed {
            socket,
            buffer,
            error,
        })
    }

    fn log_written(&mut self, index: u32, result: i32) -> Completion {
        let LogWrite { buffer, token, .. } = self.log_writes.remove(index as usize);
        let result = if result < 0 {
            Err(io::Error::from_raw_os_error(-result))
        } else if result as usize != buffer.len() {
            Err(io::ErrorKind::WriteZero.into())
        } else {
            Ok(())
        };
        Completion::LogWritten {
            token,
            buffer,
            result,
        }
    }

    /// The event that ends a socket being closed, when its last operation has completed.
    fn finish_close(&mut self, socket: SocketId) -> Option<Completion> {
        let state = self.sockets.expect(socket);
        if state.closing && state.in_flight == 0 {
            self.deferred.push_back(Completion::Closed { socket });
        }
        None
    }
}
