//! EVAL and its kin: conversions, errors, the sandbox, read-your-writes.

use super::common::Random;
use super::generate::{key, value};
use super::step::Step;
use crate::request;

/// Scripts over one key and one argument.
const SCRIPTS: &[&str] = &[
    "return redis.call('GET',KEYS[1])",
    "redis.call('SET',KEYS[1],ARGV[1]) return redis.call('GET',KEYS[1])",
    "return redis.call('INCR',KEYS[1])",
    "return redis.pcall('INCR',KEYS[1])",
    "local r = redis.pcall('INCR',KEYS[1]) if type(r)=='table' and r.err then return 'failed: '..r.err end return r",
    "return {1,2,{3,'four',KEYS[1]},ARGV[1]}",
    "redis.call('APPEND',KEYS[1],ARGV[1]) redis.call('APPEND',KEYS[1],ARGV[1]) return redis.call('STRLEN',KEYS[1])",
    "return redis.call('SET',KEYS[1],ARGV[1],'NX')",
    "return redis.call('MGET',KEYS[1],'k0','k1')",
    "return redis.call('EXISTS',KEYS[1]) == 1",
    "return {redis.call('TYPE',KEYS[1]), redis.call('DEL',KEYS[1]), redis.call('GET',KEYS[1])}",
    "return tonumber(ARGV[1])",
    // An argument may be lost; which expression was nil is told in each VM's own words ("field '?'", or nothing).
    "return #(ARGV[1] or '')",
    "return redis.sha1hex(ARGV[1])",
    "return redis.status_reply(string.upper('fine'))",
    "return redis.call('BITCOUNT',KEYS[1])",
    "return redis.call('GET')",
    "return redis.call('SETRANGE',KEYS[1],'-1',ARGV[1])",
    "local t = {} for i=1,50 do t[#t+1] = redis.call('INCRBY','counter',i) end return t",
];

/// Adds a random script, perhaps through its digest.
pub fn generate(random: &mut Random, steps: &mut Vec<Step>) {
    let script = SCRIPTS[random.below(SCRIPTS.len())];
    // A carriage return in a value may not come back inside an error; keep arguments of errors plain.
    let k = [&b"k0"[..], b"k1", b"k2"][random.below(3)].to_vec();
    match random.below(8) {
        0 => steps.push(request!["SET", key(random), value(random)]),
        1 => steps.push(request!["SCRIPT", "LOAD", script]),
        2 => steps.push(request!["EVAL_RO", script, "1", k, "7"]),
        3 => steps.push(request!["GET", k]),
        _ => steps.push(request!["EVAL", script, "1", k, random.pick(&["7", "abc", "1.5", "", "10"])]),
    }
}

/// Edge cases.
pub const EDGES: &str = r##"
EVAL
EVAL "return 1"
EVAL "return 1" 0
EVAL "return 1" 1
EVAL "return 1" -1
EVAL "return 1" abc
EVAL "return 1" 2 a
EVAL "" 0
EVAL "return" 0
EVAL "return nil" 0
EVAL "return true" 0
EVAL "return false" 0
EVAL "return 3.99" 0
EVAL "return -3.99" 0
EVAL "return 'text'" 0
EVAL "return ''" 0
EVAL "return 'bin\\0\\r\\n'" 0
EVAL "return {}" 0
EVAL "return {1,2,3}" 0
EVAL "return {1,nil,3}" 0
EVAL "return {1,{2,{3}},'x'}" 0
EVAL "return {false,true}" 0
EVAL "return {a=1,b=2}" 0
EVAL "return {1,2,a=3}" 0
EVAL "return {ok='fine'}" 0
EVAL "return {err='MYERR bad'}" 0
EVAL "return {err='bad'}" 0
EVAL "return {ok=5}" 0
EVAL "return {double=3.5}" 0
EVAL "return {map={a=1}}" 0
EVAL "return {set={a=true}}" 0
EVAL "return {big_number='123'}" 0
EVAL "return {verbatim_string={format='txt',string='hi'}}" 0
EVAL "return {verbatim_string={format='markdown',string='hi'}}" 0
EVAL "return {verbatim_string={format='m',string='hi'}}" 0
EVAL "return {verbatim_string={format='\\255\\254\\253',string='hi'}}" 0
EVAL "return {null=true}" 0
EVAL "return redis.status_reply('fine')" 0
EVAL "return redis.error_reply('MYERR bad')" 0
EVAL "return redis.error_reply('bad')" 0
EVAL "return redis.error_reply('-MYERR bad')" 0
EVAL "return redis.status_reply(1)" 0
EVAL "return redis.status_reply('\\255\\254')" 0
EVAL "return redis.error_reply('\\255\\254')" 0
EVAL "return redis.error_reply('MYERR bad ')" 0
EVAL "return redis.error_reply('MYERR bad\\r\\n')" 0
EVAL "return {ok='a\\255b'}" 0
EVAL "return {err='MYERR \\255'}" 0
EVAL "return {big_number='\\255'}" 0
EVAL "error('\\255')" 0
EVAL "return redis.error_reply()" 0
EVAL "return KEYS" 2 a b c d
EVAL "return ARGV" 2 a b c d
EVAL "return #KEYS" 0
EVAL "return KEYS[1]" 0
EVAL "return print" 0
EVAL "return function() end" 0
EVAL "return 1e20" 0
EVAL "return 2^53" 0
EVAL "return 0/0" 0
EVAL "return 1/0" 0
EVAL "return -1/0" 0
EVAL "return 1,2,3" 0

