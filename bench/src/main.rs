//! Figures beside peers: each row runs the peer and OnRecord in turn, in the same run and on the same file system,
//! prints both and their ratio, and appends one line to `bench/results/<row>.jsonl`. Never a test.
//!
//! `bench/README.md` lists the rows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that cannot go on ends")]

mod args;
mod child;
mod data;
mod figures;
mod fleet;
mod floor;
mod machine;
mod made_up;
mod ours;
mod pace;
mod postgres;
mod rows;

use clap::Parser as _;

fn main() {
    use args::Row;
    let args = args::Args::parse();
    match args.row {
        Row::Append(args) => rows::append::run(&args),
        Row::Bytes(args) => rows::bytes::run(&args),
        Row::Verify(args) => rows::verify::run(&args),
        Row::Recover(args) => rows::recover::run(&args),
        Row::Seal(args) => rows::seal::run(&args),
        Row::Query(args) => rows::query::run(&args),
        Row::Memory(args) => rows::memory::run(&args),
        Row::Child { part } => child::run(part),
    }
}
