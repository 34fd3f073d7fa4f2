//! What clients ask for, as data: a script becomes Lua for the shard, and is walked through for the model.

use super::model::Model;
use super::replies::Reply;
use crate::dice::Dice;

pub(super) const KEYS: &[&str] = &["a", "b", "c", "d", "e", "f"];
/// The error that a script is stopped with.
pub(super) const KILLED: &str = "ERR it was killed";

/// One step of a script.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Call {
        words: Vec<String>,
        is_protected: bool,
    },
    /// Takes time.
    Spin(usize),
    /// A key gets the end of another one's value, and a mark.
    Copy {
        from: String,
        to: String,
        mark: String,
    },
    /// If a key is absent.
    IfAbsent {
        key: String,
        words: Vec<String>,
    },
}

/// A script.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    /// It declares its keys.
    pub(super) declares: bool,
    /// It ends with an error that says what it saw.
    pub(super) raises: bool,
    pub(super) read_only: bool,
}

/// A command, or a script.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Plain(Vec<String>),
    Script(Program),
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub(super) enum Transaction {
    One(Item),
    Exec(Vec<Item>),
}

/// How requests are made up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taste {
    /// How many keys there are.
    pub(super) keys: usize,
    /// How many of a hundred commands write.
    pub(super) write_percent: usize,
    /// How long scripts take, at most.
    pub(super) spin_max: usize,
    pub(super) steps_max: usize,
    /// Some values are so large that they live in the log.
    pub(super) large: bool,
    pub(super) flush_percent: usize,
    pub(super) expiry_percent: usize,
}

/// Makes up requests. What it writes is written once.
pub(super) struct Author<'a> {
    pub(super) dice: &'a mut Dice,
    pub(super) taste: Taste,
    pub(super) now_ms: u64,
    pub(super) client: usize,
    pub(super) number: &'a mut usize,
}

impl Author<'_> {
    pub(super) fn key(&mut self) -> String {
        KEYS[self.dice.below(self.taste.keys)].to_owned()
    }

    fn value(&mut self) -> String {
        *self.number += 1;
        let value = format!("{}:{}", self.client, *self.number);
        if self.taste.large && self.dice.percent(30) { value + &"x".repeat(1100) } else { value }
    }

    fn words(&mut self, whole: bool) -> Vec<String> {
        let (key, other) = (self.key(), self.key());
        let line = if self.dice.percent(self.taste.write_percent) {
            if self.dice.percent(self.taste.flush_percent) {
                return vec!["flushdb".into()];
            }
            if self.dice.percent(self.taste.expiry_percent) {
                let at = self.now_ms + self.dice.below(200) as u64;
                match self.dice.below(4) {
                    0 => return vec!["set".into(), key, self.value(), "pxat".into(), at.to_string()],
                    1 => format!("persist {key}"),
                    _ => format!("pexpireat {key} {}", if self.dice.percent(20) { 1000 } else { at }),
                }
            } else {
                match self.dice.below(11) {
                    0..=2 => format!("set {key} {}", self.value()),
                    3 => format!("setnx {key} {}", self.value()),
                    4 => format!("incr {key}"),
                    5 => format!("append {key} {}", self.value()),
                    6 => format!("del {key}"),
                    7 => format!("rename {key} {other}"),
                    8 => format!("setrange {key} {} {}", self.dice.below(6), self.value()),
                    9 => format!("getdel {key}"),
                    _ if key == other => format!("set {key} 7"),
                    _ => format!("copy {key} {other} replace"),
                }
            }
        } else {
            match self.dice.below(if whole { 12 } else { 8 }) {
                0..=3 => format!("get {key}"),
                4 => format!("exists {key}"),
                5 => format!("mget {key} {other}"),
                6 => format!("strlen {key}"),
                7 => format!("pexpiretime {key}"),
                8 => "dbsize".into(),
                9 => "keys *".into(),
                10 => "scan 0 count 100".into(),
                _ => format!("mget {}", KEYS[..self.taste.keys].join(" ")),
            }
        };
        line.split(' ').map(str::to_owned).collect()
    }

    fn program(&mut self) -> Program {
        let read_only = self.dice.percent(20);
        let raises = self.dice.percent(20);
        if read_only {
            self.taste.write_percent = 0;
        }
        let (taste, count) = (self.taste, self.dice.within(1..self.taste.steps_max + 1));
        let mut steps = Vec::new();
        for _ in 0..count {
            if self.dice.percent(40) {
                steps.push(Step::Spin(self.dice.within(1..taste.spin_max + 1)));
            }
            steps.push(match self.dice.below(10) {
                0 if !read_only => Step::Copy { from: self.key(), to: self.key(), mark: format!("<{}", self.value()) },
                1 if !read_only => Step::IfAbsent { key: self.key(), words: self.words(false) },
                _ => Step::Call { words: self.words(!raises), is_protected: self.dice.percent(70) },
            });
        }
        Program { steps, declares: self.dice.percent(70), raises, read_only }
    }

    fn item(&mut self, script_percent: usize) -> Item {
        let taste = self.taste;
        let item = if self.dice.percent(script_percent) {
            Item::Script(self.program())
        } else {
            Item::Plain(self.words(true))
        };
        self.taste = taste;
        item
    }

    pub(super) fn transaction(&mut self) -> Transaction {
        match self.dice.below(10) {
            0..=3 => Transaction::One(self.item(0)),
            4..=7 => Transaction::One(self.item(100)),
            _ => self.exec(),
        }
    }

    pub(super) fn exec(&mut self) -> Transaction {
        let count = self.dice.within(1..12);
        Transaction::Exec((0..count).map(|_| self.item(20)).collect())
    }
}

