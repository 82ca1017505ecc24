//! `onrecord gaps`: what is missing of the producers' sequences.

use query::{End, Gaps, GapsAsked, Hole, Instance};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::filters::window;
use crate::number;
use crate::remote::Remote;
use crate::session::Session;
use crate::sql::{Bounds, view};
use crate::style::{BAD, DIM, GOOD, HEAD, WARN, paint};
use crate::table::{heading, table};
use crate::text::{fit, plain, wrap};
use crate::time::{span_ns, utc};

/// Show what is missing of the producers' sequences, declared and not
///
/// Each instance of a producer numbers its records, densely and from 1; a number that is not here is a record that was
/// lost. A time says which findings are shown: the sequences are read as a whole.
#[derive(clap::Args)]
#[command(after_help = "docs/completeness.md says what producers send for this, and what it shows.")]
pub struct Args {
    /// The trail: a folder or a server's
    pub trail: String,
    /// From then on: a time, a day, a span before now (2h, 7d), or FROM..UNTIL
    #[arg(long, value_name = "T")]
    pub since: Option<String>,
    /// Until then; a day is meant whole
    #[arg(long, value_name = "T")]
    pub until: Option<String>,
    /// One producer alone
    #[arg(long, value_name = "NAME")]
    pub producer: Option<String>,
    #[command(flatten)]
    pub bounds: Bounds,
}

/// Holes of an instance that are shown, unless -v asks for all.
const HOLES_SHOWN: usize = 10;

/// Cells of an instance's name.
const INSTANCE_WIDTH: usize = 12;

pub fn run(session: &Session, args: &Args) -> Outcome {
    let gaps = match Remote::of(&args.trail) {
        Some(remote) => of_server(args, &remote?)?,
        None => of_folder(session, args)?,
    };
    let text = if session.json { json(&gaps)? } else { text(session, &gaps) };
    session.print(&text)?;
    Ok(if gaps.is_good() { Exit::Done } else { Exit::Negative })
}

fn of_folder(session: &Session, args: &Args) -> Result<Gaps, Failure> {
    let view = view(session, &args.trail, args.bounds.limits())?;
    let (since, until) = window(session, args.since.as_deref(), args.until.as_deref())?;
    let until_ns = until.map(|span| if span.is_moment() { span.from } else { span.until });
    let asked = GapsAsked { since_ns: since.map(|span| span.from), until_ns, producer: args.producer.clone() };
    Ok(view.gaps(&asked)?)
}

fn of_server(args: &Args, remote: &Remote) -> Result<Gaps, Failure> {
    let given = [("since", &args.since), ("until", &args.until), ("producer", &args.producer)];
    let query: Vec<_> = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    remote.document("gaps", &query)
}

fn json(gaps: &Gaps) -> Result<String, Failure> {
    let unwritable = |error| Failure::could_not(format!("cannot write the report: {error}"));
    Ok(gaps.document().map_err(unwritable)?.to_string() + "\n")
}

/// What the verdict means.
fn meaning(gaps: &Gaps) -> String {
    let of = |n| number::of(n, "number is", "numbers are");
    match gaps.verdict() {
        "HOLES" => format!("{} missing, and nothing declares that", of(gaps.undeclared)),
        "DECLARED" => format!("{} missing, all of them declared as lost", of(gaps.declared)),
        "NOTHING" => "no record says which number it has, so nothing can be told".to_owned(),
        _ => "every sequence is whole, from 1 to its last number here".to_owned(),
    }
}

fn text(session: &Session, gaps: &Gaps) -> String {
    let (word, meaning) = (gaps.verdict(), meaning(gaps));
    let style = match word {
        "HOLES" => BAD,
        "NO HOLES" => GOOD,
        _ => WARN,
    };
    let mut out = format!("{}  {meaning}\n", paint(style, word));
    if !gaps.instances.is_empty() {
        out += "\n";
        let rows: Vec<Vec<String>> = gaps.instances.iter().map(|each| row(session, each)).collect();
        out += &table(
            session,
            &["producer", "instance", ">first", ">last", ">records", ">lost", ">declared", ">twice", "end"],
            &rows,
        );
    }
    for each in gaps.instances.iter().filter(|each| !each.holes.is_empty() || !each.silences.is_empty()) {
        out += &heading(&name(each));
        out += &findings(session, each);
    }
    out += &untold(session, gaps);
    out += &heading("not checked");
    for what in Gaps::NOT_CHECKED {
        let room = session.columns().saturating_sub(2).min(100);
        out += &wrap(what, room).iter().map(|line| format!("  {line}\n")).collect::<String>();
    }
    out
}

