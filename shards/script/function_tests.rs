//! Libraries and their functions, and the words of Redis 7 about them.

use super::fake_host::{Bench, Wire};
use super::{LogLevel, ScriptEnd};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Bench {
    /// FUNCTION LOAD REPLACE: the name, or the error.
    fn load(&mut self, code: &str) -> Result<String, String> {
        let mut log = Vec::new();
        let loaded = self.engine.prepare(code.as_bytes(), true, &mut log);
        for (level, text) in log {
            self.host.logged.push((level, String::from_utf8_lossy(&text).into_owned()));
        }
        let new = loaded.map_err(|error| String::from_utf8_lossy(&error.0).into_owned())?;
        let name = new.texts().next().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).unwrap();
        self.engine.adopt(new, false, 1);
        Ok(name)
    }

    /// Loads a body as the library `lib`.
    fn load_body(&mut self, body: &str) -> Result<String, String> {
        self.load(&format!("#!lua name=lib\n{body}"))
    }

    fn fcall(&mut self, name: &str, keys: &[&str], arguments: &[&str]) -> (ScriptEnd, String) {
        let function = match self.engine.function(name.as_bytes()) {
            Ok(function) => function,
            Err(error) => return (ScriptEnd::Raised, String::from_utf8_lossy(&error.0).into_owned()),
        };
        let mut wire = Wire { protocol: self.protocol, ..Wire::default() };
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
        let arguments: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
        let end = self.engine.call(&function, &keys, &arguments, false, &mut self.host, &mut wire);
        (end, String::from_utf8_lossy(&wire.bytes).into_owned())
    }
}

const F: &str = "redis.register_function('f', function() return 1 end)";

#[test]
fn a_library_may_speak_to_the_server_by_either_name() {
    let mut bench = Bench::new();
    let body = "local at_load = server.SERVER_NAME .. redis.REDIS_VERSION
        server.register_function('f', function() return {at_load, server.call('echo', 'x')} end)";
    assert_eq!(bench.load_body(body), Ok("lib".to_owned()));
    assert_eq!(bench.fcall("f", &[], &[]).1, "*2\r\n$13\r\nringkeep7.2.4\r\n$1\r\nx\r\n");
}

#[test]
fn what_a_library_does_wrong_while_it_is_loaded() {
    let registering = |rest: &str| format!("ERR Error registering functions: ERR {rest}");
    let missing = |name: &str| {
        registering(&format!("user_function:2: Script attempted to access nonexistent global variable '{name}'"))
    };
    let mut bench = Bench::new();
    for (body, error) in [
        ("return 1", "ERR No functions registered".to_owned()),
        ("x", "ERR Error compiling function: user_function:2: '=' expected near '<eof>'".to_owned()),
        ("redis.call('ping')", missing("call")),
        ("redis.sha1hex('x')", missing("sha1hex")),
        ("local a = redis.REPL_ALL", missing("REPL_ALL")),
        ("error('x')", missing("error")),
        ("math.random()", missing("math")),
        ("local a = KEYS", missing("KEYS")),
        ("_G.x = 1", missing("_G")),
        ("x = 1", registering("user_function:2: Attempt to modify a readonly table")),
        ("redis.foo = 1", registering("user_function:2: Attempt to modify a readonly table")),
        ("while true do end", registering("FUNCTION LOAD timeout")),
        ("redis.log(1)", registering("redis.log() requires two arguments or more.")),
    ] {
        assert_eq!(bench.load_body(body).unwrap_err(), error, "{body}");
    }
    assert_eq!(bench.engine.libraries().len(), 0);
    assert_eq!(bench.load_body(&format!("redis.log(redis.LOG_NOTICE, 'hi') {F}")), Ok("lib".to_owned()));
    assert_eq!(bench.host.logged, [(LogLevel::Notice, "hi".to_owned())]);
    assert_eq!(bench.fcall("f", &[], &[]), (ScriptEnd::Done, ":1\r\n".to_owned()));
    // The world of scripts is as it was.
    assert_eq!(
        bench.eval("return {type(math), type(redis.call), type(redis.register_function), #KEYS}"),
        "*4\r\n$5\r\ntable\r\n$8\r\nfunction\r\n$3\r\nnil\r\n:0\r\n"
    );
}

