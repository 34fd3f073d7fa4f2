//! The server: what COMMAND tells about these commands.

use super::category;
use super::doc::{Doc, access, block, doc, integer, key, one_of, pattern, range, string, token};

/// The descriptions of this group.
pub(super) static DOCS: &[Doc] = &[
    doc("bgsave", "1.0.0", "O(1)", "Write a checkpoint in the background.")
        .arguments(&[token("schedule", "SCHEDULE").since("3.2.2").optional()]),
    doc("command", "2.8.13", "O(N), N commands", "Describe all commands.")
        .categories(category::CONNECTION)
        .tips(&["nondeterministic_output_order"]),
    doc("command|count", "2.8.13", "O(1)", "Count the commands.").categories(category::CONNECTION),
    doc(
        "command|docs",
        "7.0.0",
        "O(N), N commands asked for",
        "Describe commands for people: summary, arguments, history.",
    )
    .categories(category::CONNECTION)
    .tips(&["nondeterministic_output_order"])
    .arguments(&[string("command-name").optional().multiple()]),
    doc("command|getkeys", "2.8.13", "O(N), N arguments", "Find the keys in a full command.")
        .categories(category::CONNECTION)
        .arguments(&[string("command"), string("arg").optional().multiple()]),
    doc(
        "command|getkeysandflags",
        "7.0.0",
        "O(N), N arguments",
        "Find the keys in a full command, and what it does to them.",
    )
    .categories(category::CONNECTION)
    .arguments(&[string("command"), string("arg").optional().multiple()]),
    doc("command|help", "5.0.0", "O(1)", "Describe the subcommands of COMMAND.").categories(category::CONNECTION),
    doc("command|info", "2.8.13", "O(N), N commands asked for", "Describe commands for programs: arity, flags, keys.")
        .categories(category::CONNECTION)
        .tips(&["nondeterministic_output_order"])
        .arguments(&[string("command-name").optional().multiple()]),
    doc("command|list", "7.0.0", "O(N), N commands", "List the names of commands.")
        .categories(category::CONNECTION)
        .tips(&["nondeterministic_output_order"])
        .arguments(&[one_of(
            "filterby",
            &[
                string("module-name").token("MODULE"),
                string("category").token("ACLCAT"),
                pattern("pattern").token("PATTERN"),
            ],
        )
        .token("FILTERBY")
        .optional()]),
    doc("config", "2.0.0", "That of the subcommand", "Container of the commands about settings."),
    doc("config|get", "2.0.0", "O(N), N settings named", "Read settings by name or pattern.")
        .arguments(&[string("parameter").multiple()]),
    doc("config|help", "5.0.0", "O(1)", "Describe the subcommands of CONFIG."),
    doc("config|resetstat", "2.0.0", "O(1)", "Set the statistics back to zero.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    doc("config|rewrite", "2.8.0", "O(1)", "Write the settings in force to the configuration file.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    doc("config|set", "2.0.0", "O(N), N settings named", "Change settings while the server runs.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .arguments(&[block("data", &[string("parameter"), string("value")]).multiple()]),
    doc("dbsize", "1.0.0", "O(1)", "Count the keys of the database.")
        .categories(category::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    doc("debug", "1.0.0", "That of the subcommand", "Container of commands for tests of the server.").system(),
    doc("flushall", "1.0.0", "O(1); memory is given back later", "Remove all keys of all databases.")
        .categories(category::KEYSPACE | category::DANGEROUS)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .arguments(&[one_of(
            "flush-type",
            &[token("async", "ASYNC").since("4.0.0"), token("sync", "SYNC").since("6.2.0")],
        )
        .optional()]),
    doc("flushdb", "1.0.0", "O(1); memory is given back later", "Remove all keys of the database.")
        .categories(category::KEYSPACE | category::DANGEROUS)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .arguments(&[one_of(
            "flush-type",
            &[token("async", "ASYNC").since("4.0.0"), token("sync", "SYNC").since("6.2.0")],
        )
        .optional()]),
    doc("info", "1.0.0", "O(1)", "Tell figures about the server.")
        .categories(category::DANGEROUS)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .arguments(&[string("section").optional().multiple()]),
    doc("lastsave", "1.0.0", "O(1)", "Tell the Unix time of the last checkpoint.")
        .categories(category::ADMIN | category::DANGEROUS)
        .tips(&["nondeterministic_output"]),
    doc("latency", "2.8.13", "That of the subcommand", "Container of the commands about latency."),
    doc("latency|doctor", "2.8.13", "O(1)", "Report on latency in words.").tips(&[
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ]),
    doc("latency|graph", "2.8.13", "O(1)", "Draw the latency of an event.")
        .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"])
        .arguments(&[string("event")]),
    doc("latency|help", "2.8.13", "O(1)", "Describe the subcommands of LATENCY."),
    doc("latency|histogram", "7.0.0", "O(N), N commands asked for", "Tell how the latencies of commands are spread.")
        .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"])
        .arguments(&[string("command").optional().multiple()]),
    doc("latency|history", "2.8.13", "O(1)", "Tell the latency samples of an event.")
        .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"])
        .arguments(&[string("event")]),
    doc("latency|latest", "2.8.13", "O(1)", "Tell the latest latency sample of each event.").tips(&[
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ]),
    doc("latency|reset", "2.8.13", "O(1)", "Forget the latency samples of events.")
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum"])
        .arguments(&[string("event").optional().multiple()]),
    doc("memory", "4.0.0", "That of the subcommand", "Container of the commands about memory."),
    doc("memory|doctor", "4.0.0", "O(1)", "Report on memory in words.").tips(&[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ]),
    doc("memory|help", "4.0.0", "O(1)", "Describe the subcommands of MEMORY."),
    doc("memory|malloc-stats", "4.0.0", "That of the allocator", "Tell the allocator's statistics.").tips(&[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ]),
    doc("memory|purge", "4.0.0", "That of the allocator", "Ask the allocator to give memory back.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    doc("memory|stats", "4.0.0", "O(1)", "Tell how memory is used.").tips(&[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ]),
    doc("memory|usage", "4.0.0", "O(1)", "Estimate the memory that a key takes, in bytes.")
        .keys(&[range(2, 0, 1, access::RO)])
        .arguments(&[key("key", 0), integer("count").token("SAMPLES").optional()]),
    doc("module", "4.0.0", "That of the subcommand", "Container of the commands about modules."),
    doc("module|help", "5.0.0", "O(1)", "Describe the subcommands of MODULE."),
    doc("module|list", "4.0.0", "O(N), N modules", "List the loaded modules.").tips(&["nondeterministic_output_order"]),
    doc("module|load", "4.0.0", "O(1)", "Load a module; refused.").arguments(&[string("path")]),
    doc("module|unload", "4.0.0", "O(1)", "Unload a module; refused.").arguments(&[string("name")]),
    doc("monitor", "1.0.0", "", "Show every command that the server runs."),
    doc("role", "2.8.12", "O(1)", "Tell the server's role in replication.")
        .categories(category::ADMIN | category::DANGEROUS),
    doc("save", "1.0.0", "O(N), N keys", "Write a checkpoint and wait for it."),
    doc("shutdown", "1.0.0", "O(1), or O(N) with a checkpoint of N keys", "Stop the server.").arguments(&[
        one_of("save-selector", &[token("nosave", "NOSAVE"), token("save", "SAVE")]).optional(),
        token("now", "NOW").since("7.0.0").optional(),
        token("force", "FORCE").since("7.0.0").optional(),
        token("abort", "ABORT").since("7.0.0").optional(),
    ]),
    doc("slowlog", "2.2.12", "That of the subcommand", "Container of the commands about the slow log."),
    doc("slowlog|get", "2.2.12", "O(N), N entries returned", "Read entries of the slow log.")
        .tips(&["request_policy:all_nodes", "nondeterministic_output"])
        .arguments(&[integer("count").optional()]),
    doc("slowlog|help", "6.2.0", "O(1)", "Describe the subcommands of SLOWLOG."),
    doc("slowlog|len", "2.2.12", "O(1)", "Count the entries of the slow log.").tips(&[
        "request_policy:all_nodes",
        "response_policy:agg_sum",
        "nondeterministic_output",
    ]),
    doc("slowlog|reset", "2.2.12", "O(N), N entries", "Empty the slow log.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    doc("time", "2.6.0", "O(1)", "Tell the server's time.").tips(&["nondeterministic_output"]),
];
