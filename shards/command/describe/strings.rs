//! Strings: what COMMAND tells about these commands.

use super::category;
use super::doc::{Doc, access, block, doc, double, integer, key, one_of, range, string, token, unix_time};

/// The descriptions of this group.
pub(super) static DOCS: &[Doc] = &[
    doc(
        "append",
        "2.0.0",
        "O(1) per byte added, amortized",
        "Add a tail to a string, which is created if it is missing.",
    )
    .categories(category::STRING)
    .keys(&[range(1, 0, 1, access::RW | access::INSERT)])
    .arguments(&[key("key", 0), string("value")]),
    doc("decr", "1.0.0", "O(1)", "Take one off the integer at a key; a missing key counts as 0.")
        .categories(category::STRING)
        .keys(&[range(1, 0, 1, access::RW | access::ACCESS | access::UPDATE)])
        .arguments(&[key("key", 0)]),
    doc("decrby", "1.0.0", "O(1)", "Take a number off the integer at a key; a missing key counts as 0.")
        .categories(category::STRING)
        .keys(&[range(1, 0, 1, access::RW | access::ACCESS | access::UPDATE)])
        .arguments(&[key("key", 0), integer("decrement")]),
    doc("get", "1.0.0", "O(1)", "Read a string.")
        .categories(category::STRING)
        .keys(&[range(1, 0, 1, access::RO | access::ACCESS)])
        .arguments(&[key("key", 0)]),
    doc("getdel", "6.2.0", "O(1)", "Read a string and remove its key.")
        .categories(category::STRING)
        .keys(&[range(1, 0, 1, access::RW | access::ACCESS | access::DELETE)])
        .arguments(&[key("key", 0)]),
    doc("getex", "6.2.0", "O(1)", "Read a string and change when its key expires.")
        .categories(category::STRING)
        .keys(&[range(1, 0, 1, access::RW | access::ACCESS | access::UPDATE).note("UPDATE: the expiry may change")])
        .arguments(&[
            key("key", 0),
            one_of(
                "expiration",
                &[
                    integer("seconds").token("EX"),
                    integer("milliseconds").token("PX"),
                    unix_time("unix-time-seconds").token("EXAT"),
                    unix_time("unix-time-milliseconds").token("PXAT"),
                    token("persist", "PERSIST"),
                ],
            )
            .optional(),
        ]),
    doc("getrange", "2.4.0", "O(N), N bytes read", "Read a part of a string.")
        .categories(category::STRING)
        .keys(&[range(1, 0, 1, access::RO | access::ACCESS)])
        .arguments(&[key("key", 0), integer("start"), integer("end")]),
    doc("getset", "1.0.0", "O(1)", "Write a string and read the one it replaces.")
        .categories(category::STRING)
        .deprecated("6.2.0", "`SET` with the `!GET` argument")
        .keys(&[range(1, 0, 1, access::RW | access::ACCESS | access::UPDATE)])
        .arguments(&[key("key", 0), string("value")]),
    doc("incr", "1.0.0", "O(1)", "Add one to the integer at a key; a missing key counts as 0.")
        .categories(category::STRING)
        .keys(&[range(1, 0, 1, access::RW | access::ACCESS | access::UPDATE)])
        .arguments(&[key("key", 0)]),
    doc("incrby", "1.0.0", "O(1)", "Add a number to the integer at a key; a missing key counts as 0.")
        .categories(category::STRING)
        .keys(&[range(1, 0, 1, access::RW | access::ACCESS | access::UPDATE)])
        .arguments(&[key("key", 0), integer("increment")]),
    doc(
        "incrbyfloat",
        "2.6.0",
        "O(1)",
        "Add a floating point number to the number at a key; a missing key counts as 0.",
    )
    .categories(category::STRING)
    .keys(&[range(1, 0, 1, access::RW | access::ACCESS | access::UPDATE)])
    .arguments(&[key("key", 0), double("increment")]),
    doc("lcs", "7.0.0", "O(N*M), the lengths of both strings", "Find the longest common subsequence of two strings.")
        .categories(category::STRING)
        .keys(&[range(1, 1, 1, access::RO | access::ACCESS)])
        .arguments(&[
            key("key1", 0),
            key("key2", 0),
            token("len", "LEN").optional(),
            token("idx", "IDX").optional(),
            integer("min-match-len").token("MINMATCHLEN").optional(),
            token("withmatchlen", "WITHMATCHLEN").optional(),
        ]),
    doc("mget", "1.0.0", "O(N), N keys", "Read several strings.")
        .categories(category::STRING)
        .tips(&["request_policy:multi_shard"])
        .keys(&[range(1, -1, 1, access::RO | access::ACCESS)])
        .arguments(&[key("key", 0).multiple()]),
    doc("mset", "1.0.1", "O(N), N keys", "Write several strings.")
        .categories(category::STRING)
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .keys(&[range(1, -1, 2, access::OW | access::UPDATE)])
        .arguments(&[block("data", &[key("key", 0), string("value")]).multiple()]),
    doc("msetnx", "1.0.1", "O(N), N keys", "Write several strings if none of their keys exists.")
        .categories(category::STRING)
        .keys(&[range(1, -1, 2, access::OW | access::INSERT)])
        .arguments(&[block("data", &[key("key", 0), string("value")]).multiple()]),
    doc("psetex", "2.6.0", "O(1)", "Write a string that expires after some milliseconds.")
        .categories(category::STRING)
        .deprecated("2.6.12", "`SET` with the `PX` argument")
        .keys(&[range(1, 0, 1, access::OW | access::UPDATE)])
        .arguments(&[key("key", 0), integer("milliseconds"), string("value")]),
    doc(
        "set",
        "1.0.0",
        "O(1)",
        "Write a string, whatever the key held, on conditions and with an expiry if asked for.",
    )
    .categories(category::STRING)
    .keys(&[range(1, 0, 1, access::RW | access::ACCESS | access::UPDATE | access::VARIABLE_FLAGS)
        .note("RW and ACCESS with GET alone")])
    .arguments(&[
        key("key", 0),
        string("value"),
        one_of("condition", &[token("nx", "NX"), token("xx", "XX")]).since("2.6.12").optional(),
        token("get", "GET").since("6.2.0").optional(),
        one_of(
            "expiration",
            &[
                integer("seconds").token("EX").since("2.6.12"),
                integer("milliseconds").token("PX").since("2.6.12"),
                unix_time("unix-time-seconds").token("EXAT").since("6.2.0"),
                unix_time("unix-time-milliseconds").token("PXAT").since("6.2.0"),
                token("keepttl", "KEEPTTL").since("6.0.0"),
            ],
        )
        .optional(),
    ]),
    doc("setex", "2.0.0", "O(1)", "Write a string that expires after some seconds.")
        .categories(category::STRING)
        .deprecated("2.6.12", "`SET` with the `EX` argument")
        .keys(&[range(1, 0, 1, access::OW | access::UPDATE)])
        .arguments(&[key("key", 0), integer("seconds"), string("value")]),
    doc("setnx", "1.0.0", "O(1)", "Write a string if its key does not exist.")
        .categories(category::STRING)
        .deprecated("2.6.12", "`SET` with the `NX` argument")
        .keys(&[range(1, 0, 1, access::OW | access::INSERT)])
        .arguments(&[key("key", 0), string("value")]),
    doc("setrange", "2.2.0", "O(M), M bytes written", "Overwrite a part of a string, which grows if need be.")
        .categories(category::STRING)
        .keys(&[range(1, 0, 1, access::RW | access::UPDATE)])
        .arguments(&[key("key", 0), integer("offset"), string("value")]),
    doc("strlen", "2.2.0", "O(1)", "Tell the length of a string in bytes.")
        .categories(category::STRING)
        .keys(&[range(1, 0, 1, access::RO)])
        .arguments(&[key("key", 0)]),
    doc("substr", "1.0.0", "O(N), N bytes read", "Read a part of a string.")
        .categories(category::STRING)
        .deprecated("2.0.0", "`GETRANGE`")
        .keys(&[range(1, 0, 1, access::RO | access::ACCESS)])
        .arguments(&[key("key", 0), integer("start"), integer("end")]),
];