#[test]
fn what_register_function_refuses() {
    let mut bench = Bench::new();
    let f = "function() end";
    for (arguments, error) in [
        ("()".to_owned(), "wrong number of arguments to redis.register_function"),
        ("(1, 2, 3)".to_owned(), "wrong number of arguments to redis.register_function"),
        (
            "('a')".to_owned(),
            "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
        ),
        ("('a', 1)".to_owned(), "second argument to redis.register_function must be a function"),
        (format!("({{}}, {f})"), "first argument to redis.register_function must be a string"),
        (
            format!("('a-b', {f})"),
            "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
        ),
        ("{}".to_owned(), "redis.register_function must get a function name argument"),
        ("{function_name='a'}".to_owned(), "redis.register_function must get a callback argument"),
        (format!("{{callback={f}}}"), "redis.register_function must get a function name argument"),
        (
            format!("{{function_name={{}}, callback={f}}}"),
            "function_name argument given to redis.register_function must be a string",
        ),
        (
            "{function_name='a', callback=1}".to_owned(),
            "callback argument given to redis.register_function must be a function",
        ),
        (
            format!("{{description={{}}, callback={f}}}"),
            "description argument given to redis.register_function must be a string",
        ),
        (
            format!("{{flags=1, callback={f}}}"),
            "flags argument to redis.register_function must be a table representing function flags",
        ),
        (format!("{{flags={{'x'}}, callback={f}}}"), "unknown flag given"),
        (format!("{{flags={{1}}, callback={f}}}"), "unknown flag given"),
        (format!("{{foo=1, callback={f}}}"), "unknown argument given to redis.register_function"),
        ("{[1]='a'}".to_owned(), "unknown argument given to redis.register_function"),
        ("{[{}]='a'}".to_owned(), "named argument key given to redis.register_function is not a string"),
    ] {
        let error = format!("ERR Error registering functions: ERR {error}");
        assert_eq!(bench.load_body(&format!("redis.register_function{arguments}")).unwrap_err(), error, "{arguments}");
    }
    let twice = format!("redis.register_function('a', {f}) redis.register_function('A', {f})");
    assert!(bench.load_body(&twice).unwrap_err().ends_with("Function already exists in the library"));
    let named = format!(
        "redis.register_function{{FUNCTION_NAME=1, Callback={f}, description=2, flags={{'NO-WRITES', 'allow-oom', x=1}}}}"
    );
    bench.load_body(&named).unwrap();
    let (_, library) = bench.engine.libraries().next().unwrap();
    let function = &library.functions()[0];
    assert_eq!((&*function.name, function.description.as_deref()), (&b"1"[..], Some(&b"2"[..])));
    assert_eq!(function.flags.names().collect::<Vec<_>>(), ["no-writes", "allow-oom"]);
}

