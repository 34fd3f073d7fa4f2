//! Ringkeep's program: the command line, and what each subcommand prints.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ringkeep::cli::{self, Invocation};
use ringkeep::config::{self, Config, Override, ShardCount, Source};
use ringkeep::host::{self, Verdict};
use ringkeep::log_line;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ringkeep::server::prepare();
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Invocation::Serve { source, overrides }) => serve(&source, &overrides),
        Ok(Invocation::Check { dir }) => check(&dir),
        Ok(Invocation::CheckHost { dir }) => check_host(dir),
        Err(error) => error.exit(),
    }
}

fn serve(source: &Source, overrides: &[Override]) -> ExitCode {
    let mut store = match config::load(source, overrides) {
        Ok(store) => store,
        Err(error) => return fail(error),
    };
    if let Err(error) = log_line::set_file(store.config().log_file.clone()) {
        return fail(format!("Can't open the log file: {error}"));
    }
    log_line::set_level(store.config().log_level);
    store.notices().iter().for_each(log_line::notice);
    let cores = cores_wanted(store.config());
    let wanted = store.config().clients_max;
    let allowed = host::raise_limits(wanted, cores);
    if allowed == 0 {
        return cannot_start("too few files may be open for a single client", store.config(), cores);
    }
    if let Some(lowered) = store.bound_clients(allowed) {
        log_line::warning(format_args!("maxclients is {lowered} instead of {wanted}: that many files may be open"));
    }
    match ringkeep::server::serve(&store) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cannot_start(error, store.config(), cores),
    }
}

/// Says why, and what of the machine explains it.
fn cannot_start(error: impl std::fmt::Display, config: &Config, cores: usize) -> ExitCode {
    log_line::warning(error);
    for finding in host::explain_failed_start(&config.dir, config.clients_max, cores) {
        log_line::warning(finding);
    }
    ExitCode::FAILURE
}

/// How many cores or shards want open files and locked memory.
fn cores_wanted(config: &Config) -> usize {
    let cores = host::available_cores().len();
    let shards = match config.shards {
        ShardCount::Auto => ringkeep::server::shards_in(&config.dir).unwrap_or(0),
        ShardCount::Exactly(shards) => shards.get(),
    };
    cores.max(usize::from(shards))
}

fn check(dir: &Path) -> ExitCode {
    let report = ringkeep::check::check(dir);
    println!("{report}");
    ExitCode::from(report.verdict().exit_status())
}

fn check_host(dir: Option<PathBuf>) -> ExitCode {
    let store = config::load(&Source::Defaults, &[]).expect("the defaults load");
    let config = store.config();
    let findings = host::check_host(dir.as_deref().unwrap_or(&config.dir), config.clients_max, cores_wanted(config));
    for finding in &findings {
        println!("{finding}");
    }
    ExitCode::from(u8::from(findings.iter().any(|finding| finding.verdict == Verdict::Lacking)))
}

fn fail(error: impl std::fmt::Display) -> ExitCode {
    eprintln!("ringkeep: {error}");
    ExitCode::FAILURE
}
