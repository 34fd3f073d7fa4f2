//! CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT: the keys of a slot. They scan the shard's database 0.

use crate::command::call::{Arguments, Call};
use crate::command::failure::Failure;
use crate::ids::Slot;
use crate::keyspace::canonical_integer;
use crate::reply::ReplySink;
use crate::slots::{SLOTS, slot_of};

fn slot(number: i64) -> Option<Slot> {
    u16::try_from(number).ok().filter(|&slot| slot < SLOTS).map(Slot)
}

/// `CLUSTER COUNTKEYSINSLOT slot`.
pub(super) fn count(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let number = canonical_integer(arguments[2]).ok_or(Failure::NotInteger)?;
    let slot = slot(number).ok_or(Failure::text("ERR Invalid slot"))?;
    let count = call.keyspace.entries(0).filter(|entry| slot_of(entry.key()) == slot).count();
    reply.integer(count as i64);
    Ok(())
}

/// `CLUSTER GETKEYSINSLOT slot count`.
pub(super) fn get(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let number = canonical_integer(arguments[2]).ok_or(Failure::NotInteger)?;
    let most = canonical_integer(arguments[3]).ok_or(Failure::NotInteger)?;
    let (Some(slot), Ok(most)) = (slot(number), usize::try_from(most)) else {
        return Err(Failure::text("ERR Invalid slot or number of keys"));
    };
    let keys = call.keyspace.entries(0).map(|entry| entry.key()).filter(|key| slot_of(key) == slot);
    let keys: Vec<&[u8]> = keys.take(most).collect();
    reply.array(keys.len());
    for key in keys {
        reply.bulk(key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::TestShard;

    #[test]
    fn keys_of_a_slot() {
        let mut shard = TestShard::new();
        shard.run("MSET {a}1 x {a}2 y b z");
        let slot = slot_of(b"a").0.to_string();
        assert_eq!(shard.run_handler(count, &["CLUSTER", "COUNTKEYSINSLOT", &slot]), ":2");
        assert_eq!(shard.run_handler(count, &["CLUSTER", "COUNTKEYSINSLOT", "0"]), ":0");
        assert_eq!(shard.run_handler(get, &["CLUSTER", "GETKEYSINSLOT", &slot, "0"]), "[]");
        let both = shard.run_handler(get, &["CLUSTER", "GETKEYSINSLOT", &slot, "10"]);
        assert!(both == r#"["{a}1", "{a}2"]"# || both == r#"["{a}2", "{a}1"]"#, "{both}");
        for (line, expected) in [
            ("CLUSTER COUNTKEYSINSLOT x", "-ERR value is not an integer or out of range"),
            ("CLUSTER COUNTKEYSINSLOT 16384", "-ERR Invalid slot"),
            ("CLUSTER COUNTKEYSINSLOT -1", "-ERR Invalid slot"),
        ] {
            assert_eq!(shard.run_handler(count, &line.split(' ').collect::<Vec<_>>()), expected);
        }
        for (line, expected) in [
            ("CLUSTER GETKEYSINSLOT x 1", "-ERR value is not an integer or out of range"),
            ("CLUSTER GETKEYSINSLOT 1 x", "-ERR value is not an integer or out of range"),
            ("CLUSTER GETKEYSINSLOT 16384 1", "-ERR Invalid slot or number of keys"),
            ("CLUSTER GETKEYSINSLOT 1 -1", "-ERR Invalid slot or number of keys"),
        ] {
            assert_eq!(shard.run_handler(get, &line.split(' ').collect::<Vec<_>>()), expected);
        }
    }
}
