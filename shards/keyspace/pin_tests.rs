//! What a pin reads while the tip goes on.

use super::{Keyspace, NewValue, Value};

fn closed(keyspace: &mut Keyspace) {
    let batch = keyspace.close_batch().expect("something was written").batch;
    keyspace.delivered(batch);
}

fn int(version: Option<(Value, u64)>) -> Option<i64> {
    match version {
        Some((Value::Int(number), _)) => Some(number),
        None => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pin_reads_one_state_whatever_is_written_removed_or_flushed() {
    let mut keyspace = Keyspace::new(1, 1 << 20);
    keyspace.set_now(1000);
    keyspace.put(0, b"a", NewValue::Int(1), 0);
    keyspace.put(0, b"b", NewValue::Int(2), 0);
    closed(&mut keyspace);
    let pin = keyspace.pin();
    let before = keyspace.memory_bytes();
    keyspace.put(0, b"a", NewValue::Int(10), 0);
    keyspace.remove(0, b"b");
    keyspace.put(0, b"c", NewValue::Int(3), 0);
    closed(&mut keyspace);
    keyspace.put(0, b"a", NewValue::Int(100), 0);
    keyspace.flush(0);
    keyspace.put(0, b"b", NewValue::Int(200), 0);
    closed(&mut keyspace);
    let read = |keyspace: &Keyspace, key: &[u8]| int(keyspace.at(0, key, pin));
    assert_eq!([b"a", b"b", b"c"].map(|key| read(&keyspace, key)), [Some(1), Some(2), None]);
    keyspace.unpin(pin);
    while keyspace.free_garbage() {}
    assert_eq!(keyspace.len(0), 1);
    assert!(keyspace.memory_bytes() < before, "what only the pin needed is gone");
}
