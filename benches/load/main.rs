//! The whole-server load: every row of "what it must reach", measured against a real Redis or Valkey on this machine.
//!
//! `cargo bench --bench load` runs all of it; `-- --only get --pairs 3 --seconds 1` a part; `-- --list` names the rows. Under
//! `cargo test` it runs a few seconds, to show that it works: a ratio of so short a run means nothing.
//!
//! The server is pinned to core 0, the load to core 1. Ours and theirs run in turn, pair by pair, so that what the host does
//! meanwhile meets both; a row's figure is the median of its pairs' ratios.

#[path = "../../tests/common/mod.rs"]
mod common;

mod arguments;
mod contest;
mod generator;
mod large_value;
mod machine;
mod memory;
mod preload;
mod report;
mod requests;
mod restart;
mod scanner;
mod scripts;
mod servers;
mod shards;
mod tail_latency;
mod throughput;

use arguments::Arguments;
use clap::Parser;
use report::Report;
use servers::Servers;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// A row of the table: its name, what it must reach in words, and how it is measured.
pub struct Row {
    name: &'static str,
    run: fn(&Row, &Servers, &mut Report) -> Result<(), String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let rows: Vec<Row> = [
        throughput::rows(),
        scripts::rows(),
        shards::rows(),
        large_value::rows(),
        memory::rows(),
        restart::rows(),
        tail_latency::rows(),
    ]
    .into_iter()
    .flatten()
    .collect();
    if arguments.list {
        rows.iter().for_each(|row| println!("{}", row.name));
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<&Row> = rows.iter().filter(|row| arguments.wants(row.name)).collect();
    if chosen.is_empty() {
        eprintln!("no row is called like that; --list names them");
        return ExitCode::FAILURE;
    }
    machine::raise_open_files_limit();
    if let Err(reason) = machine::pin_to(machine::LOAD_CORE) {
        println!("the load is not pinned ({reason}): server and load share cores, so no figure here means anything");
    }
    let servers = Servers::new(arguments);
    let mut report = Report::new();
    println!("{}", servers.describe());
    for row in chosen {
        let before = machine::Ticks::now();
        // A server that answers nonsense panics in the client; the other rows can still be measured.
        let result = catch_unwind(AssertUnwindSafe(|| (row.run)(row, &servers, &mut report)));
        if let Err(reason) = result.unwrap_or_else(|_| Err("it panicked, see above".to_owned())) {
            report.cannot(row.name, &reason);
        }
        report.note_steal(row.name, before.stolen_percent_since());
    }
    report.print();
    match servers.arguments().check && report.is_below_target() {
        true => ExitCode::FAILURE,
        false if report.is_broken() => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
