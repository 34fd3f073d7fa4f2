//! Cores, sockets, disks and clocks: the only room that names glommio or io_uring.

pub mod background;
pub mod clock;
pub mod connection;
pub mod doorbell;
pub mod files;
pub mod listen;
pub mod mesh;
pub mod node;
pub mod reactor;
pub mod ring;
pub mod signals;
mod sys;
