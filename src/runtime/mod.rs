//! The only room that names glommio, io_uring and files.

pub mod directory;
pub mod disk;
pub mod map;
pub mod segment_files;
