//! What the whole-server tests and the load bench share: servers on free ports, a small blocking client, directories that go
//! away by themselves.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part of this")]

mod client;
mod directory;
mod ports;
mod process;
mod random;
mod reply;
mod server;

pub use client::{Client, encode};
pub use directory::{Directory, copy_tree};
pub use ports::PortBlock;
pub use process::{own_cpu_seconds, process_cpu_seconds, status_bytes};
pub use random::Random;
pub use reply::{MalformedReply, Reply};
pub use server::{Kind, Server, ServerOptions, can_mount, reference_binary};

/// A number from the environment, or `default` when it is absent.
///
/// # Panics
/// When the variable is set to something that is no number: a typing error must not quietly become the default.
pub fn number_from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}
