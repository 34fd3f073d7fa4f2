//! Ringkeep.
