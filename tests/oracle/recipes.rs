//! Scripts as people write them, of string commands alone: limiters, locks, counters, queues. Random sequences of calls share few keys,
//! so that the callers get in each other's way; the clock is an argument where a state must be the same on both servers.
//!
//! Left out: scripts that raise an error after a write, which stays in Redis and is taken back here; states of `cjson.encode` with several names, read back as bytes (the order of pairs is each Lua's own).

use super::common::Random;
use super::step::Step;
use crate::request;
use ringkeep_shards::script::ScriptDigest;
use std::time::Duration;

/// Windows and locks that last: no sequence takes that long, and what is left is told in steps coarser than two servers are apart.
const LONG_MS: [&str; 3] = ["100000", "250000", "3600000"];
/// Those that are over after a wait. Nothing else is asked meanwhile.
const SHORT_MS: &str = "20";
const WAIT_MS: u64 = 70;

/// A script, how many keys it takes, and its arguments.
struct Recipe {
    name: &'static str,
    script: &'static str,
    keys: &'static [&'static str],
    arguments: fn(&mut Random) -> Vec<String>,
}

fn pick(random: &mut Random, choices: &[&str]) -> String {
    random.pick(choices).to_owned()
}

fn owner(random: &mut Random) -> String {
    pick(random, &["alice", "bob", "carol"])
}

/// A time that moves forth, mostly.
fn clock(random: &mut Random) -> String {
    (1_700_000_000_000 + random.below(200_000) as u64).to_string()
}