impl Program {
    /// EVAL and its arguments.
    pub(super) fn words(&self) -> Vec<String> {
        let mut text = String::from(
            "local function s(v) if not v then return '~' end if type(v) ~= 'table' then return tostring(v) end \
             if v.ok or v.err then return v.ok or v.err end local t = {} for i = 1, #v do t[i] = s(v[i]) end \
             return table.concat(t, ',') end local r, x = {}, 0\n",
        );
        let list = |words: &[String]| words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
        let mut keys: Vec<String> = Vec::new();
        for step in &self.steps {
            match step {
                Step::Call { words, is_protected } => {
                    let call = if *is_protected { "pcall" } else { "call" };
                    text += &format!("r[#r + 1] = redis.{call}({})\n", list(words));
                    keys.extend(words.iter().skip(1).filter(|word| KEYS.contains(&word.as_str())).cloned());
                }
                Step::Spin(turns) => text += &format!("for i = 1, {turns} do x = x + i % 7 end\n"),
                Step::Copy { from, to, mark } => {
                    text += &format!(
                        "r[#r + 1] = redis.call('get', '{from}') \
                         redis.call('set', '{to}', string.sub(r[#r] or '~', -6) .. '{mark}')\n"
                    );
                    keys.extend([from.clone(), to.clone()]);
                }
                Step::IfAbsent { key, words } => {
                    text += &format!(
                        "r[#r + 1] = redis.call('exists', '{key}') \
                         if r[#r] == 0 then r[#r + 1] = redis.pcall({}) end\n",
                        list(words)
                    );
                    keys.push(key.clone());
                }
            }
        }
        if self.raises {
            text +=
                "local t = {} for i = 1, #r do t[i] = s(r[i]) end error('saw ' .. table.concat(t, '|') .. ' end')\n";
        } else {
            text += "return r\n";
        }
        let mut words = vec![if self.read_only { "eval_ro" } else { "eval" }.to_owned(), text];
        if !self.declares {
            keys.clear();
        }
        words.push(keys.len().to_string());
        words.extend(keys);
        words
    }

    fn walk(&self, model: &mut Model, now_ms: u64) -> Result<Vec<Reply>, String> {
        let mut replies = Vec::new();
        for step in &self.steps {
            match step {
                Step::Call { words, is_protected } => match model.run(words, now_ms) {
                    Reply::Error(text) if !is_protected => return Err(text),
                    reply => replies.push(reply),
                },
                Step::Spin(_) => {}
                Step::Copy { from, to, mark } => {
                    let held = model.run(&["get".into(), from.clone()], now_ms);
                    let text = if let Reply::Bulk(text) = &held { text.as_str() } else { "~" };
                    let value = text[text.len().saturating_sub(6)..].to_owned() + mark;
                    model.run(&["set".into(), to.clone(), value], now_ms);
                    replies.push(held);
                }
                Step::IfAbsent { key, words } => {
                    let there = model.run(&["exists".into(), key.clone()], now_ms);
                    let is_absent = there == Reply::Integer(0);
                    replies.push(there);
                    if is_absent {
                        replies.push(model.run(words, now_ms));
                    }
                }
            }
        }
        if self.raises {
            let seen: Vec<String> = replies.iter().map(in_words).collect();
            return Err(format!("saw {} end", seen.join("|")));
        }
        Ok(replies)
    }

    /// Runs it on the model; its error undoes it.
    fn run(&self, model: &mut Model, now_ms: u64) -> Reply {
        let before = model.clone();
        match self.walk(model, now_ms) {
            Ok(replies) => Reply::Array(replies),
            Err(text) => {
                let seen = std::mem::take(&mut model.seen);
                *model = before;
                model.seen = seen;
                Reply::ErrorWith(text)
            }
        }
    }
}

/// A reply as a script that raises says it.
fn in_words(reply: &Reply) -> String {
    match reply {
        Reply::Simple(text) | Reply::Error(text) | Reply::Bulk(text) => text.clone(),
        Reply::Integer(number) => number.to_string(),
        Reply::Nil => "~".into(),
        Reply::Array(elements) => elements.iter().map(in_words).collect::<Vec<_>>().join(","),
        other => panic!("a script that raises says no {other:?}"),
    }
}

impl Item {
    pub(super) fn words(&self) -> Vec<String> {
        match self {
            Item::Plain(words) => words.clone(),
            Item::Script(program) => program.words(),
        }
    }

    fn run(&self, model: &mut Model, now_ms: u64) -> Reply {
        match self {
            Item::Plain(words) => model.run(words, now_ms),
            Item::Script(program) => program.run(model, now_ms),
        }
    }
}

impl Transaction {
    /// Runs it on the model; whether the reply is right. A script of EXEC that was stopped, as the reply says, is left out.
    pub(super) fn fits(&self, model: &mut Model, now_ms: u64, reply: &Reply, was_stopped: bool) -> Result<(), Reply> {
        model.begin();
        match (self, reply) {
            (Transaction::One(item), _) => {
                let expected = item.run(model, now_ms);
                if expected.expects(reply) { Ok(()) } else { Err(expected) }
            }
            (Transaction::Exec(items), Reply::Array(replies)) => {
                let mut expected = Vec::new();
                for (place, item) in items.iter().enumerate() {
                    let is_stopped = was_stopped
                        && matches!(item, Item::Script(_))
                        && matches!(replies.get(place), Some(Reply::Error(text)) if text.starts_with(KILLED));
                    expected.push(if is_stopped { Reply::ErrorWith(KILLED.into()) } else { item.run(model, now_ms) });
                }
                let expected = Reply::Array(expected);
                if expected.expects(reply) { Ok(()) } else { Err(expected) }
            }
            (Transaction::Exec(_), _) => Err(Reply::Array(Vec::new())),
        }
    }
}