fn name(instance: &Instance) -> String {
    let of = instance.instance.as_deref().map(plain).unwrap_or_else(|| "no instance".to_owned());
    format!("{} · {of}", plain(&instance.producer))
}

fn row(session: &Session, each: &Instance) -> Vec<String> {
    let number = |n: Option<i64>| n.map_or_else(String::new, |n| number::count(n.unsigned_abs()));
    let instance = each.instance.as_deref().map(plain).unwrap_or_default();
    // The ends of ids tell them apart: their beginnings are a time.
    let cells = instance.chars().count();
    let instance = match cells.checked_sub(INSTANCE_WIDTH - 1) {
        Some(cut) if cells > INSTANCE_WIDTH => {
            format!("{}{}", session.glyphs.ellipsis, instance.chars().skip(cut).collect::<String>())
        }
        _ => instance,
    };
    vec![
        fit(&plain(&each.producer), 24, session.glyphs.ellipsis),
        instance,
        number(each.first),
        number(each.last),
        number::count(each.records),
        number::count(each.undeclared),
        number::count(each.declared),
        number::count(each.duplicates),
        end(each),
    ]
}

fn end(each: &Instance) -> String {
    let seconds = |ns: i64| utc(ns - ns.rem_euclid(1_000_000_000));
    match each.end {
        End::Stopped { at_ns } if each.after_stop > 0 => {
            format!("stopped {}, and {} after that", seconds(at_ns), number::of(each.after_stop, "record", "records"))
        }
        End::Stopped { at_ns } => format!("stopped {}", seconds(at_ns)),
        End::Running { last_ns } => format!("running, last {}", seconds(last_ns)),
        End::Silent { since_ns } => format!("silent since {}", seconds(since_ns)),
        End::Unknown { .. } => "tail unknown".to_owned(),
    }
}

fn findings(session: &Session, each: &Instance) -> String {
    let shown = if session.verbose { usize::MAX } else { HOLES_SHOWN };
    let mut out: String = each.holes.iter().take(shown).map(hole).collect();
    let left = each.holes.len().saturating_sub(shown);
    if left > 0 {
        out += &format!("  {}\n", paint(DIM, format!("and {} more; -v shows them", number::count(left as u64))));
    }
    let every = each.every_ns.map(span_ns).unwrap_or_default();
    for silence in each.silences.iter().take(shown) {
        let beats = number::of(silence.missing, "heartbeat", "heartbeats");
        let (from, until) = (utc(silence.from_ns), utc(silence.until_ns));
        out += &format!("  {} missing from {from} to {until}; usual is one in {every}\n", paint(WARN, beats));
    }
    out
}

fn hole(hole: &Hole) -> String {
    let range = if hole.first == hole.last {
        number::count(hole.first.unsigned_abs())
    } else {
        format!("{} to {}", number::count(hole.first.unsigned_abs()), number::count(hole.last.unsigned_abs()))
    };
    let when = match (hole.after_ns, hole.before_ns) {
        (Some(after), Some(before)) => format!("between {} and {}", utc(after), utc(before)),
        (None, Some(before)) => format!("before {}", utc(before)),
        (Some(after), None) => format!("after {}", utc(after)),
        (None, None) => "nothing else is here".to_owned(),
    };
    match hole.declared_by {
        None => format!("  {}  {}  {when}\n", paint(BAD, "lost"), paint(HEAD, range)),
        Some(index) => {
            let reason = hole.reason.as_deref().map(|reason| format!(": {}", plain(reason))).unwrap_or_default();
            format!(
                "  {}  {}  {when}; record {} declares it{reason}\n",
                paint(WARN, "declared"),
                paint(HEAD, range),
                number::count(index)
            )
        }
    }
}

/// Records of which nothing can be told.
fn untold(session: &Session, gaps: &Gaps) -> String {
    let mut lines = Vec::new();
    let mut say = |n: u64, what: &str| {
        if n > 0 {
            lines.push(format!("{} {what}", number::of(n, "record", "records")));
        }
    };
    say(gaps.without_producer, "without a producer");
    say(gaps.without_seq, "without a number");
    say(gaps.erased, "erased whole, and the number with it: as many of the lost ones may be these");
    say(gaps.declares_nothing.len() as u64, "of kind gap that say no range (context: first, and last or count)");
    if gaps.left_off > 0 {
        lines.push(format!("{} not listed", number::of(gaps.left_off, "finding", "findings")));
    }
    if lines.is_empty() {
        return String::new();
    }
    let room = session.columns().saturating_sub(2).min(100);
    let lines = lines.iter().flat_map(|line| wrap(line, room)).map(|line| format!("  {line}\n"));
    heading("cannot be told") + &lines.collect::<String>()
}
