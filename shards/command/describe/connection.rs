//! Connections: what COMMAND tells about these commands.

use super::category;
use super::doc::{Doc, block, doc, integer, one_of, string, token};

/// The descriptions of this group.
pub(super) static DOCS: &[Doc] = &[
    doc("auth", "1.0.0", "O(N), N passwords of the user", "Authenticate the connection.")
        .categories(category::CONNECTION)
        .arguments(&[string("username").since("6.0.0").optional(), string("password")]),
    doc("client", "2.4.0", "That of the subcommand", "Container of the commands about connections."),
    doc("client|getname", "2.6.9", "O(1)", "Tell the name of the connection.").categories(category::CONNECTION),
    doc("client|getredir", "6.0.0", "O(1)", "Tell which connection gets this one's invalidations.")
        .categories(category::CONNECTION),
    doc("client|help", "5.0.0", "O(1)", "Describe the subcommands of CLIENT.").categories(category::CONNECTION),
    doc("client|id", "5.0.0", "O(1)", "Tell the number of the connection.").categories(category::CONNECTION),
    doc("client|info", "6.2.0", "O(1)", "Describe the connection.")
        .categories(category::CONNECTION)
        .tips(&["nondeterministic_output"]),
    doc("client|kill", "2.4.0", "O(N), N connections", "Close connections, chosen by what they are.")
        .categories(category::CONNECTION)
        .arguments(&[one_of(
            "filter",
            &[
                string("old-format").shown_as("ip:port").deprecated("2.8.12"),
                one_of(
                    "new-format",
                    &[
                        integer("client-id").token("ID").since("2.8.12").optional(),
                        one_of(
                            "client-type",
                            &[
                                token("normal", "NORMAL"),
                                token("master", "MASTER").since("3.2.0"),
                                token("slave", "SLAVE"),
                                token("replica", "REPLICA").since("5.0.0"),
                                token("pubsub", "PUBSUB"),
                            ],
                        )
                        .token("TYPE")
                        .since("2.8.12")
                        .optional(),
                        string("username").token("USER").optional(),
                        string("addr").token("ADDR").shown_as("ip:port").optional(),
                        string("laddr").token("LADDR").shown_as("ip:port").since("6.2.0").optional(),
                        one_of("skipme", &[token("yes", "YES"), token("no", "NO")]).token("SKIPME").optional(),
                    ],
                )
                .multiple(),
            ],
        )]),
    doc("client|list", "2.4.0", "O(N), N connections", "Describe all connections, or some.")
        .categories(category::CONNECTION)
        .tips(&["nondeterministic_output"])
        .arguments(&[
            one_of(
                "client-type",
                &[
                    token("normal", "NORMAL"),
                    token("master", "MASTER"),
                    token("replica", "REPLICA"),
                    token("pubsub", "PUBSUB"),
                ],
            )
            .token("TYPE")
            .since("5.0.0")
            .optional(),
            integer("client-id").token("ID").since("6.2.0").optional().multiple(),
        ]),
    doc("client|no-evict", "7.0.0", "O(1)", "Keep the connection out of client eviction, or not.")
        .categories(category::CONNECTION)
        .arguments(&[one_of("enabled", &[token("on", "ON"), token("off", "OFF")])]),
    doc("client|no-touch", "7.2.0", "O(1)", "Let the connection's commands count as accesses to keys, or not.")
        .categories(category::CONNECTION)
        .arguments(&[one_of("enabled", &[token("on", "ON"), token("off", "OFF")])]),
    doc("client|pause", "3.0.0", "O(1)", "Hold back commands of all clients for some time.")
        .categories(category::CONNECTION)
        .arguments(&[
            integer("timeout"),
            one_of("mode", &[token("write", "WRITE"), token("all", "ALL")]).since("6.2.0").optional(),
        ]),
    doc("client|reply", "3.2.0", "O(1)", "Choose whether the connection gets replies.")
        .categories(category::CONNECTION)
        .arguments(&[one_of("action", &[token("on", "ON"), token("off", "OFF"), token("skip", "SKIP")])]),
    doc("client|setinfo", "7.2.0", "O(1)", "Tell the server which library the client uses.")
        .categories(category::CONNECTION)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .arguments(&[one_of("attr", &[string("libname").token("LIB-NAME"), string("libver").token("LIB-VER")])]),
    doc("client|setname", "2.6.9", "O(1)", "Name the connection.")
        .categories(category::CONNECTION)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .arguments(&[string("connection-name")]),
    doc("client|trackinginfo", "6.2.0", "O(1)", "Tell how keys are tracked for the connection.")
        .categories(category::CONNECTION),
    doc("client|unblock", "5.0.0", "O(log N), N connections", "End the wait of another connection.")
        .categories(category::CONNECTION)
        .arguments(&[
            integer("client-id"),
            one_of("unblock-type", &[token("timeout", "TIMEOUT"), token("error", "ERROR")]).optional(),
        ]),
    doc("client|unpause", "6.2.0", "O(N), N connections held back", "Let held back clients go on.")
        .categories(category::CONNECTION),
    doc("echo", "1.0.0", "O(1)", "Answer with the argument.")
        .categories(category::CONNECTION)
        .arguments(&[string("message")]),
    doc("hello", "6.0.0", "O(1)", "Choose the protocol, authenticate and name the connection.")
        .categories(category::CONNECTION)
        .arguments(&[block(
            "arguments",
            &[
                integer("protover"),
                block("auth", &[string("username"), string("password")]).token("AUTH").optional(),
                string("clientname").token("SETNAME").optional(),
            ],
        )
        .optional()]),
    doc("ping", "1.0.0", "O(1)", "Answer, to show that the server is there.")
        .categories(category::CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .arguments(&[string("message").optional()]),
    doc("quit", "1.0.0", "O(1)", "Close the connection.")
        .categories(category::CONNECTION)
        .deprecated("7.2.0", "just closing the connection"),
    doc("reset", "6.2.0", "O(1)", "Put the connection back to how it began.").categories(category::CONNECTION),
    doc("select", "1.0.0", "O(1)", "Choose the connection's database.")
        .categories(category::CONNECTION)
        .arguments(&[integer("index")]),
];
