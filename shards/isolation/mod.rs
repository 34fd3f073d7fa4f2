//! Whether transactions are isolated: clients whose requests are open at once, on few keys, against a model that runs them one by one.
//!
//! A shard decides each request at one known moment: a plain command, a fast script or EXEC when it runs, a context that wrote at its
//! commit, one that wrote nothing (or whose writes are undone) at the beginning of its last run. All these lie between the request and
//! its reply. So the transactions are replayed in that order, online, and every reply must be the model's, byte for byte; the whole
//! state must be after each step; and after a crash the state must be one that has all that a reply was released of.

mod model;
mod program;
mod replies;
mod tests;
mod world;
