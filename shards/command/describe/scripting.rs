//! Scripts: what COMMAND tells about these commands.

use super::category;
use super::doc::{Argument, Doc, access, counted, doc, integer, key, one_of, string, token};

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
    doc("fcall", "7.0.0", "That of the function", "Call a function of a library.")
        .categories(category::SCRIPTING)
        .keys(&[counted(2, access::RW | access::ACCESS | access::UPDATE)
            .note("the function decides; RW and UPDATE is the most it does")])
        .arguments(CALL),
    doc("fcall_ro", "7.0.0", "That of the function", "Call a function of a library that only reads.")
        .categories(category::SCRIPTING)
        .keys(
            &[counted(2, access::RO | access::ACCESS).note("the function decides; RO and ACCESS is the most it does")],
        )
        .arguments(CALL),
    doc("function", "7.0.0", "That of the subcommand", "Container of the commands about libraries of functions."),
    doc("function|delete", "7.0.0", "O(N), N libraries", "Remove a library and its functions.")
        .categories(category::SCRIPTING)
        .tips(CHANGES)
        .arguments(&[string("library-name")]),
    doc("function|dump", "7.0.0", "O(N), N bytes of libraries", "Tell all libraries as one binary payload.")
        .categories(category::SCRIPTING),
    doc("function|flush", "7.0.0", "O(N), N libraries", "Remove all libraries.")
        .categories(category::SCRIPTING)
        .tips(CHANGES)
        .arguments(&[one_of("flush-type", &[token("async", "ASYNC"), token("sync", "SYNC")]).optional()]),
    doc("function|help", "7.0.0", "O(1)", "Describe the subcommands of FUNCTION.").categories(category::SCRIPTING),
    doc("function|kill", "7.0.0", "O(1)", "Stop the function that runs.")
        .categories(category::SCRIPTING)
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    doc("function|list", "7.0.0", "O(N), N functions", "Describe libraries and their functions.")
        .categories(category::SCRIPTING)
        .tips(&["nondeterministic_output_order"])
        .arguments(&[
            string("library-name-pattern").token("LIBRARYNAME").optional(),
            token("withcode", "WITHCODE").optional(),
        ]),
    doc(
        "function|load",
        "7.0.0",
        "O(N), N bytes of the library",
        "Make a library, with the functions that it registers.",
    )
    .categories(category::SCRIPTING)
    .tips(CHANGES)
    .arguments(&[token("replace", "REPLACE").optional(), string("function-code")]),
    doc("function|restore", "7.0.0", "O(N), N bytes of libraries", "Make the libraries of a payload.")
        .categories(category::SCRIPTING)
        .tips(CHANGES)
        .arguments(&[
            string("serialized-value"),
            one_of("policy", &[token("flush", "FLUSH"), token("append", "APPEND"), token("replace", "REPLACE")])
                .optional(),
        ]),
    doc("function|stats", "7.0.0", "O(1)", "Tell which function runs, and how many there are.")
        .categories(category::SCRIPTING)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
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

const CALL: &[Argument] =
    &[string("function"), integer("numkeys"), key("key", 0).optional().multiple(), string("arg").optional().multiple()];
const CHANGES: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];
