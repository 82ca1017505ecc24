//! What can be typed. The help page lists what works, and nothing else.

use crate::{
    access_verb, append, backup, compact, completions, demo, export_verb, gaps, groups, init, keys_verb, prove,
    reconcile, restore, sample, search, serve, show, sql, stats, token, verify,
};

/// Tamper-evident records of what machine-learning models decide.
#[derive(clap::Parser)]
#[command(name = "onrecord", version, max_term_width = 100, disable_help_subcommand = true, after_help = AFTER)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

const AFTER: &str = "\
Exit status: 0 done, 1 a negative verdict or not found, 2 wrong use or bad input and nothing done,
3 could not run, 4 partly done.

To see all of it on real data: onrecord demo";

/// What every verb takes.
#[derive(clap::Args)]
pub struct Global {
    /// Write machine-readable output: one JSON document, or one a line
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Write nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// Say more of what is done
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub verbose: bool,
}

/// What can be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    Demo(demo::Args),
    Init(init::Args),
    Append(append::Args),
    Search(search::Args),
    Sql(sql::Args),
    Export(export_verb::Args),
    Show(show::Args),
    Verify(verify::Args),
    Gaps(gaps::Args),
    Reconcile(reconcile::Args),
    Groups(groups::Args),
    Sample(sample::Args),
    Prove(prove::Args),
    Stats(stats::Args),
    Compact(compact::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Serve(serve::Args),
    Token(token::Args),
    Access(access_verb::Args),
    Keys(keys_verb::Args),
    Completions(completions::Args),
}
