//! Requests made before the clock runs: the load only chooses where to start reading.

use super::scanner::Expected;
use crate::common::{Random, encode};

/// The size of the values of every row that does not say otherwise.
pub const VALUE_BYTES: usize = 64;
/// Keys in all the requests of one pool: enough that a server's caches see the whole keyspace.
const KEYS_PER_POOL: usize = 1 << 17;
/// Keys of a script, and of an MGET.
pub const SCRIPT_KEYS: usize = 7;
/// The script of the table's row.
pub const SEVEN_GETS: &str = "local r={} for i=1,7 do r[i]=redis.call('GET',KEYS[i]) end return r";
/// The smallest script that reads.
pub const ONE_GET: &str = "return redis.call('GET',KEYS[1])";

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Workload {
    /// GET
    Get,
    /// SET
    Set,
    /// One SET to nine GETs.
    Mixed,
    /// INCR, on keys of its own.
    Incr,
    /// MGET of seven keys.
    Mget,
    /// EVALSHA of [`SEVEN_GETS`].
    SevenGets,
    /// EVALSHA of [`ONE_GET`].
    OneGet,
}

/// A ring of prepared requests and what their replies look like.
pub struct RequestPool {
    bytes: Vec<u8>,
    /// Where each request starts; one more than there are requests.
    starts: Vec<usize>,
    /// What comes back.
    pub expected: Expected,
}

/// The name of a key.
pub fn key(number: usize) -> String {
    format!("key:{number:012}")
}

/// A value that says which key it was written for, so that no two are alike.
pub fn value(number: usize, bytes: usize) -> Vec<u8> {
    let mut value = format!("{number:016}").into_bytes();
    value.resize(bytes.max(16), b'x');
    value.truncate(bytes);
    value
}

impl RequestPool {
    /// Prepares a workload over the keys of `choose`. `digest` is the loaded script's, for those that need one.
    pub fn new(workload: Workload, digest: &str, mut choose: impl FnMut(&mut Random) -> usize) -> RequestPool {
        let mut random = Random::new(workload as u64 + 1);
        let keys_per_request = match workload {
            Workload::Mget | Workload::SevenGets => SCRIPT_KEYS,
            _ => 1,
        };
        let mut pool = RequestPool { bytes: Vec::new(), starts: vec![0], expected: workload.expected() };
        for request in 0..KEYS_PER_POOL / keys_per_request {
            let keys: Vec<String> = (0..keys_per_request).map(|_| key(choose(&mut random))).collect();
            let text = value(request, VALUE_BYTES);
            let (get, set) = ([&b"GET"[..], keys[0].as_bytes()], [&b"SET"[..], keys[0].as_bytes(), &text]);
            match workload {
                Workload::Get => encode(&mut pool.bytes, &get),
                Workload::Set => encode(&mut pool.bytes, &set),
                Workload::Mixed if random.one_in(10) => encode(&mut pool.bytes, &set),
                Workload::Mixed => encode(&mut pool.bytes, &get),
                Workload::Incr => encode(&mut pool.bytes, &["INCR", &format!("counter:{}", keys[0])]),
                Workload::Mget => pool.push_with_keys(&["MGET"], &keys),
                Workload::SevenGets => pool.push_with_keys(&["EVALSHA", digest, "7"], &keys),
                Workload::OneGet => pool.push_with_keys(&["EVALSHA", digest, "1"], &keys),
            }
            pool.starts.push(pool.bytes.len());
        }
        pool
    }

    /// GETs of values of another size than usual, under names of their own.
    pub fn gets(names: impl Iterator<Item = String>, value_bytes: usize) -> RequestPool {
        let expected = Expected { bulk_bytes: Some(value_bytes), ..Expected::default() };
        let mut pool = RequestPool { bytes: Vec::new(), starts: vec![0], expected };
        for name in names {
            encode(&mut pool.bytes, &["GET", &name]);
            pool.starts.push(pool.bytes.len());
        }
        assert!(pool.len() > 0, "a pool of nothing");
        pool
    }

    /// One request, again and again.
    pub fn same(list: &[&str], expected: Expected) -> RequestPool {
        let mut pool = RequestPool { bytes: Vec::new(), starts: vec![0], expected };
        for _ in 0..64 {
            encode(&mut pool.bytes, list);
            pool.starts.push(pool.bytes.len());
        }
        pool
    }

    fn push_with_keys(&mut self, head: &[&str], keys: &[String]) {
        let arguments: Vec<&str> = head.iter().copied().chain(keys.iter().map(String::as_str)).collect();
        encode(&mut self.bytes, &arguments);
    }

    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The bytes of `count` requests from the `first` on.
    pub fn batch(&self, first: usize, count: usize) -> &[u8] {
        &self.bytes[self.starts[first]..self.starts[first + count]]
    }
}

impl Workload {
    /// The script that it runs.
    pub fn script(self) -> Option<&'static str> {
        match self {
            Workload::SevenGets => Some(SEVEN_GETS),
            Workload::OneGet => Some(ONE_GET),
            _ => None,
        }
    }

    fn expected(self) -> Expected {
        let bulk_bytes = Some(VALUE_BYTES);
        match self {
            Workload::Get | Workload::OneGet => Expected { bulk_bytes, ..Expected::default() },
            Workload::Set => Expected { simple: true, ..Expected::default() },
            Workload::Mixed => Expected { bulk_bytes, simple: true, ..Expected::default() },
            Workload::Incr => Expected { integer: true, ..Expected::default() },
            Workload::Mget | Workload::SevenGets => {
                Expected { bulk_bytes, elements: Some(SCRIPT_KEYS), ..Expected::default() }
            }
        }
    }
}
