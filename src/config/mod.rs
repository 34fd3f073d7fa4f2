//! Settings: redis.conf's syntax and names, parsed once into [`Config`].
//!
//! [`table`] has one row per setting of Redis 7.2 and of Ringkeep's own. [`ConfigStore`] holds a value per row, answers CONFIG
//! GET and SET in Redis's words, and derives the typed [`Config`], the only thing that the rest of the program reads.

mod error;
mod kind;
mod load;
mod number;
mod output_limits;
mod redis_words;
mod rewrite;
mod store;
mod table;
mod typed;
mod value;

pub use error::{ConfigError, Origin, RewriteError, SetError, ValueError};
pub use load::{Override, Source, load};
pub use output_limits::{OutputLimit, OutputLimits};
pub use store::{Change, ConfigStore};
pub use typed::{
    Announce, BindAddress, Config, DebugCommand, EndpointType, LogLimits, ScriptLimits, ShardCount, ShardPorts,
    Supervision,
};
