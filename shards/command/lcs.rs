//! The longest common subsequence of two strings.

use crate::command::call::{Arguments, Call};
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::common::Common;
use crate::command::failure::Failure;
use crate::keyspace::canonical_integer;
use crate::reply::ReplySink;

/// What LCS is asked for.
#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    min_match_len: usize,
    with_match_len: bool,
}

impl Options {
    fn parse(arguments: &[&[u8]]) -> Result<Self, Failure> {
        let mut options = Options::default();
        let mut rest = arguments;
        while let [option, after @ ..] = rest {
            rest = after;
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            if is("IDX") {
                options.idx = true;
            } else if is("LEN") {
                options.len = true;
            } else if is("WITHMATCHLEN") {
                options.with_match_len = true;
            } else if let ([len, after @ ..], true) = (after, is("MINMATCHLEN")) {
                let len = canonical_integer(len).ok_or(Failure::NotInteger)?;
                options.min_match_len = usize::try_from(len).unwrap_or(0);
                rest = after;
            } else {
                return Err(Failure::Syntax);
            }
        }
        if options.idx && options.len {
            return Err(Failure::text("ERR If you want both the length and indexes, please just use IDX."));
        }
        Ok(options)
    }
}

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]`.
pub fn lcs(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let options = Options::parse(&arguments[3..])?;
    let (a, b) = (call.string(arguments[1])?, call.string(arguments[2])?);
    let (a, b) = (a.as_deref().unwrap_or_default(), b.as_deref().unwrap_or_default());
    check_size(a.len(), b.len(), call.string_bytes_max)?;
    if options.len {
        reply.integer(Common::len(a, b) as i64);
        return Ok(());
    }
    let common = Common::find(a, b);
    if !options.idx {
        reply.bulk(&common.bytes);
        return Ok(());
    }
    let matches = || common.matches.iter().filter(|found| found.len >= options.min_match_len);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(matches().count());
    for found in matches() {
        reply.array(2 + usize::from(options.with_match_len));
        for start in [found.a, found.b] {
            reply.array(2);
            reply.integer(start as i64);
            reply.integer((start + found.len - 1) as i64);
        }
        if options.with_match_len {
            reply.integer(found.len as i64);
        }
    }
    reply.bulk(b"len");
    reply.integer(common.bytes.len() as i64);
    Ok(())
}

/// Redis's bounds: its table has four bytes for each pair of prefixes. Ours has a bit for each, so they bound it too.
fn check_size(a: usize, b: usize, bytes_max: usize) -> Result<(), Failure> {
    const LEN_MAX: usize = u32::MAX as usize - 2;
    if a > LEN_MAX || b > LEN_MAX {
        return Err(Failure::text("ERR String too long for LCS"));
    }
    let table_bytes = (a as u128 + 1) * (b as u128 + 1) * 4;
    if table_bytes > u128::from(u64::MAX) {
        return Err(Failure::text("ERR Insufficient memory, failed allocating transient memory for LCS"));
    }
    if table_bytes > bytes_max as u128 {
        return Err(Failure::text("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"));
    }
    Ok(())
}

/// The rows of this family.
pub const COMMANDS: &[Command] = &[Command::row("lcs", -3, flag::READONLY, Keys::FIRST_TWO, Run::Shard(lcs))];

#[cfg(test)]
mod tests {
    use crate::command::testing::TestShard;
    use crate::reply::Protocol;

    #[test]
    fn every_option() {
        let mut shard = TestShard::new();
        shard.run("MSET a ohmytext b mynewtext");
        assert_eq!(shard.run("LCS a b"), "\"mytext\"");
        assert_eq!(shard.run("LCS a b LEN"), ":6");
        assert_eq!(
            shard.run("LCS a b IDX"),
            "[\"matches\", [[[:4, :7], [:5, :8]], [[:2, :3], [:0, :1]]], \"len\", :6]"
        );
        assert_eq!(shard.run("LCS a b idx minmatchlen 4"), "[\"matches\", [[[:4, :7], [:5, :8]]], \"len\", :6]");
        shard.protocol = Protocol::Resp3;
        assert_eq!(
            shard.run("LCS a b IDX MINMATCHLEN -4 WITHMATCHLEN"),
            "{\"matches\": [[[:4, :7], [:5, :8], :4], [[:2, :3], [:0, :1], :2]], \"len\": :6}"
        );
        assert_eq!(shard.run("LCS a nothing"), "\"\"");
        assert_eq!(shard.run("LCS nothing a LEN"), ":0");
        assert_eq!(shard.run("LCS nothing a IDX"), "{\"matches\": [], \"len\": :0}");
    }

    #[test]
    fn errors() {
        let mut shard = TestShard::new();
        shard.run("MSET a ohmytext b mynewtext");
        assert_eq!(shard.run("LCS a b LEN IDX"), "-ERR If you want both the length and indexes, please just use IDX.");
        assert_eq!(shard.run("LCS a b MINMATCHLEN"), "-ERR syntax error");
        assert_eq!(shard.run("LCS a b FOO"), "-ERR syntax error");
        assert_eq!(shard.run("LCS a b MINMATCHLEN x"), "-ERR value is not an integer or out of range");
        shard.string_bytes_max = 9 * 10 * 4 - 1;
        let too_much = "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
        assert_eq!(shard.run("LCS a b LEN"), too_much);
        shard.string_bytes_max += 1;
        assert_eq!(shard.run("LCS a b LEN"), ":6");
    }
}
