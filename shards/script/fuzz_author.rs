//! The programs of the fuzz: what a seed makes is always the same.

use crate::dice::Dice;

/// Writes random programs. Most of what it writes is valid; what is not raises an error, which is as good.
pub(super) struct Author {
    dice: Dice,
    out: String,
    /// Nothing in it depends on addresses, on the order of a hash table or on the garbage collector.
    is_repeatable: bool,
    depth: usize,
    loops: usize,
}

const LOCALS: &[&str] = &["a", "b", "c", "d", "e", "f"];

impl Author {
    /// The program of a seed.
    pub(super) fn program(seed: u64, is_repeatable: bool) -> String {
        let mut author = Author { dice: Dice::new(seed), out: String::new(), is_repeatable, depth: 0, loops: 0 };
        author.line("local out = {}");
        author.line("local function S(v) local k = type(v) if k == 'number' or k == 'string' or k == 'boolean' or k == 'nil' then return string.sub(tostring(v), 1, 100) end return k end");
        author.line("local function P(...) for i = 1, math.min(select('#', ...), 5) do out[#out + 1] = S((select(i, ...))) end if #out > 200 then out = {#out} end return ... end");
        author.line(
            "local a, b, c, d, e, f = 3, 'text', {1, 2, 3}, function(...) return ... end, nil, setmetatable({}, {})",
        );
        let statements = author.dice.within(2..9);
        for _ in 0..statements {
            if author.dice.percent(70) {
                author.line("P(pcall(function()");
                author.statement();
                author.line("end))");
            } else {
                author.statement();
            }
        }
        if author.dice.percent(5) {
            author.out = mangled(&mut author.dice, &author.out);
        }
        author.line("return table.concat(out, ' ')");
        author.out
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn count(&mut self) -> usize {
        // Nested loops stay short enough to come to an end.
        let most = [3000, 60, 12, 3][self.loops.min(3)];
        self.dice.within(1..most + 1)
    }

    fn local(&mut self) -> &'static str {
        self.dice.pick(LOCALS)
    }

    fn block(&mut self) {
        for _ in 0..self.dice.within(1..4) {
            self.statement();
        }
    }

