//! Which connections CLIENT LIST and CLIENT KILL mean.

use crate::command::failure::Failure;
use crate::ids::ClientId;
use crate::keyspace::canonical_integer;

/// Redis's kinds of clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientKind {
    /// One that runs commands.
    Normal,
    /// The master of a replica.
    Master,
    /// A replica.
    Replica,
    /// One that subscribed.
    PubSub,
}

/// What a connection must be to be meant. What is not said fits every connection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientFilter {
    /// Its number.
    pub id: Option<ClientId>,
    /// Where it comes from.
    pub peer: Option<Vec<u8>>,
    /// Where it arrived.
    pub local: Option<Vec<u8>>,
    /// Its kind.
    pub kind: Option<ClientKind>,
    /// Whether the connection that asks is left alone.
    pub skips_own: bool,
}

impl ClientFilter {
    /// Whether a connection is meant. All connections are normal ones as yet.
    pub fn fits(&self, id: ClientId, own: ClientId, peer: &str, local: &str) -> bool {
        self.id.is_none_or(|wanted| wanted == id)
            && self.peer.as_ref().is_none_or(|wanted| wanted == peer.as_bytes())
            && self.local.as_ref().is_none_or(|wanted| wanted == local.as_bytes())
            && self.kind.is_none_or(|kind| kind == ClientKind::Normal)
            && !(self.skips_own && id == own)
    }
}

/// What CLIENT LIST lists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListedClients {
    /// All.
    All,
    /// All of a kind.
    Kind(ClientKind),
    /// These, in this order.
    Ids(Vec<ClientId>),
}

/// What CLIENT KILL means, and how it answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KilledClients {
    /// By address (the old form): OK, or an error.
    Address(ClientFilter),
    /// By filters: their number.
    Filtered(ClientFilter),
}

fn kind(word: &[u8]) -> Result<ClientKind, Failure> {
    match &word.to_ascii_lowercase()[..] {
        b"normal" => Ok(ClientKind::Normal),
        b"master" => Ok(ClientKind::Master),
        b"slave" | b"replica" => Ok(ClientKind::Replica),
        b"pubsub" => Ok(ClientKind::PubSub),
        _ => Err(Failure::quoting("ERR Unknown client type '", word, "'")),
    }
}

impl ListedClients {
    /// Reads `CLIENT LIST [TYPE type | ID id [id ...]]`.
    ///
    /// # Errors
    /// What the client is told.
    pub fn parse(list: &[&[u8]]) -> Result<Self, Failure> {
        match &list[2..] {
            [] => Ok(ListedClients::All),
            [option, word] if option.eq_ignore_ascii_case(b"type") => Ok(ListedClients::Kind(kind(word)?)),
            [option, ids @ ..] if option.eq_ignore_ascii_case(b"id") && !ids.is_empty() => {
                let id = |word: &&[u8]| {
                    let id = canonical_integer(word).ok_or(Failure::text("ERR Invalid client ID"))?;
                    // No client has a negative number; one that nobody has is as good.
                    Ok(ClientId(u64::try_from(id).unwrap_or(0)))
                };
                Ok(ListedClients::Ids(ids.iter().map(id).collect::<Result<_, Failure>>()?))
            }
            _ => Err(Failure::Syntax),
        }
    }
}

impl KilledClients {
    /// Reads `CLIENT KILL ip:port` or `CLIENT KILL option value [option value ...]`.
    ///
    /// # Errors
    /// What the client is told.
    pub fn parse(list: &[&[u8]]) -> Result<Self, Failure> {
        if let [_, _, address] = list {
            let filter = ClientFilter { peer: Some(address.to_vec()), ..ClientFilter::default() };
            return Ok(KilledClients::Address(filter));
        }
        let mut filter = ClientFilter { skips_own: true, ..ClientFilter::default() };
        for pair in list[2..].chunks(2) {
            let [option, value] = pair else { return Err(Failure::Syntax) };
            match &option.to_ascii_lowercase()[..] {
                b"id" => {
                    let id = canonical_integer(value).filter(|&id| id > 0);
                    let id = id.ok_or(Failure::text("ERR client-id should be greater than 0"))?;
                    filter.id = Some(ClientId(id as u64));
                }
                b"type" => filter.kind = Some(kind(value)?),
                b"addr" => filter.peer = Some(value.to_vec()),
                b"laddr" => filter.local = Some(value.to_vec()),
                b"user" if *value == b"default" => {}
                b"user" => {
                    return Err(Failure::quoting("ERR No such user '", value, "'"));
                }
                b"skipme" if value.eq_ignore_ascii_case(b"yes") => filter.skips_own = true,
                b"skipme" if value.eq_ignore_ascii_case(b"no") => filter.skips_own = false,
                _ => return Err(Failure::Syntax),
            }
        }
        Ok(KilledClients::Filtered(filter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<&[u8]> {
        line.split(' ').map(str::as_bytes).collect()
    }

    #[test]
    fn lists() {
        for (line, expected) in [
            ("CLIENT LIST", Ok(ListedClients::All)),
            ("CLIENT LIST type Slave", Ok(ListedClients::Kind(ClientKind::Replica))),
            ("CLIENT LIST ID 2 1 2", Ok(ListedClients::Ids(vec![ClientId(2), ClientId(1), ClientId(2)]))),
            ("CLIENT LIST ID", Err(Failure::Syntax)),
            ("CLIENT LIST TYPE normal x", Err(Failure::Syntax)),
            ("CLIENT LIST ID 1 x", Err(Failure::text("ERR Invalid client ID"))),
            ("CLIENT LIST TYPE foo", Err(Failure::text("ERR Unknown client type 'foo'"))),
        ] {
            assert_eq!(ListedClients::parse(&words(line)), expected, "{line}");
        }
    }

    #[test]
    fn kills() {
        let kills = |line: &str, id: u64| match KilledClients::parse(&words(line)).unwrap() {
            KilledClients::Address(filter) | KilledClients::Filtered(filter) => {
                filter.fits(ClientId(id), ClientId(1), "127.0.0.1:5000", "127.0.0.1:6379")
            }
        };
        assert!(kills("CLIENT KILL 127.0.0.1:5000", 1), "the old form kills its own client too");
        assert!(!kills("CLIENT KILL 127.0.0.1:5001", 2));
        assert!(kills("CLIENT KILL ID 2 USER default", 2));
        assert!(!kills("CLIENT KILL ID 1", 1));
        assert!(kills("CLIENT KILL ID 1 SKIPME no", 1));
        assert!(kills("CLIENT KILL LADDR 127.0.0.1:6379 TYPE normal", 2));
        assert!(!kills("CLIENT KILL LADDR 127.0.0.1:6379 TYPE pubsub", 2));
        for (line, expected) in [
            ("CLIENT KILL ID 0", "ERR client-id should be greater than 0"),
            ("CLIENT KILL ID x", "ERR client-id should be greater than 0"),
            ("CLIENT KILL USER bob", "ERR No such user 'bob'"),
        ] {
            assert_eq!(KilledClients::parse(&words(line)), Err(Failure::said(expected.to_owned())), "{line}");
        }
        for line in ["CLIENT KILL ID 1 ADDR", "CLIENT KILL SKIPME maybe", "CLIENT KILL MAXAGE 1"] {
            assert_eq!(KilledClients::parse(&words(line)), Err(Failure::Syntax), "{line}");
        }
    }
}