EVAL "return redis.call('SET',KEYS[1],ARGV[1])" 1 k v
EVAL "return redis.call('GET',KEYS[1])" 1 k
EVAL "return redis.call('GET','missing')" 0
EVAL "return redis.call('GET','missing') == false" 0
EVAL "return type(redis.call('GET','missing'))" 0
EVAL "return redis.call('MGET','k','missing')" 0
EVAL "return redis.call('INCR','n')" 0
EVAL "return type(redis.call('INCR','n'))" 0
EVAL "return redis.call('SET','k','v').ok" 0
EVAL "return type(redis.call('PING'))" 0
EVAL "return redis.call('PING')" 0
EVAL "return redis.call('SET','k','v','NX')" 0
EVAL "return redis.call('EXISTS','k','missing')" 0
EVAL "return redis.call('SET','k',5)" 0
EVAL "return redis.call('GET','k')" 0
EVAL "return redis.call('SET','k',1.5)" 0
EVAL "return redis.call('GET','k')" 0
EVAL "return redis.call('SET','k',1e20) and redis.call('GET','k')" 0
EVAL "return redis.call('SET','k',123456789012) and redis.call('GET','k')" 0
EVAL "return redis.call('SET','k',0.1) and redis.call('GET','k')" 0
EVAL "return redis.call('SET','k',{})" 0
EVAL "return redis.call('SET','k',true)" 0
EVAL "return redis.call('SET','k',nil)" 0
EVAL "return redis.call()" 0
EVAL "return redis.pcall()" 0
EVAL "return redis.call(1)" 0
EVAL "return redis.call('BOGUS')" 0
EVAL "return redis.pcall('BOGUS')" 0
EVAL "return redis.call('GET')" 0
EVAL "return redis.pcall('GET').err" 0
EVAL "return redis.call('SET','k')" 0

SET s abc
EVAL "return redis.call('INCR','s')" 0
EVAL "return redis.pcall('INCR','s')" 0
EVAL "return redis.pcall('INCR','s').err" 0
EVAL "local ok, e = pcall(redis.call,'INCR','s') return {tostring(ok), type(e), e.err}" 0
EVAL "local ok, e = pcall(redis.call,'BOGUS') return e.err" 0
EVAL "local ok, e = pcall(error, 'x') return e" 0
EVAL "local ok, e = pcall(error, {err='MYERR y'}) return e" 0
EVAL "error('raised')" 0
EVAL "error({err='MYERR raised'})" 0
EVAL "error()" 0
EVAL "error('raised', 0)" 0
EVAL "\n\nerror('third line')" 0
EVAL "local a = nil + 1" 0
EVAL "local t = nil return t.x" 0
EVAL "return undefined_variable" 0
EVAL "undefined_variable = 1" 0
EVAL "undefined_function()" 0
EVAL "return 'a' .. {}" 0
EVAL "return 1 < 'a'" 0
EVAL "this is no lua" 0
EVAL "return (" 0
EVAL "if true then" 0
EVAL "redis.call('SET','before','1') return redis.pcall('INCR','s')" 0
GET before
EVAL "return tostring(nil)" 0