const RECIPES: &[Recipe] = &[
    Recipe {
        name: "fixed_window",
        script: "local limit = tonumber(ARGV[2]) or error({err = 'BADLIMIT ' .. tostring(ARGV[2])})
            local count = redis.call('INCR', KEYS[1])
            if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
            local left = redis.call('PTTL', KEYS[1])
            if left == -1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) left = tonumber(ARGV[1]) end
            if count > limit then return {0, 0, math.ceil(left / 50000)} end
            return {1, limit - count, math.ceil(left / 50000)}",
        keys: &["limit:a", "limit:b"],
        // A window is told in steps of 50 seconds, and these lie in the middle of one.
        arguments: |random| vec![pick(random, &["125000", "275000"]), pick(random, &["1", "3", "10", "x"])],
    },
    Recipe {
        name: "sliding_window",
        script: "local now, window, limit = tonumber(ARGV[1]) or 0, tonumber(ARGV[2]) or 1, tonumber(ARGV[3]) or 1
            local slot = math.floor(now / window)
            local current, previous = KEYS[1] .. ':' .. slot, KEYS[1] .. ':' .. (slot - 1)
            local weight = 1 - (now % window) / window
            local estimate = (tonumber(redis.call('GET', current)) or 0) + weight * (tonumber(redis.call('GET', previous)) or 0)
            if estimate >= limit then return {'limited', string.format('%.3f', estimate)} end
            redis.call('INCR', current)
            redis.call('PEXPIRE', current, window * 1000)
            return {'passed', string.format('%.3f', estimate + 1)}",
        keys: &["slide:a", "slide:b"],
        arguments: |random| vec![clock(random), pick(random, &["60000", "20000"]), pick(random, &["2", "5"])],
    },
    Recipe {
        name: "bucket_of_json",
        script: "local now, rate, capacity, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
            local tokens, at = capacity, now
            local state = redis.call('GET', KEYS[1])
            if state then local decoded = cjson.decode(state) tokens, at = decoded[1], decoded[2] end
            tokens = math.min(capacity, tokens + math.max(0, now - at) * rate / 1000)
            local allowed = tokens >= wanted
            if allowed then tokens = tokens - wanted end
            redis.call('SET', KEYS[1], cjson.encode({tokens, math.max(now, at)}), 'PX', 600000)
            return {allowed, tostring(tokens), cjson.encode({allowed = allowed})}",
        keys: &["bucket:json:a", "bucket:json:b"],
        arguments: |random| vec![clock(random), pick(random, &["1", "0.25", "4"]), pick(random, &["5", "64"]), pick(random, &["1", "2", "6"])],
    },
    Recipe {
        name: "bucket_of_structs",
        script: "local now = tonumber(ARGV[1])
            local state = redis.call('GET', KEYS[1])
            local tokens, at = tonumber(ARGV[2]), now
            if state then tokens, at = struct.unpack('>dL', state) end
            tokens = math.min(tonumber(ARGV[2]), tokens + (now - at) / 4096)
            if tokens < 1 then return redis.error_reply('LIMITED try again in ' .. math.ceil((1 - tokens) * 4096)) end
            redis.call('SET', KEYS[1], struct.pack('>dL', tokens - 1, now), 'EX', 600)
            return {struct.size('>dL'), tostring(tokens - 1)}",
        keys: &["bucket:struct:a", "bucket:struct:b"],
        arguments: |random| vec![clock(random), pick(random, &["2", "8"])],
    },
    Recipe {
        name: "bucket_of_the_clock",
        script: "local time = redis.call('TIME')
            local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
            local state = redis.call('GET', KEYS[1])
            local tokens, at = tonumber(ARGV[1]), now
            if state then local s = cmsgpack.unpack(state) tokens, at = s.tokens, s.at end
            tokens = math.min(tonumber(ARGV[1]), tokens + (now - at) * 0.0000001)
            local allowed = 0
            if tokens >= 1 then allowed, tokens = 1, tokens - 1 end
            redis.call('SET', KEYS[1], cmsgpack.pack({tokens = tokens, at = now}), 'PX', 600000)
            return {allowed, math.floor(tokens + 0.001), #time}",
        keys: &["clock:a", "clock:b"],
        arguments: |random| vec![pick(random, &["2", "4"])],
    },
    Recipe {
        name: "spaced_arrivals",
        script: "local now, interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
            local due = tonumber(redis.call('GET', KEYS[1]) or now)
            if due < now then due = now end
            local early = due - burst * interval
            if now < early then return {0, early - now} end
            redis.call('SET', KEYS[1], string.format('%d', due + interval), 'PX', 900000)
            return {1, math.floor((now - early) / interval)}",
        keys: &["gcra:a", "gcra:b"],
        arguments: |random| vec![clock(random), pick(random, &["1000", "30000"]), pick(random, &["1", "4"])],
    },
    Recipe {
        name: "lock",
        script: "return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])",
        keys: &["lock:a", "lock:b"],
        arguments: |random| vec![owner(random), pick(random, &LONG_MS)],
    },
    Recipe {
        name: "unlock",
        script: "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end",
        keys: &["lock:a", "lock:b"],
        arguments: |random| vec![owner(random)],
    },
    Recipe {
        name: "extend",
        script: "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end
            return redis.error_reply('NOTHELD ' .. (redis.call('get', KEYS[1]) or 'nobody') .. ' holds it')",
        keys: &["lock:a", "lock:b"],
        arguments: |random| vec![owner(random), pick(random, &["100000", "0", "-5", "x", "9223372036854775807"])],
    },
    Recipe {
        name: "fencing_token",
        script: "if redis.call('EXISTS', KEYS[1]) == 1 then return {false, redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])} end
            local token = redis.call('INCR', KEYS[2])
            redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
            return {true, ARGV[1], token}",
        keys: &["lock:a", "fence"],
        arguments: |random| vec![owner(random), pick(random, &LONG_MS)],
    },
    Recipe {
        name: "fenced_write",
        script: "local seen = tonumber(redis.call('GET', KEYS[2]) or '0')
            local token = tonumber(ARGV[1])
            if token < seen then return redis.error_reply('STALE ' .. token .. ' is older than ' .. seen) end
            redis.call('MSET', KEYS[1], ARGV[2], KEYS[2], ARGV[1])
            return redis.status_reply('WRITTEN')",
        keys: &["fenced", "fence"],
        arguments: |random| vec![random.below(8).to_string(), owner(random)],
    },
    Recipe {
        name: "idempotent",
        script: "local before = redis.call('GET', KEYS[1])
            if before then return cjson.decode(before) end
            local total = redis.call('INCRBY', KEYS[2], ARGV[1])
            local result = {ARGV[1], total, {'nested', total % 2 == 0}}
            redis.call('SETEX', KEYS[1], 600, cjson.encode(result))
            return result",
        keys: &["request:1", "total"],
        arguments: |random| vec![random.between(-5, 20).to_string()],
    },
    Recipe {
        name: "compare_and_set",
        script: "local current = redis.call('GET', KEYS[1])
            if (current or '') ~= ARGV[1] then return {0, current} end
            redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
            return {1, current}",
        keys: &["cas:a", "cas:b"],
        arguments: |random| vec![pick(random, &["", "1", "2", "a\r\nb"]), pick(random, &["1", "2", "", "a\r\nb"])],
    },
    Recipe {
        name: "versioned",
        script: "local raw = redis.call('GET', KEYS[1])
            local version = 0
            if raw then version = tonumber(string.match(raw, '^(%d+):')) end
            if version ~= tonumber(ARGV[1]) then
                return {err = 'CONFLICT expected ' .. tostring(ARGV[1]) .. ', found ' .. tostring(version)}
            end
            redis.call('SET', KEYS[1], (version + 1) .. ':' .. ARGV[2])
            return {ok = 'v' .. version + 1}",
        keys: &["versioned"],
        arguments: |random| vec![random.below(4).to_string(), owner(random)],
    },
    Recipe {
        name: "capped",
        script: "local current = tonumber(redis.call('GET', KEYS[1]) or 0)
            local wanted = current + (tonumber(ARGV[1]) or 0)
            if wanted > tonumber(ARGV[2]) or wanted < 0 then return nil end
            return redis.call('INCRBY', KEYS[1], ARGV[1])",
        keys: &["capped"],
        arguments: |random| vec![pick(random, &["1", "-1", "5", "1.5", "x", ""]), pick(random, &["7", "100"])],
    },
    Recipe {
        name: "transfer",
        script: "local amount = tonumber(ARGV[1])
            if not amount or amount <= 0 or amount ~= math.floor(amount) then error({err = 'BADAMOUNT ' .. tostring(ARGV[1])}) end
            local from = tonumber(redis.call('GET', KEYS[1]) or '10')
            if from < amount then error('insufficient: ' .. from) end
            redis.call('SET', KEYS[1], from - amount)
            local to = redis.call('INCRBY', KEYS[2], amount)
            return {from - amount, to, from + to}",
        keys: &["account:a", "account:b"],
        arguments: |random| vec![pick(random, &["1", "3", "0", "2.5", "x", "100"])],
    },
    Recipe {
        name: "push",
        script: "local head = tonumber(redis.call('GET', KEYS[1] .. ':head') or 0)
            if not head then return redis.error_reply('BROKEN head of ' .. KEYS[1]) end
            local tail = redis.call('INCR', KEYS[1] .. ':tail')
            for i, item in ipairs(ARGV) do
                if i > 1 then tail = redis.call('INCR', KEYS[1] .. ':tail') end
                redis.call('SET', KEYS[1] .. ':' .. tail, item)
            end
            return tail - head",
        keys: &["queue"],
        arguments: |random| (0..random.below(4)).map(|_| pick(random, &["job", "", "\r\n\0", "{\"a\":1}"])).collect(),
    },
    Recipe {
        name: "pop",
        script: "local items = {}
            local head, tail = tonumber(redis.call('GET', KEYS[1] .. ':head') or 0), tonumber(redis.call('GET', KEYS[1] .. ':tail') or 0)
            while #items < tonumber(ARGV[1]) and head < tail do
                head = head + 1
                items[#items + 1] = redis.call('GETDEL', KEYS[1] .. ':' .. head) or 'lost'
            end
            redis.call('SET', KEYS[1] .. ':head', head)
            return #items > 0 and items or false",
        keys: &["queue"],
        arguments: |random| vec![pick(random, &["1", "2", "100", "0", "x"])],
    },
    Recipe {
        name: "lead",
        script: "local leader = redis.call('GET', KEYS[1])
            if not leader then
                redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
                return {'elected', redis.call('INCR', KEYS[2])}
            elseif leader == ARGV[1] then
                redis.call('PEXPIRE', KEYS[1], ARGV[2])
                return {'renewed', tonumber(redis.call('GET', KEYS[2]))}
            end
            return {'follows', leader, redis.call('PTTL', KEYS[1]) > 50000}",
        keys: &["leader", "epoch"],
        arguments: |random| vec![owner(random), pick(random, &LONG_MS)],
    },
    Recipe {
        name: "seen_before",
        script: "local digest = redis.sha1hex(ARGV[1])
            local bit = tonumber(string.sub(digest, 1, 3), 16)
            local before = redis.call('SETBIT', KEYS[1], bit, 1)
            return {before, redis.call('BITCOUNT', KEYS[1]), digest}",
        keys: &["bits"],
        arguments: |random| vec![random.below(20).to_string()],
    },
    Recipe {
        name: "read_many",
        script: "local values = redis.call('MGET', unpack(KEYS))
            for i = 1, #KEYS do if values[i] == false then values[i] = redis.status_reply('none') end end
            return values",
        keys: &["fence", "epoch", "total", "capped", "account:a", "lock:a"],
        arguments: |_| Vec::new(),
    },
];

/// The recipes as a library of functions.
fn library() -> String {
    let mut code = String::from("#!lua name=recipes\n");
    for Recipe { name, script, .. } in RECIPES {
        code += &format!("redis.register_function('{name}', function(KEYS, ARGV) {script} end)\n");
    }
    code
}

/// Adds a call of a recipe.
fn call(random: &mut Random, recipe: &Recipe, steps: &mut Vec<Step>) {
    let arguments = (recipe.arguments)(random);
    let takes_all = recipe.script.contains("KEYS[2]") || recipe.script.contains("(KEYS)");
    let one = [random.pick(recipe.keys)];
    call_with(random, recipe, if takes_all { recipe.keys } else { &one }, &arguments, steps);
}

/// Adds a call as a text, by its digest, or as a function.
fn call_with(random: &mut Random, recipe: &Recipe, keys: &[&str], arguments: &[String], steps: &mut Vec<Step>) {
    let (command, what) = match random.below(6) {
        0..3 => ("EVAL", recipe.script.to_owned()),
        3 => {
            steps.push(request!["SCRIPT", "LOAD", recipe.script]);
            ("EVALSHA", ScriptDigest::of(recipe.script.as_bytes()).as_str().to_owned())
        }
        _ => ("FCALL", recipe.name.to_owned()),
    };
    let mut words = vec![command.to_owned(), what, keys.len().to_string()];
    words.extend(keys.iter().map(|&key| key.to_owned()));
    words.extend_from_slice(arguments);
    steps.push(Step::request(&words));
}

/// Those that share a key with this one.
fn relatives(recipe: &Recipe) -> Vec<&'static Recipe> {
    RECIPES.iter().filter(|other| other.keys.iter().any(|key| recipe.keys.contains(key))).collect()
}

