//! What COMMAND tells: the table's rows, joined with descriptions that only COMMAND needs.

mod bitmaps;
mod category;
mod cluster;
mod command;
mod connection;
mod doc;
mod docs;
mod generic;
mod getkeys;
mod index;
mod info;
mod scripting;
mod server;
mod strings;
mod transactions;

pub use category::categories;
pub use command::{COMMANDS, command};
