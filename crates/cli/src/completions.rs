//! `onrecord completions`: what a shell needs to complete the command.

use clap::CommandFactory as _;

use crate::exit::Exit;
use crate::failure::Outcome;
use crate::session::Session;

/// Print the completion script of a shell
#[derive(clap::Args)]
pub struct Args {
    /// The shell
    pub shell: clap_complete::Shell,
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::args::Args::command(), "onrecord", &mut script);
    session.print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
