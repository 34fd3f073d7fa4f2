//! The sockets that a ring drives: what each is doing, and who owns the memory meanwhile.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::completion::SocketId;
use super::user_data::GENERATION_MASK;

/// What a socket's receiving side does.
pub(super) enum Receiving {
    /// Nothing was asked for.
    Idle,
    /// A multishot receive is with the kernel.
    Armed,
    /// It ended for want of provided buffers and starts again when some come back.
    Starved,
    /// One receive into this buffer is with the kernel.
    Into(Vec<u8>),
    /// The stream has ended or failed.
    Ended,
}

/// A send with the kernel: the bytes from `sent` on are still to go.
pub(super) struct Sending {
    pub(super) buffer: Vec<u8>,
    pub(super) sent: usize,
}

pub(super) struct Socket {
    pub(super) descriptor: OwnedFd,
    pub(super) receiving: Receiving,
    /// A pause was asked for and not yet answered.
    pub(super) pausing: bool,
    pub(super) sending: Option<Sending>,
    /// Operations whose last completion is still to come. The slot stays until this is zero.
    pub(super) in_flight: u32,
    pub(super) closing: bool,
}

struct Slot {
    generation: u32,
    socket: Option<Socket>,
}

/// A slab with generations.
#[derive(Default)]
pub(super) struct Sockets {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Sockets {
    pub(super) fn insert(&mut self, descriptor: OwnedFd) -> SocketId {
        let socket = Socket {
            descriptor,
            receiving: Receiving::Idle,
            pausing: false,
            sending: None,
            in_flight: 0,
            closing: false,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                socket: None,
            });
            u32::try_from(self.slots.len() - 1).expect("descriptors are fewer than 2^32")
        });
        let slot = &mut self.slots[index as usize];
        assert!(
            slot.socket.replace(socket).is_none(),
            "a free slot holds no socket"
        );
        SocketId {
            index,
            generation: slot.generation,
        }
    }

    /// Takes a socket out; its id is invalid from now on.
    pub(super) fn remove(&mut self, id: SocketId) -> Socket {
        let slot = &mut self.slots[id.index as usize];
        assert!(slot.generation == id.generation, "a socket is removed once");
        let socket = slot.socket.take().expect("a socket is removed once");
        assert!(
            socket.in_flight == 0,
            "a socket leaves after its last operation"
        );
        slot.generation = (slot.generation + 1) & GENERATION_MASK;
        self.free.push(id.index);
        socket
    }

    pub(super) fn get(&self, id: SocketId) -> Option<&Socket> {
        let slot = self.slots.get(id.index as usize)?;
        if slot.generation == id.generation {
            slot.socket.as_ref()
        } else {
            None
        }
    }

    pub(super) fn get_mut(&mut self, id: SocketId) -> Option<&mut Socket> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation == id.generation {
            slot.socket.as_mut()
        } else {
            None
        }
    }

    /// # Panics
    /// When the id is not of an open socket: the caller kept it beyond `Closed` or `release`.
    pub(super) fn expect(&mut self, id: SocketId) -> &mut Socket {
        self.get_mut(id)
            .expect("an id is not used after its socket was closed or released")
    }

    pub(super) fn descriptor(&self, id: SocketId) -> Option<BorrowedFd<'_>> {
        self.get(id).map(|socket| socket.descriptor.as_fd())
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn descriptor() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn an_old_id_does_not_find_the_new_socket_of_its_slot() {
        let mut sockets = Sockets::default();
        let old = sockets.insert(descriptor());
        let other = sockets.insert(descriptor());
        sockets.remove(old);
        let new = sockets.insert(descriptor());
        assert_eq!(new.index, old.index);
        assert!(
            sockets.get(old).is_none()
                && sockets.get(new).is_some()
                && sockets.get(other).is_some()
        );
        assert_eq!(sockets.len(), 2);
    }

    #[test]
    fn generations_wrap_within_their_bits() {
        let mut sockets = Sockets::default();
        let id = sockets.insert(descriptor());
        sockets.slots[0].generation = GENERATION_MASK;
        let socket = sockets.remove(SocketId {
            index: id.index,
            generation: GENERATION_MASK,
        });
        assert_eq!(sockets.insert(socket.descriptor).generation, 0);
    }
}
