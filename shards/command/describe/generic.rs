//! Keys: what COMMAND tells about these commands.

use super::category;
use super::doc::{Doc, access, doc, integer, key, one_of, pattern, range, string, token, unix_time};

/// The descriptions of this group.
pub(super) static DOCS: &[Doc] = &[
    doc("copy", "6.2.0", "O(N), N nested elements; O(1) for strings", "Copy a key to another name or database.")
        .categories(category::KEYSPACE)
        .keys(&[range(1, 0, 1, access::RO | access::ACCESS), range(2, 0, 1, access::OW | access::UPDATE)])
        .arguments(&[
            key("source", 0),
            key("destination", 1),
            integer("destination-db").token("DB").optional(),
            token("replace", "REPLACE").optional(),
        ]),
    doc("del", "1.0.0", "O(N), N keys", "Remove keys.")
        .categories(category::KEYSPACE)
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .keys(&[range(1, -1, 1, access::RM | access::DELETE)])
        .arguments(&[key("key", 0).multiple()]),
    doc("exists", "1.0.0", "O(N), N keys", "Count which of some keys exist.")
        .categories(category::KEYSPACE)
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .keys(&[range(1, -1, 1, access::RO)])
        .arguments(&[key("key", 0).multiple()]),
    doc("expire", "1.0.0", "O(1)", "Let a key expire after some seconds.")
        .categories(category::KEYSPACE)
        .keys(&[range(1, 0, 1, access::RW | access::UPDATE)])
        .arguments(&[
            key("key", 0),
            integer("seconds"),
            one_of("condition", &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")])
                .since("7.0.0")
                .optional(),
        ]),
    doc("expireat", "1.2.0", "O(1)", "Let a key expire at a Unix time in seconds.")
        .categories(category::KEYSPACE)
        .keys(&[range(1, 0, 1, access::RW | access::UPDATE)])
        .arguments(&[
            key("key", 0),
            unix_time("unix-time-seconds"),
            one_of("condition", &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")])
                .since("7.0.0")
                .optional(),
        ]),
    doc("expiretime", "7.0.0", "O(1)", "Tell the Unix time in seconds at which a key expires.")
        .categories(category::KEYSPACE)
        .keys(&[range(1, 0, 1, access::RO | access::ACCESS)])
        .arguments(&[key("key", 0)]),
    doc("keys", "1.0.0", "O(N), N keys in the database", "List the keys that match a pattern.")
        .categories(category::KEYSPACE | category::DANGEROUS)
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .arguments(&[pattern("pattern")]),
    doc("move", "1.0.0", "O(1)", "Move a key to another database.")
        .categories(category::KEYSPACE)
        .keys(&[range(1, 0, 1, access::RW | access::ACCESS | access::UPDATE)])
        .arguments(&[key("key", 0), integer("db")]),
    doc("object", "2.2.3", "That of the subcommand", "Container of what can be asked about one key."),
    doc("object|encoding", "2.2.3", "O(1)", "Tell how a value is represented.")
        .categories(category::KEYSPACE)
        .tips(&["nondeterministic_output"])
        .keys(&[range(2, 0, 1, access::RO)])
        .arguments(&[key("key", 0)]),
    doc("object|freq", "4.0.0", "O(1)", "Tell how often a key was accessed of late.")
        .categories(category::KEYSPACE)
        .tips(&["nondeterministic_output"])
        .keys(&[range(2, 0, 1, access::RO)])
        .arguments(&[key("key", 0)]),
    doc("object|help", "6.2.0", "O(1)", "Describe the subcommands of OBJECT.").categories(category::KEYSPACE),
    doc("object|idletime", "2.2.3", "O(1)", "Tell how many seconds ago a key was last accessed.")
        .categories(category::KEYSPACE)
        .tips(&["nondeterministic_output"])
        .keys(&[range(2, 0, 1, access::RO)])
        .arguments(&[key("key", 0)]),
    doc("object|refcount", "2.2.3", "O(1)", "Tell how many references a value has.")
        .categories(category::KEYSPACE)
        .tips(&["nondeterministic_output"])
        .keys(&[range(2, 0, 1, access::RO)])
        .arguments(&[key("key", 0)]),
    doc("persist", "2.2.0", "O(1)", "Take the expiry off a key.")
        .categories(category::KEYSPACE)
        .keys(&[range(1, 0, 1, access::RW | access::UPDATE)])
        .arguments(&[key("key", 0)]),
    doc("pexpire", "2.6.0", "O(1)", "Let a key expire after some milliseconds.")
        .categories(category::KEYSPACE)
        .keys(&[range(1, 0, 1, access::RW | access::UPDATE)])
        .arguments(&[
            key("key", 0),
            integer("milliseconds"),
            one_of("condition", &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")])
                .since("7.0.0")
                .optional(),
        ]),
    doc("pexpireat", "2.6.0", "O(1)", "Let a key expire at a Unix time in milliseconds.")
        .categories(category::KEYSPACE)
        .keys(&[range(1, 0, 1, access::RW | access::UPDATE)])
        .arguments(&[
            key("key", 0),
            unix_time("unix-time-milliseconds"),
            one_of("condition", &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")])
                .since("7.0.0")
                .optional(),
        ]),
    doc("pexpiretime", "7.0.0", "O(1)", "Tell the Unix time in milliseconds at which a key expires.")
        .categories(category::KEYSPACE)
        .keys(&[range(1, 0, 1, access::RO | access::ACCESS)])
        .arguments(&[key("key", 0)]),
    doc("pttl", "2.6.0", "O(1)", "Tell in how many milliseconds a key expires.")
        .categories(category::KEYSPACE)
        .tips(&["nondeterministic_output"])
        .keys(&[range(1, 0, 1, access::RO | access::ACCESS)])
        .arguments(&[key("key", 0)]),
    doc("randomkey", "1.0.0", "O(1)", "Pick some key of the database.").categories(category::KEYSPACE).tips(&[
        "request_policy:all_shards",
        "response_policy:special",
        "nondeterministic_output",
    ]),
    doc("rename", "1.0.0", "O(1)", "Rename a key; what the new name held is lost.")
        .categories(category::KEYSPACE)
        .keys(&[
            range(1, 0, 1, access::RW | access::ACCESS | access::DELETE),
            range(2, 0, 1, access::OW | access::UPDATE),
        ])
        .arguments(&[key("key", 0), key("newkey", 1)]),
    doc("renamenx", "1.0.0", "O(1)", "Rename a key if the new name is free.")
        .categories(category::KEYSPACE)
        .keys(&[
            range(1, 0, 1, access::RW | access::ACCESS | access::DELETE),
            range(2, 0, 1, access::OW | access::INSERT),
        ])
        .arguments(&[key("key", 0), key("newkey", 1)]),
    doc(
        "scan",
        "2.8.0",
        "O(1) a call, O(N) for a whole walk of N keys",
        "Walk through the keys of the database, page by page.",
    )
    .categories(category::KEYSPACE)
    .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"])
    .arguments(&[
        integer("cursor"),
        pattern("pattern").token("MATCH").optional(),
        integer("count").token("COUNT").optional(),
        string("type").token("TYPE").since("6.0.0").optional(),
    ]),
    doc("touch", "3.2.1", "O(N), N keys", "Count which of some keys exist, as an access to them.")
        .categories(category::KEYSPACE)
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .keys(&[range(1, -1, 1, access::RO)])
        .arguments(&[key("key", 0).multiple()]),
    doc("ttl", "1.0.0", "O(1)", "Tell in how many seconds a key expires.")
        .categories(category::KEYSPACE)
        .tips(&["nondeterministic_output"])
        .keys(&[range(1, 0, 1, access::RO | access::ACCESS)])
        .arguments(&[key("key", 0)]),
    doc("type", "1.0.0", "O(1)", "Tell the type of the value at a key.")
        .categories(category::KEYSPACE)
        .keys(&[range(1, 0, 1, access::RO)])
        .arguments(&[key("key", 0)]),
    doc("unlink", "4.0.0", "O(N), N keys; memory is given back later", "Remove keys; memory is given back later.")
        .categories(category::KEYSPACE)
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .keys(&[range(1, -1, 1, access::RM | access::DELETE)])
        .arguments(&[key("key", 0).multiple()]),
    doc("wait", "3.0.0", "O(1)", "Wait until earlier writes of the connection have reached replicas.")
        .categories(category::CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .arguments(&[integer("numreplicas"), integer("timeout")]),
    doc("waitaof", "7.2.0", "O(1)", "Wait until earlier writes of the connection are on disk, here and on replicas.")
        .categories(category::CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .arguments(&[integer("numlocal"), integer("numreplicas"), integer("timeout")]),
];
