//! The `ringkeep` program.

use ringkeep::runtime::node::{allowed_cpus, prepare_process};
use ringkeep::server::{ServerConfig, serve};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    prepare_process();
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().and_then(|port| port.parse().ok()).unwrap_or(6379);
    let shards: u16 = arguments.next().and_then(|shards| shards.parse().ok()).unwrap_or(1);
    let directory = arguments.next().unwrap_or_else(|| "ringkeep-data".to_owned()).into();
    let cpus = allowed_cpus().expect("the kernel tells which CPUs there are");
    let config = ServerConfig { addresses: vec![([127, 0, 0, 1], port).into()], directory, shards, cpus };
    if let Err(error) = serve(config) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
