//! The wire protocol, pure: bytes of requests become argument slices, replies become bytes. Knows no socket and no command.

mod decoder;
mod double;
mod encoder;
mod error;
mod frames;
mod inline;
mod large;
mod number;
#[cfg(test)]
mod reference;

pub use decoder::{
    ARGUMENTS_MAX, Arguments, BULK_BYTES_MAX_DEFAULT, Decoded, Decoder, LARGE_BULK_BYTES_MIN, LINE_BYTES_MAX,
};
pub use double::{DOUBLE_TEXT_BYTES_MAX, DoubleText};
pub use encoder::WireReply;
pub use error::ProtocolError;
pub use frames::{Frame, FrameError, FrameKind};
pub use large::{LARGE_FIRST_STEP_BYTES, LargeBulk};
pub use number::parse_decimal;
