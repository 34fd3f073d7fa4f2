//! COMMAND INFO against a real Redis, row by row. Passes without a comparison where redis-server is not installed.

use ringkeep_shards::command::{Arguments, all, run_command};
use ringkeep_shards::reply::{Protocol, ReplySink};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A part of a reply: a value, or the header of an aggregate.
enum Token {
    Value(String),
    Array(usize),
    Set(usize),
    Map(usize),
}

/// A reply; the order of a set's elements and of a map's pairs does not count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Tree {
    Value(String),
    Array(Vec<Tree>),
    Sorted(Vec<Tree>),
}

impl Tree {
    fn build(tokens: &mut dyn Iterator<Item = Token>) -> Tree {
        match tokens.next().expect("a reply is whole") {
            Token::Value(value) => Tree::Value(value),
            Token::Array(len) => Tree::Array((0..len).map(|_| Tree::build(tokens)).collect()),
            Token::Set(len) => Tree::sorted((0..len).map(|_| Tree::build(tokens)).collect()),
            Token::Map(len) => {
                let pair = |_| Tree::Array(vec![Tree::build(tokens), Tree::build(tokens)]);
                // What a key spec notes is prose, and ours.
                let notes = |pair: &Tree| pair.elements()[0] == Tree::Value("notes".into());
                Tree::sorted((0..len).map(pair).filter(|pair| !notes(pair)).collect())
            }
        }
    }

    fn sorted(mut elements: Vec<Tree>) -> Tree {
        elements.sort();
        Tree::Sorted(elements)
    }

    fn elements(&self) -> &[Tree] {
        match self {
            Tree::Value(value) => panic!("{value} has no elements"),
            Tree::Array(elements) | Tree::Sorted(elements) => elements,
        }
    }
}

/// Collects what COMMAND writes. It has no other types than these.
#[derive(Default)]
struct Tokens(Vec<Token>);

impl ReplySink for Tokens {
    fn protocol(&self) -> Protocol {
        Protocol::Resp3
    }
    fn simple_bytes(&mut self, text: &[u8]) {
        self.0.push(Token::Value(String::from_utf8(text.to_vec()).expect("names are text")));
    }
    fn error_bytes(&mut self, text: &[u8]) {
        panic!("{}", text.escape_ascii());
    }
    fn integer(&mut self, value: i64) {
        self.0.push(Token::Value(value.to_string()));
    }
    fn bulk(&mut self, bytes: &[u8]) {
        self.0.push(Token::Value(String::from_utf8(bytes.to_vec()).expect("names are text")));
    }
    fn null(&mut self) {
        self.0.push(Token::Value("null".into()));
    }
    fn null_array(&mut self) {
        unreachable!();
    }
    fn array(&mut self, len: usize) {
        self.0.push(Token::Array(len));
    }
    fn map(&mut self, pairs: usize) {
        self.0.push(Token::Map(pairs));
    }
    fn set(&mut self, len: usize) {
        self.0.push(Token::Set(len));
    }
    fn push(&mut self, _: usize) {
        unreachable!();
    }
    fn double(&mut self, _: f64) {
        unreachable!();
    }
    fn boolean(&mut self, _: bool) {
        unreachable!();
    }
    fn big_number(&mut self, _: &[u8]) {
        unreachable!();
    }
    fn verbatim(&mut self, _: [u8; 3], _: &[u8]) {
        unreachable!();
    }
    fn attribute(&mut self, _: usize) {
        unreachable!();
    }
    fn encoded(&mut self, _: &[u8]) {
        unreachable!();
    }
}

/// A Redis of this test's own.
struct Redis {
    child: Child,
    stream: BufReader<TcpStream>,
}

impl Redis {
    /// None if it is not installed.
    fn start() -> Option<Redis> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let until = Instant::now() + Duration::from_secs(20);
        let stream = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > until => panic!("redis-server does not listen: {error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Some(Redis { child, stream: BufReader::new(stream) })
    }

    fn ask(&mut self, arguments: &[&str]) -> Tree {
        let mut request = format!("*{}\r\n", arguments.len());
        for argument in arguments {
            request += &format!("${}\r\n{argument}\r\n", argument.len());
        }
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        Tree::build(&mut std::iter::from_fn(|| Some(self.token())))
    }

    fn token(&mut self) -> Token {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        let number = || rest.parse::<usize>().unwrap();
        match kind {
            "+" | ":" => Token::Value(rest.into()),
            "_" => Token::Value("null".into()),
            "*" => Token::Array(number()),
            "~" => Token::Set(number()),
            "%" => Token::Map(number()),
            "$" => {
                let mut bytes = vec![0; number() + 2];
                self.stream.read_exact(&mut bytes).unwrap();
                Token::Value(String::from_utf8(bytes).unwrap().trim_end().into())
            }
            _ => panic!("{line}"),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn command_info_says_what_redis_says() {
    let Some(mut redis) = Redis::start() else { return };
    let hello = redis.ask(&["HELLO", "3"]);
    let version = hello.elements().iter().find(|pair| pair.elements()[0] == Tree::Value("version".into())).unwrap();
    // Redis 7.2 has other tips than 7.0, and a few other flags.
    let same_version = matches!(&version.elements()[1], Tree::Value(version) if version.starts_with("7.2."));
    let mut compared = 0;
    for command in all().iter().flat_map(|command| std::iter::once(*command).chain(command.subcommands)) {
        let mut tokens = Tokens::default();
        let arguments: &[&[u8]] = &[b"COMMAND", b"INFO", command.name.as_bytes()];
        run_command(Arguments::new(arguments), &mut tokens).unwrap();
        let ours = Tree::build(&mut tokens.0.into_iter());
        let theirs = redis.ask(&["COMMAND", "INFO", command.name]);
        let (ours, theirs) = (&ours.elements()[0], &theirs.elements()[0]);
        if *theirs == Tree::Value("null".into()) {
            assert!(!same_version || OWN.contains(&command.name), "{} is no command of Redis", command.name);
            continue;
        }
        for (field, what) in
            ["name", "arity", "flags", "first key", "last key", "step", "categories", "tips", "key specs"]
                .into_iter()
                .enumerate()
        {
            if EXTENDED.contains(&(command.name, what)) {
                continue;
            }
            if same_version || (what != "tips" && !NEWER.contains(&(command.name, what))) {
                assert_eq!(ours.elements()[field], theirs.elements()[field], "{what} of {}", command.name);
            }
        }
        compared += 1;
    }
    assert!(compared >= 40, "{compared}");
}

/// Commands of our own.
const OWN: &[&str] = &["script|list"];

/// Commands that take more here than in Redis.
const EXTENDED: &[(&str, &str)] = &[("script|kill", "arity")];

/// What Redis 7.2 says otherwise than 7.0.
const NEWER: &[(&str, &str)] = &[("command|getkeys", "arity"), ("command|getkeysandflags", "arity"), ("wait", "flags")];