/// The keys whose bytes are the same on both servers.
const SHOWN_KEYS: [&str; 10] = [
    "bucket:json:a",
    "bucket:struct:a",
    "gcra:a",
    "lock:a",
    "fence",
    "cas:a",
    "versioned",
    "queue:head",
    "account:b",
    "bits",
];

/// Adds a random step, or a few that belong together.
pub fn generate(random: &mut Random, steps: &mut Vec<Step>) {
    if steps.is_empty() {
        steps.push(request!["FUNCTION", "LOAD", "REPLACE", library()]);
    }
    let group = relatives(&RECIPES[random.below(RECIPES.len())]);
    match random.below(10) {
        0 | 1 => {
            steps.push(request!["MULTI"]);
            for _ in 0..1 + random.below(5) {
                let recipe = group[random.below(group.len())];
                call(random, recipe, steps);
            }
            steps.push(request!["EXEC"]);
        }
        2 => steps.push(request!["GET", random.pick(&SHOWN_KEYS)]),
        3 => steps.push(request!["PTTL", random.pick(&["limit:a", "lock:a", "lock:b", "leader"])]),
        // A state that somebody broke.
        4 => {
            let key = random.pick(&[
                "bucket:json:a",
                "bucket:struct:a",
                "gcra:a",
                "fence",
                "versioned",
                "queue:head",
                "capped",
            ]);
            steps.push(request!["SET", key, random.pick(&["", "x", "[1]", "7", "{\"a\":[", "99999999999999999999"])]);
        }
        5 => steps.push(request!["DEL", random.pick(&["lock:a", "leader", "fence", "request:1", "queue:3", "cas:a"])]),
        6 => {
            let owner = owner(random);
            match random.below(3) {
                0 => call_with(random, named("lock"), &["lock:b"], &[owner, SHORT_MS.to_owned()], steps),
                1 => call_with(random, named("lead"), &["leader", "epoch"], &[owner, SHORT_MS.to_owned()], steps),
                _ => {
                    let arguments = [SHORT_MS.to_owned(), "3".to_owned()];
                    call_with(random, named("fixed_window"), &["limit:short"], &arguments, steps);
                }
            }
            // What reads it takes it away: how soon it would go by itself, and out of DBSIZE, is for each server to say.
            steps.push(Step::Sleep(Duration::from_millis(WAIT_MS)));
            steps.push(request!["EXISTS", "lock:b", "leader", "limit:short"]);
        }
        _ => {
            for _ in 0..2 + random.below(8) {
                let recipe = group[random.below(group.len())];
                call(random, recipe, steps);
            }
        }
    }
}

fn named(name: &str) -> &'static Recipe {
    RECIPES.iter().find(|recipe| recipe.name == name).expect("a recipe of the table")
}

/// Edge cases.
pub const EDGES: &str = r##"
EVAL "if redis.call('get',KEYS[1]) == ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end" 1 lock token
SET lock token NX PX 30000
EVAL "if redis.call('get',KEYS[1]) == ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end" 1 lock other
EVAL "if redis.call('get',KEYS[1]) == ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end" 1 lock token
EXISTS lock

MULTI
EVAL "local n = redis.call('INCR',KEYS[1]) if n > 2 then return redis.error_reply('LIMIT reached') end return n" 1 n
EVAL "local n = redis.call('INCR',KEYS[1]) if n > 2 then return redis.error_reply('LIMIT reached') end return n" 1 n
EVAL "local n = redis.call('INCR',KEYS[1]) if n > 2 then return redis.error_reply('LIMIT reached') end return n" 1 n
EXEC
GET n
"##;
