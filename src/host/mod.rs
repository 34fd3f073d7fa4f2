//! What the machine gives: limits, cores, the kernel's rings, file systems; and what `ringkeep check-host` says about them.

mod check;
mod cores;
mod file_system;
mod finding;
mod limits;
mod ring_probe;
mod service;

pub use check::{check_host, explain_failed_start};
pub use cores::available_cores;
pub use finding::{Finding, Verdict};
pub use limits::{LimitUse, clients_allowed, raise_limits};
pub use service::{PidFile, tell_ready};
