//! Scripts: what COMMAND tells about these commands.

use super::category;
use super::doc::{Doc, access, counted, doc, integer, key, one_of, string, token};

/// The descriptions of this group.
pub(super) static DOCS: &[Doc] = &[
    doc("eval", "2.6.0", "That of the script", "Run a Lua script.")
        .categories(category::SCRIPTING)
        .keys(&[counted(2, access::RW | access::ACCESS | access::UPDATE)
            .note("the script decides; RW and UPDATE is the most it does")])
        .arguments(&[
            string("script"),
            integer("numkeys"),
            key("key", 0).optional().multiple(),
            string("arg").optional().multiple(),
        ]),
    doc("eval_ro", "7.0.0", "That of the script", "Run a Lua script that only reads.")
        .categories(category::SCRIPTING)
        .keys(&[counted(2, access::RO | access::ACCESS).note("the script decides; RO and ACCESS is the most it does")])
        .arguments(&[
            string("script"),
            integer("numkeys"),
            key("key", 0).optional().multiple(),
            string("arg").optional().multiple(),
        ]),
    doc("evalsha", "2.6.0", "That of the script", "Run a Lua script that is known by its SHA1.")
        .categories(category::SCRIPTING)
        .keys(&[counted(2, access::RW | access::ACCESS | access::UPDATE)])
        .arguments(&[
            string("sha1"),
            integer("numkeys"),
            key("key", 0).optional().multiple(),
            string("arg").optional().multiple(),
        ]),
    doc("evalsha_ro", "7.0.0", "That of the script", "Run a Lua script that only reads and is known by its SHA1.")
        .categories(category::SCRIPTING)
        .keys(&[counted(2, access::RO | access::ACCESS)])
        .arguments(&[
            string("sha1"),
            integer("numkeys"),
            key("key", 0).optional().multiple(),
            string("arg").optional().multiple(),
        ]),
    doc("script", "2.6.0", "That of the subcommand", "Container of the commands about Lua scripts."),
    doc("script|exists", "2.6.0", "O(N), N scripts asked for", "Tell which scripts are known by their SHA1.")
        .categories(category::SCRIPTING)
        .tips(&["request_policy:all_shards", "response_policy:agg_logical_and"])
        .arguments(&[string("sha1").multiple()]),
    doc("script|flush", "2.6.0", "O(N), N scripts known", "Forget all scripts.")
        .categories(category::SCRIPTING)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .arguments(&[one_of("flush-type", &[token("async", "ASYNC"), token("sync", "SYNC")])
            .since("6.2.0")
            .optional()]),
    doc("script|help", "5.0.0", "O(1)", "Describe the subcommands of SCRIPT.").categories(category::SCRIPTING),
    doc("script|kill", "2.6.0", "O(1)", "Stop the scripts that run.")
        .categories(category::SCRIPTING)
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    doc("script|list", "7.2.0", "O(N), N scripts that run", "List the scripts that run. Ringkeep's own.")
        .categories(category::SCRIPTING)
        .tips(&["request_policy:all_shards"]),
    doc("script|load", "2.6.0", "O(N), N bytes of script", "Make a script known and tell its SHA1.")
        .categories(category::SCRIPTING)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .arguments(&[string("script")]),
];