#[test]
fn functions_get_keys_and_arguments_and_keep_what_they_captured() {
    let mut bench = Bench::new();
    let body = "local r, n = redis, 0
        redis.register_function('count', function() n = n + 1 return n end)
        redis.register_function('args', function(k, a, c) return {k[1], a[1], #k, #a, type(c)} end)
        redis.register_function('keys', function() return KEYS end)
        redis.register_function('late', function() r.register_function('x', function() end) return 1 end)
        redis.register_function('call', function() return redis.call('echo', 'x') end)
        redis.register_function('narrow', function() return r.call('echo', 'x') end)
        redis.register_function('bad', function() return redis.call('nope') end)
        redis.register_function('string', function() error('x') end)
        redis.register_function('global', function() x = 1 end)";
    bench.load_body(body).unwrap();
    bench.eval("return 1");
    assert_eq!(bench.fcall("count", &[], &[]).1, ":1\r\n");
    assert_eq!(bench.fcall("COUNT", &[], &[]).1, ":2\r\n");
    assert_eq!(bench.fcall("args", &["k"], &["a", "b"]).1, "*5\r\n$1\r\nk\r\n$1\r\na\r\n:1\r\n:2\r\n$3\r\nnil\r\n");
    assert_eq!(bench.fcall("call", &[], &[]).1, "$1\r\nx\r\n");
    for (name, error) in [
        (
            "keys",
            "ERR user_function:5: Script attempted to access nonexistent global variable 'KEYS' script: keys, on @user_function:5.",
        ),
        (
            "late",
            "ERR redis.register_function can only be called on FUNCTION LOAD command script: late, on @user_function:6.",
        ),
        (
            "narrow",
            "ERR user_function:8: Script attempted to access nonexistent global variable 'call' script: narrow, on @user_function:8.",
        ),
        ("bad", "ERR Unknown Redis command called from script script: bad, on @user_function:9."),
        ("string", "ERR user_function:10: x script: string, on @user_function:10."),
        ("global", "ERR user_function:11: Attempt to modify a readonly table script: global, on @user_function:11."),
    ] {
        assert_eq!(bench.fcall(name, &[], &[]), (ScriptEnd::Raised, format!("-{error}\r\n")), "{name}");
    }
    assert_eq!(bench.fcall("nope", &[], &[]).1, "ERR Function not found");
    assert!(bench.eval("return KEYS[1]").starts_with("$-1"), "scripts have their globals again");
}

#[test]
fn names_of_functions_are_the_shards_and_names_of_libraries_too() {
    let mut bench = Bench::new();
    bench.load("#!lua name=a\nredis.register_function('f', function() return 'a' end)").unwrap();
    let clash = bench.load("#!lua name=b\nredis.register_function('F', function() return 'b' end)");
    assert_eq!(clash.unwrap_err(), "ERR Function F already exists");
    let again = bench.engine.prepare(b"#!lua name=a\n", false, &mut Vec::new()).err().unwrap();
    assert_eq!(again.0, b"ERR Library 'a' already exists");
    bench.load("#!lua name=a\nredis.register_function('f', function() return 'new' end)").unwrap();
    assert_eq!(bench.fcall("f", &[], &[]).1, "$3\r\nnew\r\n");
    // A load that fails leaves the old one.
    assert!(bench.load("#!lua name=a\nnope()").is_err());
    assert_eq!(bench.fcall("f", &[], &[]).1, "$3\r\nnew\r\n");
    let twins = [
        &b"#!lua name=x\nredis.register_function('p', function() end)"[..],
        b"#!lua name=y\nredis.register_function('p', function() end)",
    ];
    let refused = bench.engine.prepare_all(twins.into_iter(), &mut Vec::new()).err().unwrap();
    assert_eq!(refused.0, b"ERR Function p already exists");
    let refused = bench.engine.prepare_all([twins[0], twins[0]].into_iter(), &mut Vec::new()).err().unwrap();
    assert_eq!(refused.0, b"ERR Library 'x' already exists");
}

#[test]
fn the_registry_follows_the_shards_libraries() {
    let mut bench = Bench::new();
    let code = |value: u32| -> Arc<[u8]> {
        format!("#!lua name=a\nlocal n = {value}\nredis.register_function('f', function() n = n + 1 return n end)")
            .into_bytes()
            .into()
    };
    let texts = |code: &Arc<[u8]>| BTreeMap::from([(Box::from(&b"a"[..]), code.clone())]);
    let first = code(10);
    bench.engine.follow(1, &texts(&first));
    assert_eq!(bench.fcall("f", &[], &[]).1, ":11\r\n");
    bench.engine.follow(2, &texts(&first));
    assert_eq!(bench.fcall("f", &[], &[]).1, ":12\r\n", "what did not change is not loaded again");
    bench.engine.follow(3, &texts(&code(20)));
    assert_eq!(bench.fcall("f", &[], &[]).1, ":21\r\n");
    let before = bench.engine.memory_bytes();
    for version in 4..300 {
        bench.engine.follow(version, &texts(&code(version as u32)));
    }
    while bench.engine.clean_some() {}
    assert!(bench.engine.memory_bytes() < before + (1 << 20), "what is gone is freed");
    bench.engine.follow(300, &BTreeMap::new());
    assert_eq!(bench.fcall("f", &[], &[]).1, "ERR Function not found");
    let broken: Arc<[u8]> = b"#!lua name=a\nnope()".as_slice().into();
    bench.engine.follow(301, &texts(&broken));
    assert!(
        bench.fcall("f", &[], &[]).1.starts_with("ERR Function not found, and library 'a' cannot be loaded here: ")
    );
}
