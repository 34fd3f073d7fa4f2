//! (doors)
