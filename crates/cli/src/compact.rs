//! `onrecord compact`: small files of the lake become larger ones.

use trail::Compacted;

use crate::exit::Exit;
use crate::failure::Outcome;
use crate::number;
use crate::object::Object;
use crate::session::Session;
use crate::stop::Stop;
use crate::table::table;
use crate::time;
use crate::writer::Way;

/// Merge a trail's small files into larger ones, now
///
/// A running writer does so by itself once there are enough of a size. No record changes, nor its digest; files that were
/// merged stay for an hour, for whoever is reading them. The table's log gets a checkpoint, and what is older than the two
/// newest goes.
#[derive(clap::Args)]
pub struct Args {
    /// The trail's folder
    pub trail: String,
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    let folder = session.folder(&args.trail)?;
    let stop = Stop::on_signals()?;
    let mut way = Way::find(session, &folder)?;
    let done = way.compact()?;
    way.finish(session, false, &stop)?;
    let text = if session.json { json(&done) } else { words(session, &done) };
    session.print(&text)?;
    Ok(Exit::Done)
}

fn json(done: &Compacted) -> String {
    Object::default()
        .field("files_before", done.files_before)
        .field("files_after", done.files_after)
        .field("bytes_before", done.bytes_before)
        .field("bytes_after", done.bytes_after)
        .field("rows_rewritten", done.rewritten)
        .field("files_removed", done.removed)
        .field("files_left", done.left)
        .field("log_checkpoint", done.checkpoint)
        .field("log_removed", done.log_removed)
        .field("log_left", done.log_left)
        .field("seconds", done.elapsed.as_secs_f64())
        .line()
}

fn words(session: &Session, done: &Compacted) -> String {
    let row = |name: &str, files: u64, bytes: u64| vec![name.to_owned(), number::count(files), number::bytes(bytes)];
    let rows = [row("before", done.files_before, done.bytes_before), row("after", done.files_after, done.bytes_after)];
    let mut text = table(session, &["", ">files", ">bytes"], &rows);
    let rewritten = number::of(done.rewritten, "record", "records");
    text += &format!("\nrewrote {rewritten} in {}", time::span(done.elapsed));
    if done.removed > 0 {
        text += &format!("; removed {} that nobody needs", number::of(done.removed, "file", "files"));
    }
    if done.left > 0 {
        text += &format!("; {} that someone may still read", number::of(done.left, "file stays", "files stay"));
    }
    if let Some(version) = done.checkpoint {
        text += &format!("\nwrote a checkpoint of the table's log at version {}", number::count(version));
    }
    let of_log = |files: u64| number::of(files, "older file of the log", "older files of the log");
    if done.log_removed > 0 {
        text += &format!("; removed {}", of_log(done.log_removed));
    }
    if done.log_left > 0 {
        text += &format!(
            "\n{} for now: someone reads the lake",
            of_log(done.log_left) + if done.log_left == 1 { " stays" } else { " stay" }
        );
    }
    text + "\n"
}
