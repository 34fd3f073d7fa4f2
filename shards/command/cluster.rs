//! CLUSTER: on a shard's port each shard is a master node of a Redis Cluster; on the server's port there is no cluster.

use crate::command::cluster_keys;
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::command::help;
use crate::command::host::{ConnectionHost, Endpoint, PreferredEndpoint};
use crate::command::row::{container, row};
use crate::command::session::{Door, Session};
use crate::ids::ShardId;
use crate::reply::ReplySink;
use crate::slots::{SLOTS, slot_of};
use std::fmt::Write;

/// What cluster commands answer on the server's port.
pub const CLUSTER_DISABLED: &str = "ERR This instance has cluster support disabled";

/// Runs what Redis refuses outside of a cluster: CLUSTER's subcommands, READONLY, READWRITE, ASKING.
pub(super) fn cluster(
    command: &Command,
    session: &Session,
    host: &dyn ConnectionHost,
    list: &[&[u8]],
    reply: &mut dyn ReplySink,
) -> Result<(), Failure> {
    let Door::Shard(own) = session.door else { return Err(Failure::text(CLUSTER_DISABLED)) };
    match command.name {
        // Every shard is a master and no slot is ever imported: what these allow is the case anyway.
        "readonly" | "readwrite" | "asking" => reply.ok(),
        "cluster|myid" => reply.bulk(node_id(host.name(), own).as_bytes()),
        "cluster|myshardid" => reply.bulk(digest(host.name(), "shard", own).as_bytes()),
        "cluster|keyslot" => reply.integer(i64::from(slot_of(list[2]).0)),
        "cluster|info" => reply.verbatim(*b"txt", info(host, own).as_bytes()),
        "cluster|nodes" => reply.verbatim(*b"txt", nodes(host, own).as_bytes()),
        "cluster|slots" => slots(host, reply),
        "cluster|shards" => shards(host, reply),
        "cluster|links" => reply.array(0),
        "cluster|replicas" | "cluster|slaves" => {
            known_node(host, list[2])?;
            reply.array(0);
        }
        "cluster|count-failure-reports" => {
            known_node(host, list[2])?;
            reply.integer(0);
        }
        "cluster|help" => help::write(reply, "CLUSTER", HELP),
        name => {
            let name = name.to_uppercase().replace('|', " ");
            return Err(Failure::said(format!(
                "ERR {name} is refused: slots and nodes are fixed when a data directory is made"
            )));
        }
    }
    Ok(())
}

/// The id of a shard as a cluster's node: 40 hexadecimal digits, the same as long as the node keeps its name.
pub fn node_id(name: &str, shard: ShardId) -> String {
    digest(name, "node", shard)
}

fn digest(name: &str, what: &str, shard: ShardId) -> String {
    sha1_smol::Sha1::from(format!("{name} {what} {shard}")).digest().to_string()
}

fn all_shards(host: &dyn ConnectionHost) -> impl Iterator<Item = ShardId> {
    (0..host.shards()).map(ShardId)
}

fn known_node(host: &dyn ConnectionHost, id: &[u8]) -> Result<(), Failure> {
    if all_shards(host).any(|shard| node_id(host.name(), shard).as_bytes() == id) {
        return Ok(());
    }
    Err(Failure::quoting("ERR Unknown node ", id, ""))
}

/// Each shard has an epoch of its own, as Redis's masters have.
fn epoch(shard: ShardId) -> u32 {
    u32::from(shard.0) + 1
}

fn info(host: &dyn ConnectionHost, own: ShardId) -> String {
    let shards = host.shards();
    let epoch = epoch(own);
    format!(
        "cluster_state:ok\r\ncluster_slots_assigned:{SLOTS}\r\ncluster_slots_ok:{SLOTS}\r\ncluster_slots_pfail:0\r\n\
         cluster_slots_fail:0\r\ncluster_known_nodes:{shards}\r\ncluster_size:{shards}\r\n\
         cluster_current_epoch:{shards}\r\ncluster_my_epoch:{epoch}\r\ncluster_stats_messages_sent:0\r\n\
         cluster_stats_messages_received:0\r\ntotal_cluster_links_buffer_limit_exceeded:0\r\n"
    )
}

/// A line for each node. The port behind the `@` is 0: nodes do not talk over Redis's bus.
fn nodes(host: &dyn ConnectionHost, own: ShardId) -> String {
    let mut text = String::new();
    for shard in all_shards(host) {
        let Endpoint { ip, hostname, port, .. } = host.endpoint(shard);
        let id = node_id(host.name(), shard);
        let comma = if hostname.is_empty() { "" } else { "," };
        let (myself, heard_ms) = if shard == own { ("myself,", 0) } else { ("", host.unix_us() / 1000) };
        let slots = host.slots(shard);
        let (epoch, first, last) = (epoch(shard), slots.start, slots.end - 1);
        let slots = if first == last { first.to_string() } else { format!("{first}-{last}") };
        writeln!(text, "{id} {ip}:{port}@0{comma}{hostname} {myself}master - 0 {heard_ms} {epoch} connected {slots}")
            .expect("a string takes all");
    }
    text
}

