//! EXEC on the fast path: all its commands in one go, in one shard. A command that fails undoes nothing, as in Redis.

use crate::command::{Arguments, Failure};
use crate::keyspace::{ColdRange, Segments};
use crate::port::ExecItem;
use crate::reply::ReplySink;
use crate::shard::Shard;

/// Runs the commands, one after the other, and writes the array of their replies; `done` is told after each.
///
/// # Errors
/// A range that must be brought in first; the caller undoes everything and runs the whole again.
pub(crate) fn run_exec(
    shard: &mut Shard,
    items: &[ExecItem],
    reply: &mut dyn ReplySink,
    done: &mut dyn FnMut(),
    segments: &dyn Segments,
) -> Result<(), ColdRange> {
    reply.array(items.len());
    for item in items {
        match item {
            ExecItem::Reply { reply: bytes, .. } => reply.encoded(bytes),
            ExecItem::Run { command, db, protocol, arguments } => {
                reply.switch_protocol(*protocol);
                let list: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
                if let Some(text) = shard.refusal(command, &list) {
                    reply.error(text);
                } else {
                    match shard.run_handler(command, *db, Arguments::new(&list), reply, segments) {
                        Ok(()) => {}
                        Err(Failure::Cold(range)) => return Err(range),
                        Err(failure) => failure.write(reply),
                    }
                }
            }
        }
        done();
    }
    Ok(())
}