EVAL "return redis.call('SELECT',1)" 0
EVAL "return redis.call('MULTI')" 0
EVAL "return redis.call('EXEC')" 0
EVAL "return redis.call('WATCH','k')" 0
EVAL "return redis.call('EVAL','return 1',0)" 0
EVAL "return redis.call('AUTH','x')" 0
EVAL "return redis.call('CLIENT','ID')" 0
EVAL "return redis.call('CONFIG','GET','port')" 0
EVAL "return redis.call('SHUTDOWN')" 0
EVAL "return redis.call('DBSIZE')" 0
EVAL "return redis.call('ECHO','x')" 0
EVAL "return redis.call('PING','x')" 0
EVAL "return redis.call('PING','x','y')" 0
EVAL "return redis.call('SELECT','99')" 0
EVAL "return redis.call('SELECT','-1')" 0
EVAL "return redis.call('SELECT','2147483648')" 0
EVAL "return redis.call('SELECT','abc')" 0
EVAL "return redis.call('COMMAND','GETKEYS','MSET','a','1','b','2')" 0
EVAL "return redis.call('COMMAND','BOGUS')" 0
EVAL "return redis.call('COMMAND','GETKEYS','BOGUS','x')" 0
EVAL "return redis.call('FLUSHDB')" 0
EVAL "return redis.call('WAIT','1','0')" 0
EVAL "return redis.call('WAIT','x','0')" 0
EVAL "return redis.call('WAIT','0','-1')" 0
EVAL "return redis.call('WAIT','0')" 0
EVAL "redis.call('SELECT',3) return redis.call('SET','in3','1')" 0
SELECT 3
EXISTS in3

EVAL "return type(redis.sha1hex)" 0
EVAL "return redis.sha1hex('')" 0
EVAL "return redis.sha1hex('abc')" 0
EVAL "return redis.sha1hex()" 0
EVAL "return redis.log(redis.LOG_WARNING,'x')" 0
EVAL "return redis.log(99,'x')" 0
EVAL "return redis.log()" 0
EVAL "return {redis.LOG_DEBUG,redis.LOG_VERBOSE,redis.LOG_NOTICE,redis.LOG_WARNING}" 0
EVAL "return redis.setresp(3)" 0
EVAL "return redis.setresp(4)" 0
EVAL "return redis.setresp()" 0
EVAL "redis.setresp(3) return redis.call('GET','missing')" 0
EVAL "redis.setresp(3) return redis.call('GET','missing') == nil" 0
EVAL "redis.setresp(3) return {double=3.5}" 0
EVAL "redis.setresp(3) return {map={a=1}}" 0
EVAL "redis.setresp(3) return true" 0
EVAL "redis.setresp(3) return false" 0
EVAL "redis.setresp(3) return nil" 0
EVAL "return redis.replicate_commands()" 0
EVAL "return redis.set_repl(redis.REPL_ALL)" 0
EVAL "return redis.breakpoint()" 0
EVAL "return type(redis.acl_check_cmd)" 0
EVAL "return redis.acl_check_cmd('GET','k')" 0
EVAL "return redis.acl_check_cmd('GET')" 0
EVAL "return redis.acl_check_cmd('BOGUS')" 0
EVAL "return redis.nothing" 0
EVAL "redis.x = 1" 0
EVAL "redis.call = nil" 0
EVAL "string.x = 1" 0
EVAL "setmetatable(_G,{})" 0
EVAL "_G.x = 1" 0
EVAL "return rawset(_G,'x',1)" 0
EVAL "local ok, e = pcall(rawset,_G,'x',1) return e" 0
EVAL "table.insert(redis,1)" 0
EVAL "return getmetatable('').__index == string" 0
EVAL "getmetatable('').__index = nil" 0

