//! The connections of a core, found by their sockets.

use super::Connection;
use crate::runtime::ring::SocketId;

/// A table beside the ring: a connection lies where its socket does, and ids of the past find nothing.
pub struct Connections<T> {
    slots: Vec<Option<Connection<T>>>,
    count: usize,
}

impl<T> Default for Connections<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            count: 0,
        }
    }
}

impl<T> Connections<T> {
    /// Adds a connection.
    ///
    /// # Panics
    /// When its socket's place is taken: the connection there was not removed when its socket was closed or released.
    pub fn insert(&mut self, connection: Connection<T>) -> &mut Connection<T> {
        let index = connection.socket().index();
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        let slot = &mut self.slots[index];
        assert!(slot.is_none(), "a connection goes when its socket goes");
        self.count += 1;
        slot.insert(connection)
    }

    /// The connection of a socket.
    pub fn get_mut(&mut self, socket: SocketId) -> Option<&mut Connection<T>> {
        self.slots
            .get_mut(socket.index())?
            .as_mut()
            .filter(|connection| connection.socket() == socket)
    }

    /// The connection of a socket, to look at.
    pub fn get(&self, socket: SocketId) -> Option<&Connection<T>> {
        self.slots
            .get(socket.index())?
            .as_ref()
            .filter(|connection| connection.socket() == socket)
    }

    /// Takes a connection out.
    pub fn remove(&mut self, socket: SocketId) -> Option<Connection<T>> {
        self.get(socket)?;
        self.count -= 1;
        self.slots[socket.index()].take()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection<T>> {
        self.slots.iter_mut().flatten()
    }
}
