//! The shard core with three voters in one process: fixed clocks, logs and a network that the tests drive.

mod cluster;
#[allow(dead_code, reason = "the simulator uses the rest")]
mod disk;
mod history;
mod network;
mod reply;

mod catch_up;
mod chaos;
mod election;
mod expiry;
mod fences;
mod followers;
mod functions;
mod gates;
mod isolated_leader;
mod large_values;
mod refusals;
mod restart;
mod scripts;
mod slices;
mod snapshots;
mod timestamps;
mod watches;
