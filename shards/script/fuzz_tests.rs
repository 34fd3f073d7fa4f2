//! Random programs under random slices, random stops and little memory: the process lives, whoever is stopped ends, and slices change
//! nothing of what a program comes to.
//!
//! `RINGKEEP_FUZZ_SEEDS=from..to` chooses other seeds; each is one session of an engine with several programs at once. With
//! `RINGKEEP_FUZZ_SHOW` set every program is shown before it runs: where a process dies, the last one is to blame.

use super::fake_host::{FakeHost, Wire};
use super::fuzz_author::Author;
use super::{
    CallEnd, Interrupt, LogLevel, RunId, Script, ScriptEnd, ScriptEngine, ScriptFlags, ScriptHost, ScriptLimits,
};
use crate::dice::{Dice, seeds};
use crate::reply::{Protocol, ReplySink};

const SEEDS: &str = "RINGKEEP_FUZZ_SEEDS";
/// Slices that a program may take before it is stopped.
const SLICES_MAX: usize = 200;
/// No slice of so few instructions takes as long as this, whatever else the machine does.
const SLICE_SECONDS_MAX: u64 = 20;
/// What a VM that was cleaned holds at most, in bytes.
const CLEAN_VM_BYTES_MAX: usize = 4 << 20;

/// A shard that lets a script wait now and then.
struct Waiting {
    host: FakeHost,
    dice: Dice,
    percent: usize,
}

impl ScriptHost for Waiting {
    fn begin(&mut self, flags: ScriptFlags, read_only: bool) -> Result<(), &'static str> {
        self.host.begin(flags, read_only)
    }
    fn expect(&mut self, _: &[&[u8]]) {}
    fn passed_on(&mut self, _: &[u8]) {}
    fn call(&mut self, arguments: &[&[u8]], reply: &mut dyn ReplySink) -> CallEnd {
        if self.dice.percent(self.percent) {
            return CallEnd::Wait;
        }
        self.host.call(arguments, reply)
    }
    fn log(&mut self, level: LogLevel, message: &[u8]) {
        if self.host.logged.len() < 100 {
            self.host.log(level, message);
        }
    }
    fn set_protocol(&mut self, protocol: Protocol) {
        self.host.set_protocol(protocol);
    }
    fn acl_check(&mut self, arguments: &[&[u8]]) -> Option<bool> {
        self.host.acl_check(arguments)
    }
}

/// An engine, whose slices are timed.
struct Session {
    engine: ScriptEngine,
    interrupt: Interrupt,
    host: Waiting,
}

impl Session {
    fn new(limits: ScriptLimits, instructions: u32, waits_percent: usize) -> Self {
        let interrupt = Interrupt::counting(instructions);
        let engine = ScriptEngine::new(limits, interrupt.clone()).expect("a VM can be made");
        let host = Waiting { host: FakeHost::default(), dice: Dice::new(instructions.into()), percent: waits_percent };
        Session { engine, interrupt, host }
    }

    #[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test that watches the time asks a clock")]
    fn timed(&mut self, what: &str, step: impl FnOnce(&mut Self) -> ScriptEnd) -> ScriptEnd {
        let began = std::time::Instant::now();
        let end = step(self);
        let took = began.elapsed();
        assert!(took.as_secs() < SLICE_SECONDS_MAX, "a slice took {took:?}:\n{what}");
        end
    }

    fn begin(&mut self, source: &str, wire: &mut Wire) -> ScriptEnd {
        self.timed(source, |session| {
            session.interrupt.begin();
            let script = Script::Source(source.as_bytes());
            let end = session.engine.run(script, &[b"k1", b"k2"], &[b"1"], false, &mut session.host, wire);
            session.interrupt.end();
            end
        })
    }

    fn go_on(&mut self, run: RunId, source: &str, wire: &mut Wire) -> ScriptEnd {
        self.timed(source, |session| {
            session.interrupt.begin();
            let end = session.engine.go_on(run, &mut session.host, wire);
            session.interrupt.end();
            end
        })
    }

    fn stop(&mut self, run: RunId, source: &str, text: Option<&'static str>, wire: &mut Wire) {
        let end = self.timed(source, |session| session.engine.stop(run, text, wire));
        match text {
            Some(text) => {
                assert_eq!(end, ScriptEnd::Raised, "{source}");
                let reply = String::from_utf8_lossy(&wire.bytes);
                let is_said = reply.starts_with(&format!("-{text}")) || reply.contains("not enough memory");
                assert!(is_said, "{reply}: {source}");
            }
            None => {
                assert_eq!(end, ScriptEnd::Abandoned, "{source}");
                assert!(wire.bytes.is_empty(), "{source}");
            }
        }
    }

    /// Runs a program to its end; none if that does not come.
    fn whole(&mut self, source: &str) -> Option<String> {
        let mut wire = Wire::default();
        let mut end = self.begin(source, &mut wire);
        let mut instructions = 0;
        while let ScriptEnd::Aside(run) = end {
            instructions += self.interrupt_length();
            if instructions > 4_000_000 {
                self.stop(run, source, None, &mut wire);
                return None;
            }
            end = self.go_on(run, source, &mut wire);
        }
        Some(format!("{end:?} {}", String::from_utf8_lossy(&wire.bytes)))
    }

    fn interrupt_length(&self) -> u64 {
        self.interrupt.counted().into()
    }

