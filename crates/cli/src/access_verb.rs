//! `onrecord access`: the access policies of a server.

use std::io::Read as _;
use std::path::PathBuf;

use access::{Access, EXPECTATIONS_BYTES_MAX, Expectations, Tested};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::number;
use crate::object::{Object, list};
use crate::session::Session;
use crate::style::{BAD, GOOD, paint};
use crate::table::table;
use crate::text::plain;
use crate::token::Server;

/// Test the access policies of a server
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Test(TestArgs),
}

/// Hold who may do what against what was expected, in a TOML file
///
/// What the file does not name as permitted must be refused. Ends with 1 where something is not as expected.
#[derive(clap::Args)]
#[command(after_help = AFTER)]
struct TestArgs {
    /// The expectations
    file: PathBuf,
    #[command(flatten)]
    server: Server,
}

const AFTER: &str = r#"A file of expectations:
  [principals]
  clerk = { groups = ["credit-desk"] }
  ivy = { roles = [{ role = "investigator", trails = ["credit"] }] }

  [[expect]]
  principal = "clerk"
  trail = "credit"
  permitted = ["read-record", "search", "prove", "log", "stats", "verify"]
  masked = ["subject"]"#;

pub fn run(session: &Session, args: &Args) -> Outcome {
    let Verb::Test(args) = &args.verb;
    let expectations = Expectations::read(&read(&args.file)?)
        .map_err(|error| Failure::wrong_use(format!("{}: {error}", args.file.display())))?;
    let access = Access::check(&session.host, args.server.folder()?).map_err(|error| match error {
        access::AccessError::Store(_) | access::AccessError::File(_) => Failure::of(Exit::CouldNot, &error),
        _ => Failure::of(Exit::WrongUse, &error),
    })?;
    let tested = expectations
        .test(&access, session.host.now_ns())
        .map_err(|error| Failure::wrong_use(format!("{}: {error}", args.file.display())))?;
    session.print(&if session.json { json(&tested) } else { words(session, &tested) })?;
    Ok(if tested.differences.is_empty() { Exit::Done } else { Exit::Negative })
}

fn read(file: &PathBuf) -> Result<String, Failure> {
    let open = std::fs::File::open(file).map_err(|error| Failure::io("read", file, &error))?;
    let mut text = String::new();
    // One byte more than the limit: the reader of the text says what the limit is.
    let limit = EXPECTATIONS_BYTES_MAX as u64 + 1;
    open.take(limit).read_to_string(&mut text).map_err(|error| Failure::io("read", file, &error))?;
    Ok(text)
}

fn words(session: &Session, tested: &Tested) -> String {
    let checked = number::of(tested.checked as u64, "answer", "answers");
    if tested.differences.is_empty() {
        return format!("{}: {checked}\n", paint(GOOD, "as expected"));
    }
    let rows: Vec<Vec<String>> = tested
        .differences
        .iter()
        .map(|it| {
            let trail = it.trail.as_deref().unwrap_or("the server");
            vec![it.line.to_string(), plain(&it.principal), plain(trail), plain(&it.what)]
        })
        .collect();
    let many = number::of(tested.differences.len() as u64, "difference", "differences");
    format!(
        "{}: {many} in {checked}\n\n{}",
        paint(BAD, "not as expected"),
        table(session, &[">line", "who", "where", "what"], &rows)
    )
}

fn json(tested: &Tested) -> String {
    let differences = tested.differences.iter().map(|it| {
        Object::default()
            .field("line", it.line)
            .field("principal", &it.principal)
            .field("trail", &it.trail)
            .field("what", &it.what)
            .end()
    });
    Object::default().field("checked", tested.checked).raw("differences", &list(differences)).line()
}
