//! The cluster: what COMMAND tells about these commands.

use super::category;
use super::doc::{Doc, doc, integer, string};

/// The descriptions of this group.
pub(super) static DOCS: &[Doc] = &[
    doc("cluster", "3.0.0", "That of the subcommand", "Container of the commands about the cluster."),
    doc("cluster|addslots", "3.0.0", "O(1)", "Assign slots to the node; refused.")
        .arguments(&[integer("slot").multiple()]),
    doc("cluster|addslotsrange", "7.0.0", "O(1)", "Assign ranges of slots to the node; refused."),
    doc("cluster|bumpepoch", "3.0.0", "O(1)", "Advance the epoch; refused.").tips(&["nondeterministic_output"]),
    doc("cluster|count-failure-reports", "3.0.0", "O(1)", "Count the failure reports about a node.")
        .tips(&["nondeterministic_output"])
        .arguments(&[string("node-id")]),
    doc("cluster|countkeysinslot", "3.0.0", "O(1)", "Count the keys of a hash slot.").arguments(&[integer("slot")]),
    doc("cluster|delslots", "3.0.0", "O(1)", "Take slots from the node; refused.")
        .arguments(&[integer("slot").multiple()]),
    doc("cluster|delslotsrange", "7.0.0", "O(1)", "Take ranges of slots from the node; refused."),
    doc("cluster|failover", "3.0.0", "O(1)", "Make a replica a master; refused."),
    doc("cluster|flushslots", "3.0.0", "O(1)", "Take all slots from the node; refused."),
    doc("cluster|forget", "3.0.0", "O(1)", "Remove a node from the cluster; refused.").arguments(&[string("node-id")]),
    doc("cluster|getkeysinslot", "3.0.0", "O(N), N keys returned", "List keys of a hash slot.")
        .tips(&["nondeterministic_output"])
        .arguments(&[integer("slot"), integer("count")]),
    doc("cluster|help", "5.0.0", "O(1)", "Describe the subcommands of CLUSTER."),
    doc("cluster|info", "3.0.0", "O(1)", "Tell the state of the cluster.").tips(&["nondeterministic_output"]),
    doc("cluster|keyslot", "3.0.0", "O(N), N bytes of key", "Tell the hash slot of a key.").arguments(&[string("key")]),
    doc("cluster|links", "7.0.0", "O(1)", "List the links of the bus.").tips(&["nondeterministic_output"]),
    doc("cluster|meet", "3.0.0", "O(1)", "Bring a node into the cluster; refused."),
    doc("cluster|myid", "3.0.0", "O(1)", "Tell the id of the node."),
    doc("cluster|myshardid", "7.2.0", "O(1)", "Tell the id of the node's shard.").tips(&["nondeterministic_output"]),
    doc("cluster|nodes", "3.0.0", "O(N), N nodes", "Tell the nodes of the cluster, a line each.")
        .tips(&["nondeterministic_output"]),
    doc("cluster|replicas", "5.0.0", "O(N), N nodes", "List the replicas of a node.")
        .tips(&["nondeterministic_output"])
        .arguments(&[string("node-id")]),
    doc("cluster|replicate", "3.0.0", "O(1)", "Make the node a replica; refused.").arguments(&[string("node-id")]),
    doc("cluster|reset", "3.0.0", "O(1)", "Make the node a new one; refused."),
    doc("cluster|saveconfig", "3.0.0", "O(1)", "Write the cluster's configuration; refused."),
    doc("cluster|set-config-epoch", "3.0.0", "O(1)", "Set the node's epoch; refused.")
        .arguments(&[integer("config-epoch")]),
    doc("cluster|setslot", "3.0.0", "O(1)", "Move a slot; refused."),
    doc("cluster|shards", "7.0.0", "O(N), N nodes", "Tell the shards of the cluster with their slots and nodes.")
        .tips(&["nondeterministic_output"]),
    doc("cluster|slaves", "3.0.0", "O(N), N nodes", "List the replicas of a node.")
        .tips(&["nondeterministic_output"])
        .deprecated("5.0.0", "`CLUSTER REPLICAS`")
        .arguments(&[string("node-id")]),
    doc("cluster|slots", "3.0.0", "O(N), N nodes", "Tell which node serves which slots.")
        .tips(&["nondeterministic_output"])
        .deprecated("7.0.0", "`CLUSTER SHARDS`"),
    doc("readonly", "3.0.0", "O(1)", "Let the connection read from a replica.").categories(category::CONNECTION),
    doc("readwrite", "3.0.0", "O(1)", "Take READONLY back.").categories(category::CONNECTION),
    doc("asking", "3.0.0", "O(1)", "Let the next command through to a slot that is being imported.")
        .categories(category::CONNECTION),
];