    /// Nothing is left of what ran.
    fn comes_to_rest(&mut self, vms_max: usize) {
        self.interrupt.count(0);
        // Garbage of others of the pool may be what passes the limit.
        while self.engine.clean_some() {}
        let mut wire = Wire::default();
        assert_eq!(self.begin("return 1", &mut wire), ScriptEnd::Done, "{}", String::from_utf8_lossy(&wire.bytes));
        assert_eq!(wire.bytes, b":1\r\n");
        self.engine.flush();
        let mut turns = 0;
        while self.engine.clean_some() {
            turns += 1;
            assert!(turns < 1_000_000, "cleaning ends");
        }
        let (vms, bytes) = (self.engine.vms(), self.engine.memory_bytes());
        assert!(vms <= vms_max, "{vms} VMs of {vms_max}");
        assert!(bytes <= vms * CLEAN_VM_BYTES_MAX, "{bytes} bytes in {vms} VMs");
    }
}

#[allow(clippy::disallowed_methods, reason = "who looks for the program that ends a process asks to see it")]
fn show(source: &str) {
    if std::env::var("RINGKEEP_FUZZ_SHOW").is_ok() {
        eprintln!("---\n{source}");
    }
}

/// Several programs at once in an engine that has little of everything.
fn crowd(seed: u64) {
    let mut dice = Dice::new(seed);
    let vms_max = dice.within(2..7);
    let limits = ScriptLimits {
        memory_bytes_max: dice.within(1..9) << 20,
        pool_bytes_max: dice.within(4..33) << 20,
        vms_max,
        evaluated_scripts_max: dice.within(1..40),
        jit: !dice.percent(25),
    };
    let mut session = Session::new(limits, dice.within(20..20_000) as u32, dice.below(20));
    let mut runs: Vec<(RunId, String, Wire, usize)> = Vec::new();
    let mut sources: Vec<String> = Vec::new();
    for turn in 0..60 {
        match dice.below(20) {
            0..=7 => {
                let source = if !sources.is_empty() && dice.percent(30) {
                    sources[dice.below(sources.len())].clone()
                } else {
                    Author::program(seed * 1000 + turn, false)
                };
                show(&source);
                let mut wire = Wire::default();
                if let ScriptEnd::Aside(run) = session.begin(&source, &mut wire) {
                    runs.push((run, source.clone(), wire, 1));
                }
                sources.push(source);
            }
            8..=15 if !runs.is_empty() => {
                let at = dice.below(runs.len());
                let slices = dice.within(1..30);
                for _ in 0..slices {
                    let (run, source, wire, count) = &mut runs[at];
                    *count += 1;
                    let is_over = if *count > SLICES_MAX {
                        session.stop(*run, source, dice.percent(50).then_some("ERR it was killed"), wire);
                        true
                    } else {
                        !matches!(session.go_on(*run, source, wire), ScriptEnd::Aside(_))
                    };
                    if is_over {
                        runs.swap_remove(at);
                        break;
                    }
                }
            }
            16 if !runs.is_empty() => {
                let (run, source, mut wire, _) = runs.swap_remove(dice.below(runs.len()));
                session.stop(run, &source, dice.percent(50).then_some("ERR it was killed"), &mut wire);
            }
            17 => {
                for _ in 0..dice.below(50) {
                    session.engine.clean_some();
                }
            }
            18 if dice.percent(30) => {
                session.engine.flush();
            }
            19 => session.interrupt.count(dice.within(1..20_000) as u32),
            _ => {}
        }
    }
    if dice.percent(20) {
        // The engine goes with runs still set aside.
        return;
    }
    for (run, source, mut wire, _) in runs {
        session.stop(run, &source, dice.percent(50).then_some("ERR it was killed"), &mut wire);
    }
    session.comes_to_rest(vms_max);
}

/// One program twice, in slices of different lengths. Both times it is compiled, or it is not. It is not if it has handlers of errors: an
/// error in one of them has other ends in LuaJIT's compiled code than in its interpreter, and what it compiles, LuaJIT decides by lot.
fn twice(seed: u64) {
    let source = Author::program(seed, true);
    show(&source);
    let mut dice = Dice::new(seed);
    let mut replies = Vec::new();
    let jit = !dice.percent(30) && !source.contains("xpcall");
    for instructions in [100_000, dice.within(20..3000) as u32] {
        let waits = if instructions == 100_000 { 0 } else { 20 };
        let limits = ScriptLimits { vms_max: 3, jit, ..ScriptLimits::default() };
        let mut session = Session::new(limits, instructions, waits);
        replies.push(session.whole(&source));
        session.comes_to_rest(3);
    }
    let (Some(one), Some(other)) = (&replies[0], &replies[1]) else { return };
    // Addresses differ.
    let differs = |reply: &str| reply.contains("not enough memory") || reply.contains(": 0x");
    if !differs(one) && !differs(other) {
        assert_eq!(one, other, "seed {seed}:\n{source}");
    }
}

fn all(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let result = std::panic::catch_unwind(|| {
            crowd(seed);
            twice(seed);
        });
        assert!(result.is_ok(), "seed {seed}; {SEEDS}={seed}..{} shows it again", seed + 1);
    }
}

#[test]
fn random_programs_fuzz() {
    all(seeds(SEEDS, 0..6));
}

#[test]
#[ignore = "it takes minutes"]
fn many_random_programs_fuzz() {
    all(seeds(SEEDS, 0..5000));
}