    fn statement(&mut self) {
        if self.depth > 5 || self.out.len() > 6000 {
            let (name, value) = (self.local(), self.expression());
            return self.line(&format!("{name} = {value}"));
        }
        self.depth += 1;
        match self.dice.below(if self.is_repeatable { 26 } else { 33 }) {
            0..=2 => {
                let (name, value) = (self.local(), self.expression());
                self.line(&format!("{name} = {value}"));
            }
            3..=5 => {
                let count = self.count();
                self.loops += 1;
                self.line(&format!("for i = 1, {count} do"));
                self.block();
                self.line("end");
                self.loops -= 1;
            }
            6 => {
                let (count, condition) = (self.count(), self.expression());
                self.loops += 1;
                self.line(&format!("do local n = 0 while n < {count} and ({condition}) ~= 77 do n = n + 1"));
                self.block();
                self.line("end end");
                self.loops -= 1;
            }
            7 => {
                let condition = self.expression();
                self.line(&format!("if {condition} then"));
                self.block();
                self.line("else");
                self.block();
                self.line("end");
            }
            8 | 9 => {
                self.line("P(pcall(function(...)");
                self.block();
                let value = self.expression();
                self.line(&format!("return {value} end, a, b))"));
            }
            10 => {
                self.line("P(xpcall(function()");
                self.block();
                self.line("error(b) end, function(m)");
                self.block();
                self.line("return S(m) end))");
            }
            11 => {
                let value = self.expression();
                let level = self.dice.below(4);
                self.line(&format!("if a ~= 5 then error({value}, {level}) end"));
            }
            12 | 13 => {
                let (name, count) = (self.local(), self.count());
                self.line("do local co = coroutine.wrap(function(...)");
                self.block();
                self.loops += 1;
                self.line(&format!("for i = 1, {count} do coroutine.yield(i, a)"));
                self.block();
                self.line("end");
                self.loops -= 1;
                self.line("return 'end' end)");
                let resumes = self.count();
                self.line(&format!("for i = 1, {resumes} do {name} = co(i) end end"));
            }
            14 => {
                self.line("do local co = coroutine.create(function()");
                self.block();
                self.line("local function deep(n) if n == 0 then coroutine.yield(n) error('deep') end local inner = coroutine.create(deep) P(coroutine.resume(inner, n - 1)) coroutine.yield() P(coroutine.resume(inner)) end");
                let depth = self.dice.within(1..300);
                self.line(&format!("deep({depth}) end) P(coroutine.resume(co)) P(coroutine.resume(co)) P(coroutine.status(co)) end"));
            }
            15 => {
                let name = self.dice.pick(&["c", "e", "f"]);
                let method = self.dice.pick(&[
                    "__index", "__newindex", "__lt", "__le", "__eq", "__concat", "__call", "__add", "__unm", "__len",
                    "__mod", "__tostring", "__metatable", "__pow",
                ]);
                self.line(&format!("{name} = setmetatable({{1, 2}}, {{{method} = function(x, y, z)"));
                self.block();
                let value = self.expression();
                self.line(&format!("return {value} end}})"));
                self.line(&format!("P({name}.zz, #{name})"));
                let use_of = self.dice.pick(&["$.q = 4", "P($ < $)", "P($ .. 'x')", "P($(1, 2))", "P($ + 1)", "P(-$)", "P($ == f)", "P($ % 3)"]);
                self.line(&use_of.replace('$', name));
            }
            16 | 17 => {
                let (size, fill) = (self.count().min(600), self.dice.within(3..1000));
                self.line(&format!("do local t = {{}} for i = 1, {size} do t[i] = (i * 7919) % {fill} end"));
                let comparator = self.dice.pick(&[
                    "",
                    ", function(x, y) return x > y end",
                    ", function(x, y) return true end",
                    ", function(x, y) return x <= y end",
                    ", function(x, y) if x == 3 then error('sort') end return x < y end",
                    ", function(x, y) t[1] = nil return x < y end",
                    ", function(x, y) t[#t + 1] = 1 return x < y end",
                    ", function(x, y) P(pcall(error, x)) return x < y end",
                    ", function(x, y) return nil end",
                    ", function(x, y) return coroutine.yield(x) end",
                    ", function(x, y) table.sort({3, 2, 1}, function(p, q) return p < q end) return x < y end",
                    ", function(x, y) return coroutine.wrap(function() return x < y end)() end",
                ]);
                self.line(&format!("P(pcall(table.sort, t{comparator})) P(t[1], t[#t], #t) end"));
            }
            18 | 19 => {
                let (command, key) = (self.dice.pick(&["set", "get", "incr", "echo", "mget", "nosuch"]), self.dice.below(5));
                let call = self.dice.pick(&["call", "pcall"]);
                let value = self.expression();
                let rest = match command {
                    "set" => format!(", 'k{key}', {value}"),
                    "mget" => format!(", 'k{key}', 'k1', 'k2'"),
                    "echo" => format!(", {value}"),
                    _ => format!(", 'k{key}'"),
                };
                self.line(&format!("P(redis.{call}('{command}'{rest}))"));
            }
            20 => {
                let kind = self.dice.pick(&["'set'", "'double'", "'boolean'", "'big'", "'verbatim'", "'empty'", "'error-inside'", "'nested', '30'", "'large', '3000'", "'map'"]);
                let protocol = self.dice.within(2..4);
                self.line(&format!("redis.setresp({protocol}) P(redis.pcall('reply', {kind})) redis.setresp(2)"));
            }
            21 => {
                let name = self.local();
                let text = self.dice.pick(&[
                    "return 1 + 1", "local x = ... return x", "syntax error here", "for i = 1, 100 do local t = {i} end return 7",
                    "return function() return 3 end", "error('loaded')", "return redis.call('get', 'k1')",
                ]);
                let loader = self.dice.pick(&["loadstring", "load"]);
                self.line(&format!("{name} = {loader}({}) if {name} then P(pcall({name}, 5)) end", quoted(text)));
            }
            22 => {
                let depth = self.dice.within(10..100_000);
                let form = self.dice.pick(&[
                    "local function r(n) if n == 0 then return 1 end return 1 + r(n - 1) end P((pcall(r, $)))",
                    "local function r(n) if n == 0 then return 1 end return r(n - 1) end P(pcall(r, $))",
                    "local function r(n, ...) if n == 0 then return select('#', ...) end return r(n - 1, n, ...) end P((pcall(r, math.min($, 300))))",
                    "local function r(n) if n == 0 then return 1 end local ok, v = pcall(r, n - 1) return v end P((r(math.min($, 150))))",
                    "local m = {} m.__index = function(t, k) return setmetatable({}, m)[k + 1] end P((pcall(function() return setmetatable({}, m)[1] end)))",
                    "local function r() local ok = pcall(r) error({}) end P((pcall(r)))",
                ]);
                self.line(&format!("do {} end", form.replace('$', &depth.to_string())));
            }
            23 => {
                let count = self.count();
                self.line(&format!("do local t = {{}} for i = 1, {count} do t[i] = i end P(select('#', unpack(t))) P(pcall(unpack, t, 1, 1e6)) P((pcall(unpack, t, -5, 1e8))) end"));
            }
            24 | 25 => {
                let value = self.expression();
                let form = self.dice.pick(&[
                    "P(cjson.encode($))", "P(cjson.decode(cjson.encode({$})))", "P(pcall(cjson.decode, $))",
                    "P(#cmsgpack.pack($, $))", "P(cmsgpack.unpack(cmsgpack.pack($)))", "P(pcall(cmsgpack.unpack, $))",
                    "P(#struct.pack('>I2hs', 1, 2, 'x'))", "P(pcall(struct.unpack, '>I4', $))", "P(pcall(struct.pack, $, 1, 2))",
                    "local t = {} for i = 1, 200 do t = {t} end P((pcall(cjson.encode, t))) P((pcall(cmsgpack.pack, t)))",
                    "local t = {} t[1] = t P((pcall(cjson.encode, t))) P((pcall(cmsgpack.pack, t)))",
                    "P(pcall(cjson.decode, string.rep('[', 2000)))",
                    "P(pcall(cmsgpack.unpack, string.rep('\\145', 2000)))",
                    "P(redis.sha1hex($))", "P(pcall(redis.error_reply, $))", "P(bit.band(1, 2), pcall(bit.lshift, $, 3))",
                ]);
                self.line(&format!("do {} end", form.replace('$', &value)));
            }
            26 => {
                let option = self.dice.pick(&["", "'collect'", "'count'", "'step'", "'step', 100", "'stop'", "'setpause', 1", "'generational'"]);
                self.line(&format!("P(collectgarbage({option}))"));
            }
            27 => self.line("for k, v in pairs(_G) do P(k, tostring(v)) for k2, v2 in pairs(type(v) == 'table' and v or {}) do P(k2) end end"),
            28 => {
                let size = self.dice.within(1..3_000_000);
                let name = self.local();
                let form = self.dice.pick(&[
                    "$ = string.rep('abc', #)", "$ = string.rep('x', #) .. string.rep('y', #)", "$ = {} for i = 1, # do $[i] = i end",
                    "$ = {} for i = 1, # do $['k' .. i] = {} end", "$ = '' for i = 1, # % 5000 do $ = $ .. 'longer and longer' end",
                    "$ = string.format('%' .. # % 120 .. 's', 'x')", "$ = {} for i = 1, # % 3000 do $[i] = coroutine.create(function() end) end",
                    "$ = {} for i = 1, # % 20000 do $[i] = function() return i end end", "$ = setmetatable({}, {__mode = 'kv'}) for i = 1, # % 9000 do $[{}] = {} end",
                ]);
                self.line(&form.replace('$', name).replace('#', &size.to_string()));
            }
            29 => {
                let form = self.dice.pick(&[
                    "while true do end", "while true do pcall(error, 'x') end", "while true do local co = coroutine.wrap(function() while true do coroutine.yield() end end) co() co() end",
                    "repeat local ok, m = pcall(redis.call, 'nosuch') until false", "while true do a = {a} end", "while true do b = S(b) .. 'x' end",
                    "local t = {} while true do t[#t + 1] = coroutine.wrap(function() coroutine.yield(string.rep('z', 1000)) end) t[#t]() end",
                    "while true do pcall(table.sort, {1, 2, 3, 4}, function() while true do end end) end",
                    "while true do pcall(string.gsub, 'aaa', '.', function() error({}) end) end",
                    "while true do string.find(string.rep('a', 12), '.-.-.-b') end",
                    "while true do pcall(string.rep, 'x', 1e9) end",
                    "while true do load('return 1')() end",
                    "local function r() return pcall(r) end while true do r() end",
                    "local function r() local x = pcall(r) return x end while true do r() end",
                    "while true do xpcall(error, function(m) local t = {} for i = 1, 100 do t[i] = {} end error(m) end) end",
                ]);
                self.line(&format!("do {form} end"));
            }
            30 => self.line("a = tostring(c) .. tostring(d) .. tostring(coroutine.create(d)) P(a)"),
            31 => {
                let value = self.expression();
                self.line(&format!("P(pcall(next, c, {value})) P(pcall(rawset, _G, {value}, 1)) P(pcall(setmetatable, '', {{}})) P(pcall(rawset, redis, 'x', 1))"));
            }
            _ => {
                let value = self.expression();
                self.line(&format!("redis.log(redis.LOG_NOTICE, S({value})) P(pcall(redis.log, {value}, b))"));
                self.line("redis.set_repl(redis.REPL_ALL) P(pcall(redis.replicate_commands)) P(redis.status_reply('OK'))");
            }
        }
        self.depth -= 1;
    }

