//! Cores, sockets, disks and clocks: the only room that names glommio or io_uring.

pub mod background;
pub mod clock;
pub mod connection;
pub mod directory;
pub mod disk;
pub mod doorbell;
pub mod files;
pub mod listen;
pub mod map;
pub mod mesh;
pub mod node;
pub mod reactor;
pub mod ring;
pub mod segment_files;
pub mod segment_lock;
pub mod signals;
pub mod slice_timer;
mod sys;