fn slots(host: &dyn ConnectionHost, reply: &mut dyn ReplySink) {
    reply.array(usize::from(host.shards()));
    for shard in all_shards(host) {
        let range = host.slots(shard);
        let endpoint = host.endpoint(shard);
        reply.array(3);
        reply.integer(i64::from(range.start));
        reply.integer(i64::from(range.end) - 1);
        reply.array(4);
        match endpoint.name() {
            Some(name) => reply.bulk(name.as_bytes()),
            None => reply.null(),
        }
        reply.integer(i64::from(endpoint.port));
        reply.bulk(node_id(host.name(), shard).as_bytes());
        let ip = (endpoint.preferred != PreferredEndpoint::Ip).then_some(("ip", &endpoint.ip));
        let hostname = (endpoint.preferred != PreferredEndpoint::Hostname && !endpoint.hostname.is_empty())
            .then_some(("hostname", &endpoint.hostname));
        reply.map(ip.iter().count() + hostname.iter().count());
        for (field, text) in ip.into_iter().chain(hostname) {
            reply.bulk(field.as_bytes());
            reply.bulk(text.as_bytes());
        }
    }
}

fn shards(host: &dyn ConnectionHost, reply: &mut dyn ReplySink) {
    reply.array(usize::from(host.shards()));
    for shard in all_shards(host) {
        let range = host.slots(shard);
        let endpoint = host.endpoint(shard);
        reply.map(2);
        reply.bulk(b"slots");
        reply.array(2);
        reply.integer(i64::from(range.start));
        reply.integer(i64::from(range.end) - 1);
        reply.bulk(b"nodes");
        reply.array(1);
        let mut texts = vec![("ip", endpoint.ip.as_str()), ("endpoint", endpoint.name().unwrap_or(""))];
        if !endpoint.hostname.is_empty() {
            texts.push(("hostname", &endpoint.hostname));
        }
        texts.push(("role", "master"));
        reply.map(texts.len() + 4);
        reply.bulk(b"id");
        reply.bulk(node_id(host.name(), shard).as_bytes());
        reply.bulk(b"port");
        reply.integer(i64::from(endpoint.port));
        for (field, text) in texts {
            reply.bulk(field.as_bytes());
            reply.bulk(text.as_bytes());
        }
        reply.bulk(b"replication-offset");
        reply.integer(0);
        reply.bulk(b"health");
        reply.bulk(b"online");
    }
}

const HELP: &[(&str, &str)] = &[
    ("COUNT-FAILURE-REPORTS <node-id>", "Count the failure reports about a node: none."),
    ("COUNTKEYSINSLOT <slot>", "Count the keys of a hash slot."),
    ("GETKEYSINSLOT <slot> <count>", "List keys of a hash slot."),
    ("INFO", "Tell the state of the cluster."),
    ("KEYSLOT <key>", "Tell the hash slot of a key."),
    ("LINKS", "List the links of Redis's bus: there are none."),
    ("MYID", "Tell the id of the node."),
    ("MYSHARDID", "Tell the id of the node's shard."),
    ("NODES", "Tell the nodes of the cluster, a line each."),
    ("REPLICAS <node-id>", "List a node's replicas."),
    ("SHARDS", "Tell the shards of the cluster with their slots and nodes."),
    ("SLOTS", "Tell which node serves which slots."),
];

const ADMIN: u32 = flag::ADMIN | flag::STALE;
const CHANGE: u32 = ADMIN | flag::NO_ASYNC_LOADING;

const fn own(name: &'static str, arity: i16, flags: u32) -> Command {
    row(name, arity, flags, Keys::None, Run::Connection)
}

const SUBCOMMANDS: &[Command] = &[
    own("cluster|addslots", -3, CHANGE),
    own("cluster|addslotsrange", -4, CHANGE),
    own("cluster|bumpepoch", 2, CHANGE),
    own("cluster|count-failure-reports", 3, ADMIN),
    row("cluster|countkeysinslot", 3, flag::STALE, Keys::None, Run::Walk(cluster_keys::count)),
    own("cluster|delslots", -3, CHANGE),
    own("cluster|delslotsrange", -4, CHANGE),
    own("cluster|failover", -2, CHANGE),
    own("cluster|flushslots", 2, CHANGE),
    own("cluster|forget", 3, CHANGE),
    row("cluster|getkeysinslot", 4, flag::STALE, Keys::None, Run::Walk(cluster_keys::get)),
    own("cluster|help", 2, flag::LOADING | flag::STALE),
    own("cluster|info", 2, flag::STALE),
    own("cluster|keyslot", 3, flag::STALE),
    own("cluster|links", 2, flag::STALE),
    own("cluster|meet", -4, CHANGE),
    own("cluster|myid", 2, flag::STALE),
    own("cluster|myshardid", 2, flag::STALE),
    own("cluster|nodes", 2, flag::STALE),
    own("cluster|replicas", 3, ADMIN),
    own("cluster|replicate", 3, CHANGE),
    own("cluster|reset", -2, ADMIN | flag::NOSCRIPT),
    own("cluster|saveconfig", 2, CHANGE),
    own("cluster|set-config-epoch", 3, CHANGE),
    own("cluster|setslot", -4, CHANGE),
    own("cluster|shards", 2, flag::STALE),
    own("cluster|slaves", 3, ADMIN),
    own("cluster|slots", 2, flag::STALE),
];

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    container("cluster", SUBCOMMANDS),
    own("readonly", 1, flag::LOADING | flag::STALE | flag::FAST),
    own("readwrite", 1, flag::LOADING | flag::STALE | flag::FAST),
    own("asking", 1, flag::FAST),
];
