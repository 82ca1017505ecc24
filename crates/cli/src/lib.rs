//! The `onrecord` command: arguments in, words out. Everything that lasts is done by the crates below it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod access_verb;
mod append;
mod args;
mod backup;
mod case_file;
mod chart;
mod compact;
mod completions;
mod demo;
mod evidence;
mod exit;
mod export_folder;
mod export_verb;
mod failure;
mod fields;
mod filters;
mod find;
mod gaps;
mod groups;
mod init;
mod intake;
mod keys_verb;
mod listing;
mod number;
mod object;
mod progress;
mod proof_file;
mod prove;
mod reconcile;
mod remote;
mod restore;
mod rows;
mod sample;
mod sample_file;
mod search;
mod serve;
mod session;
mod sheet;
mod show;
mod source;
mod sql;
mod stats;
mod stop;
mod style;
mod table;
mod text;
mod time;
mod token;
mod verify;
mod writer;

use std::process::ExitCode;

use clap::Parser as _;

/// Does what the process's arguments ask for.
pub fn run() -> ExitCode {
    let args = args::Args::parse();
    let session = session::Session::new(&args.global);
    let done = match args.verb {
        args::Verb::Init(args) => init::run(&session, &args),
        args::Verb::Append(args) => append::run(&session, &args),
        args::Verb::Search(args) => search::run(&session, &args),
        args::Verb::Sql(args) => sql::run(&session, &args),
        args::Verb::Export(args) => export_verb::run(&session, &args),
        args::Verb::Show(args) => show::run(&session, &args),
        args::Verb::Prove(args) => prove::run(&session, &args),
        args::Verb::Gaps(args) => gaps::run(&session, &args),
        args::Verb::Reconcile(args) => reconcile::run(&session, &args),
        args::Verb::Groups(args) => groups::run(&session, &args),
        args::Verb::Sample(args) => sample::run(&session, &args),
        args::Verb::Verify(args) => verify::run(&session, &args),
        args::Verb::Compact(args) => compact::run(&session, &args),
        args::Verb::Backup(args) => backup::run(&session, &args),
        args::Verb::Restore(args) => restore::run(&session, &args),
        args::Verb::Keys(args) => keys_verb::run(&session, &args),
        args::Verb::Stats(args) => stats::run(&session, &args),
        args::Verb::Token(args) => token::run(&session, &args),
        args::Verb::Access(args) => access_verb::run(&session, &args),
        args::Verb::Demo(args) => demo::run(&session, &args),
        args::Verb::Serve(args) => serve::run(&session, &args),
        args::Verb::Completions(args) => completions::run(&session, &args),
    };
    done.unwrap_or_else(|failure| session.failed(&failure)).into()
}
