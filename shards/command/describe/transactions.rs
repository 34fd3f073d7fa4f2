//! Transactions: what COMMAND tells about these commands.

use super::category;
use super::doc::{Doc, access, doc, key, range};

/// The descriptions of this group.
pub(super) static DOCS: &[Doc] = &[
    doc("discard", "2.0.0", "O(N), N queued commands", "Drop the commands that were queued since MULTI.")
        .categories(category::TRANSACTION),
    doc(
        "exec",
        "1.2.0",
        "That of the queued commands",
        "Run the commands that were queued since MULTI as one transaction.",
    )
    .categories(category::TRANSACTION),
    doc("multi", "1.2.0", "O(1)", "Begin to queue commands for a transaction.").categories(category::TRANSACTION),
    doc("unwatch", "2.2.0", "O(1)", "Stop watching keys.").categories(category::TRANSACTION),
    doc("watch", "2.2.0", "O(1) per key", "Let the next EXEC do nothing if one of these keys changes before.")
        .categories(category::TRANSACTION)
        .keys(&[range(1, -1, 1, access::RO)])
        .arguments(&[key("key", 0).multiple()]),
];
