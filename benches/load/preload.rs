//! Fills a server before it is measured.

use super::requests::{key, value};
use crate::common::{Client, encode};

/// Requests in one go: enough that a durable server's disk is not what this waits for.
const REQUESTS_PER_BATCH: usize = 2_000;

/// Writes `keys` keys with values of `value_bytes`.
///
/// # Errors
/// When the server refuses one, or does not hold them all afterwards.
pub fn fill(port: u16, keys: usize, value_bytes: usize) -> Result<(), String> {
    fill_named(port, keys, value_bytes, key)?;
    let mut client = Client::connect(port);
    for number in [0, keys / 2, keys - 1] {
        let reply = client.command(&["GET", &key(number)]);
        if reply.bytes() != Some(value(number, value_bytes).as_slice()) {
            return Err(format!("{} holds {reply:?} after {keys} keys were written", key(number)));
        }
    }
    Ok(())
}

/// Writes `count` keys called by `name`, with values of `value_bytes`.
///
/// # Errors
/// When the server refuses one.
pub fn fill_named(port: u16, count: usize, value_bytes: usize, name: impl Fn(usize) -> String) -> Result<(), String> {
    let mut client = Client::try_connect(port).map_err(|error| error.to_string())?;
    // Large values go in smaller batches: what is under way is bounded in bytes, too.
    let batch = REQUESTS_PER_BATCH.min(((4 << 20) / value_bytes).max(1));
    let mut bytes = Vec::new();
    for first in (0..count).step_by(batch) {
        let last = (first + batch).min(count);
        bytes.clear();
        for number in first..last {
            encode(&mut bytes, &[b"SET", name(number).as_bytes(), &value(number, value_bytes)]);
        }
        client.try_send_raw(&bytes).map_err(|error| format!("preloading: {error}"))?;
        for _ in first..last {
            match client.try_reply() {
                Ok(Some((reply, _))) if reply.is_ok() => {}
                Ok(reply) => return Err(format!("preloading: {:?}", reply.map(|(reply, _)| reply))),
                Err(error) => return Err(format!("preloading: {error}")),
            }
        }
    }
    Ok(())
}
