//! `onrecord demo`.
use crate::exit::Exit;
use crate::failure::Outcome;
use crate::session::Session;
/// See the whole of it on real data
#[derive(clap::Args)]
pub struct Args {}
pub fn run(_: &Session, _: &Args) -> Outcome {
    Ok(Exit::Done)
}
