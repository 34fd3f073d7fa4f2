//! The cluster: what COMMAND tells about these commands.

use super::category;
use super::doc::{Doc, doc, integer, string};

/// The descriptions of this group.
pub(super) static DOCS: &[Doc] = &[
    doc("cluster", "3.0.0", "That of the subcommand", "Container of the commands about the cluster."),
    doc("cluster|countkeysinslot", "3.0.0", "O(1)", "Count the keys of a hash slot.").arguments(&[integer("slot")]),
    doc("cluster|getkeysinslot", "3.0.0", "O(N), N keys returned", "List keys of a hash slot.")
        .tips(&["nondeterministic_output"])
        .arguments(&[integer("slot"), integer("count")]),
    doc("cluster|help", "5.0.0", "O(1)", "Describe the subcommands of CLUSTER."),
    doc("cluster|info", "3.0.0", "O(1)", "Tell the state of the cluster.").tips(&["nondeterministic_output"]),
    doc("cluster|keyslot", "3.0.0", "O(N), N bytes of key", "Tell the hash slot of a key.").arguments(&[string("key")]),
    doc("cluster|myid", "3.0.0", "O(1)", "Tell the id of the node."),
    doc("cluster|myshardid", "7.2.0", "O(1)", "Tell the id of the node's shard.").tips(&["nondeterministic_output"]),
    doc("cluster|nodes", "3.0.0", "O(N), N nodes", "Tell the nodes of the cluster, a line each.")
        .tips(&["nondeterministic_output"]),
    doc("cluster|shards", "7.0.0", "O(N), N nodes", "Tell the shards of the cluster with their slots and nodes.")
        .tips(&["nondeterministic_output"]),
    doc("cluster|slots", "3.0.0", "O(N), N nodes", "Tell which node serves which slots.")
        .tips(&["nondeterministic_output"])
        .deprecated("7.0.0", "`CLUSTER SHARDS`"),
    doc("readonly", "3.0.0", "O(1)", "Let the connection read from a replica.").categories(category::CONNECTION),
    doc("readwrite", "3.0.0", "O(1)", "Take READONLY back.").categories(category::CONNECTION),
    doc("asking", "3.0.0", "O(1)", "Let the next command through to a slot that is being imported.")
        .categories(category::CONNECTION),
];