EVAL "return type(os.clock())" 0
EVAL "return os.time()" 0
EVAL "return os.execute('true')" 0
EVAL "return io" 0
EVAL "return debug" 0
EVAL "return require('x')" 0
EVAL "return dofile('/etc/passwd')" 0
EVAL "return loadfile('/etc/passwd')" 0
EVAL "return loadstring('return 5')()" 0
EVAL "return load(function() return nil end) ~= nil" 0
EVAL "return type(loadstring(string.dump(function() return 1 end)))" 0
EVAL "return type(bit.band), bit.band(12,10)" 0
EVAL "return bit.bor(12,3)" 0
EVAL "return bit.tohex(255)" 0
EVAL "return bit.tohex(255,16)" 0
EVAL "return bit.tohex(255,'9')" 0
EVAL "return bit.tohex(-1,-3)" 0
EVAL "return bit.tohex(1,2^31)" 0
EVAL "return bit.tohex(1,2^32+4)" 0
EVAL "return bit.tohex(1,0/0)" 0
EVAL "return bit.tohex()" 0
EVAL "return bit.tohex('x',4)" 0
EVAL "return bit.tohex(1,'x')" 0
EVAL "return bit.tohex(1,{})" 0
EVAL "#\nreturn 1" 0
EVAL "# a comment?" 0
EVAL " #!lua\nreturn 1" 0
EVAL "return {loadstring('#\\nreturn 1')}" 0
EVAL "local f, e = loadstring('# x') return e" 0
EVAL "local f, e = loadstring('#x', 'name') return e" 0
EVAL "return string.rep('ab',3)" 0
EVAL "return string.format('%5.2f|%d|%s|%q',1.234,5,'x','y')" 0
EVAL "return table.concat({1,2,3},'-')" 0
EVAL "local t={3,1,2} table.sort(t) return t" 0
EVAL "return {string.find('hello world','o w')}" 0
EVAL "return string.gsub('hello','l','L')" 0
EVAL "return {math.floor(1.5),math.max(1,3,2),math.abs(-2)}" 0
EVAL "return tostring(1e15)" 0
EVAL "return tostring(123456789012345)" 0
EVAL "return tostring(0.1)" 0
EVAL "return tonumber('0x10')" 0
EVAL "return tonumber('abc')" 0
EVAL "return {unpack({1,2,3})}" 0
EVAL "return select('#',1,2,3)" 0
EVAL "return _VERSION" 0

SCRIPT
SCRIPT BOGUS
SCRIPT LOAD
SCRIPT LOAD "return 1"
SCRIPT LOAD "return 1" x
SCRIPT LOAD "return ("
SCRIPT LOAD "error('only when run')"
SCRIPT EXISTS
SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0000000000000000000000000000000000000000 short
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
EVALSHA E0E1F9FABFC9D4800C877A703B823AC0578FF8DB 0
EVALSHA 0000000000000000000000000000000000000000 0
EVALSHA short 0
EVALSHA short abc
EVALSHA short 5
EVALSHA_RO short -1
EVALSHA 0000000000000000000000000000000000000000 abc
EVALSHA 0000000000000000000000000000000000000000 5
EVALSHA
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db -1
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1
EVALSHA_RO e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
EVALSHA_RO 0000000000000000000000000000000000000000 0
SCRIPT FLUSH BOGUS
SCRIPT FLUSH SYNC
SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
EVAL "return 1" 0
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
SCRIPT FLUSH ASYNC
SCRIPT FLUSH SYNC ASYNC
SCRIPT KILL
SCRIPT HELP

EVAL_RO "return redis.call('GET',KEYS[1])" 1 k
EVAL_RO "return redis.call('SET',KEYS[1],'v')" 1 k
EVAL_RO "return redis.pcall('SET',KEYS[1],'v')" 1 k
EVAL_RO "return redis.call('EXISTS',KEYS[1])" 1 k
EVAL_RO "return 1"
EVAL_RO "return 1" -1
EXISTS k

EVAL "#!lua\nreturn 1" 0
EVAL "#!lua flags=no-writes\nreturn redis.call('SET','k','v')" 0
EVAL "#!lua flags=no-writes\nreturn redis.call('GET','k')" 0
EVAL "#!lua flags=bogus\nreturn 1" 0
EVAL "#!lua flags=\nreturn 1" 0
EVAL "#!lua flags=no-writes,,allow-oom\nreturn 1" 0
EVAL "#!lua flags=no-writes,\nreturn 1" 0
EVAL "#!bogus\nreturn 1" 0
EVAL "#!lua name=x\nreturn 1" 0
EVAL "#!lua" 0
EVAL "#!lua flags=allow-oom,no-writes\nreturn 1" 0
EVAL "#!lua\nreturn redis.call('SET','k','v')" 0
EVAL_RO "#!lua\nreturn 1" 0
EVAL_RO "#!lua flags=no-writes\nreturn redis.call('EXISTS','k')" 0
EVAL "#!lua\nerror('line two')" 0
"##;