    fn expression(&mut self) -> String {
        if self.depth > 7 {
            return self.local().to_owned();
        }
        self.depth += 1;
        let made = match self.dice.below(24) {
            0 | 1 => self.local().to_owned(),
            2 => self.dice.below(1000).to_string(),
            3 => self
                .dice
                .pick(&["0", "-1", "1e308 * 10", "0/0", "2^53", "-2^31", "0.1", "nil", "true", "false", "1e15"])
                .to_owned(),
            4 => self
                .dice
                .pick(&["''", "'abc'", "'12'", "'%d'", "'\\0\\1'", "'[]'", "'{\"x\":[1,2]}'", "'\\131\\161x'"])
                .to_owned(),
            5..=7 => {
                let operator = self.dice.pick(&["+", "-", "*", "/", "%", "^", "..", "==", "~=", "and", "or"]);
                let (left, right) = (self.expression(), self.expression());
                format!("({left} {operator} {right})")
            }
            8 => {
                let (left, right) = (self.expression(), self.expression());
                let operator = self.dice.pick(&["<", "<=", ">"]);
                format!("({left} {operator} {right})")
            }
            9 => format!("{{{}, {}}}", self.expression(), self.expression()),
            10 => format!("{{x = {}}}", self.expression()),
            11 => {
                let name = self.local();
                let field = self.dice.pick(&["x", "y", "[1]", "[2]"]);
                if field.starts_with('[') { format!("{name}{field}") } else { format!("{name}.{field}") }
            }
            12 => format!("function(...) return {} end", self.expression()),
            13 => format!("(P({}))", self.expression()),
            14 => format!("d({}, {})", self.expression(), self.expression()),
            15 => format!("S({})", self.expression()),
            16 | 17 => {
                let text = self.expression();
                let form = self.dice.pick(&[
                    "string.rep(S($), 50)",
                    "string.sub(S($), 2, -2)",
                    "string.upper(S($))",
                    "#S($)",
                    "string.byte(S($), 1)",
                    "string.reverse(S($))",
                    "string.format('%5.2f|%-8s|%q', 3.7, S($), S($))",
                    "(string.find(S($), '(%w+)'))",
                    "(string.gsub(S($), '%w', '%0%0'))",
                    "(string.gsub(S($), '.', {a = 'b'}))",
                    "string.match(S($), '^(.-)%d*$')",
                    "(string.gsub(S($), '', function(x) return P(x) end))",
                    "string.format(S($), 1, 2, 3)",
                    "(string.find(S($), S($)))",
                    "string.find(string.rep('a', 25), '.-.-.-b')",
                    "(string.gsub(string.rep('ab', 100), 'a(b)', function(x) return x .. '1' end))",
                ]);
                form.replace('$', &text)
            }
            18 => {
                let value = self.expression();
                let form = self.dice.pick(&[
                    "math.floor($)",
                    "math.max(1, $)",
                    "math.random(10)",
                    "math.fmod(7, $)",
                    "tonumber($)",
                    "math.abs($)",
                    "tonumber(S($), 16)",
                ]);
                form.replace('$', &value)
            }
            19 => {
                let value = self.expression();
                let form = self.dice.pick(&[
                    "#$",
                    "-$",
                    "not $",
                    "type($)",
                    "(unpack({1, $}))",
                    "select('#', $, $)",
                    "rawequal($, 1)",
                    "(rawget(c, $))",
                ]);
                form.replace('$', &value)
            }
            20 => {
                let value = self.expression();
                let form = self.dice.pick(&[
                    "table.concat({1, 2, $})",
                    "table.concat(c, S($))",
                    "table.insert(c, $)",
                    "table.remove(c)",
                    "table.maxn({1, $})",
                    "#table.concat({S($), S($)}, ',', 1, 2)",
                ]);
                form.replace('$', &value)
            }
            21 => "(function(...) local n = 0 for i = 1, 50 do n = n + i end return n, ... end)(a)".to_owned(),
            22 => {
                let value = self.expression();
                format!("(coroutine.wrap(function(x) return {value} end)(1))")
            }
            _ => {
                let value = self.expression();
                format!("(pcall(function() return {value} end))")
            }
        };
        self.depth -= 1;
        // What nests doubles: it stays short.
        if made.len() > 1500 { self.local().to_owned() } else { made }
    }
}

fn quoted(text: &str) -> String {
    format!("[==[{text}]==]")
}

/// Some bytes of it are gone, or others.
fn mangled(dice: &mut Dice, text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..dice.within(1..4) {
        if bytes.is_empty() {
            break;
        }
        let at = dice.below(bytes.len());
        match dice.below(3) {
            0 => bytes[at] = dice.pick(&[&b' ', &b'(', &b'"', &b'=', &b'e', &b'\n']).to_owned(),
            1 => drop(bytes.remove(at)),
            _ => bytes.truncate(at + 1),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
