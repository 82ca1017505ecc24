//! `onrecord groups`: how an outcome falls on groups of people.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use query::{Answer, Compared, FourFifths, Group, Groups, GroupsAsked, Interval};
use record::Kind;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::filters::Filters;
use crate::number;
use crate::remote::Remote;
use crate::rows::{self, Format};
use crate::session::Session;
use crate::sql::{Bounds, view};
use crate::style::{DIM, paint};
use crate::table::{heading, pairs, table};
use crate::text::{plain, wrap};

/// Compare how often an outcome falls on groups of people
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The trail: a folder or a server's
    pub trail: String,
    /// What makes the groups: one or two fields or expressions, with a comma between
    #[arg(long, value_name = "A[,B]")]
    pub by: String,
    /// What is counted: a predicate in SQL
    #[arg(long, value_name = "EXPR")]
    pub outcome: String,
    /// The outcome is what people hope for, and not what is adverse to them
    #[arg(long)]
    pub favourable: bool,
    /// The group that the others are compared to [default: the largest]
    #[arg(long, value_name = "VALUE[,VALUE]")]
    pub reference: Option<String>,
    #[command(flatten)]
    pub filters: Filters,
    /// How to write the groups [default: table, or one document with --json]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    #[command(flatten)]
    pub bounds: Bounds,
}

const AFTER: &str = "\
  onrecord groups ./trail --by subject.demographics.sex --outcome result.adverse
  onrecord groups ./trail --by 'inputs.age < 25' --outcome \"result.class = 'approve'\" --favourable
  onrecord groups ./trail --by subject.demographics.sex --outcome \"json_text(outcome, 'label') = 'bad'\"

docs/groups.md says what the figures are, and what they are not.";

pub fn run(session: &Session, args: &Args) -> Outcome {
    let groups = match Remote::of(&args.trail) {
        Some(remote) => of_server(args, &remote?)?,
        None => of_folder(session, args)?,
    };
    match args.format {
        Some(format) if format != Format::Table => {
            return Ok(rows::write(session, format, Answer::of_rows(batch(&groups)?), "group", "groups")?.exit);
        }
        None if session.json => session.print(&json(&groups)?)?,
        _ => session.print(&text(session, &groups))?,
    }
    Ok(Exit::Done)
}

fn of_folder(session: &Session, args: &Args) -> Result<Groups, Failure> {
    let view = view(session, &args.trail, args.bounds.limits())?;
    let asked = GroupsAsked {
        filter: args.filters.search(session, Some(Kind::Decision))?,
        by: args.by.clone(),
        outcome: args.outcome.clone(),
        reference: args.reference.clone(),
        favourable: args.favourable,
    };
    Ok(view.groups(&asked)?)
}

fn of_server(args: &Args, remote: &Remote) -> Result<Groups, Failure> {
    let mut query = args.filters.query(None);
    query.extend([("by", args.by.clone()), ("outcome", args.outcome.clone())]);
    query.extend(args.reference.clone().map(|reference| ("reference", reference)));
    if args.favourable {
        query.push(("favourable", "true".to_owned()));
    }
    remote.document("groups", &query)
}

fn json(groups: &Groups) -> Result<String, Failure> {
    let json = serde_json::to_string(groups);
    json.map(|json| json + "\n").map_err(|error| Failure::could_not(format!("cannot write the report: {error}")))
}

fn text(session: &Session, groups: &Groups) -> String {
    let hoped = if groups.favourable { "what people hope for" } else { "adverse" };
    let mut out = pairs(
        session,
        &[
            ("outcome".to_owned(), format!("{} ({hoped})", plain(&groups.outcome))),
            ("decisions".to_owned(), number::count(groups.records)),
        ],
    );
    let mut heads: Vec<String> = groups.by.iter().map(|by| plain(by)).collect();
    heads.extend([">decisions", ">outcomes", ">unknown", ">rate", "95 % interval"].map(str::to_owned));
    if groups.weighted {
        heads.extend([">stand for", ">effective n"].map(str::to_owned));
    }
    let rates: Vec<Vec<String>> = groups.groups.iter().map(|group| rate_row(group, groups.weighted)).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    out += "\n";
    out += &table(session, &heads, &rates);
    if let Some(reference) = &groups.reference {
        let compared: Vec<Vec<String>> = groups
            .groups
            .iter()
            .filter_map(|group| group.compared.as_ref().map(|compared| compared_row(group, compared)))
            .collect();
        if !compared.is_empty() {
            out += &heading(&format!("beside {}", name(reference)));
            let mut heads: Vec<String> = groups.by.iter().map(|by| plain(by)).collect();
            let favourable = ">favourable";
            heads.extend(
                [">ratio", "95 % interval", ">exact test", favourable, "95 % interval", "4/5"].map(str::to_owned),
            );
            let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
            out += &table(session, &heads, &compared);
        }
    }
    out += "\n";
    let room = session.columns().saturating_sub(2).min(100);
    for note in notes(groups) {
        out += &wrap(&note, room).iter().map(|line| format!("  {}\n", paint(DIM, line))).collect::<String>();
    }
    out
}

/// The values of a group, or that there are none.
fn names(values: &[Option<String>]) -> impl Iterator<Item = String> {
    values.iter().map(|value| value.as_deref().map_or_else(|| "(unknown)".to_owned(), plain))
}

fn name(values: &[Option<String>]) -> String {
    names(values).collect::<Vec<_>>().join(", ")
}

fn rate_row(group: &Group, weighted: bool) -> Vec<String> {
    let mut row: Vec<String> = names(&group.values).collect();
    row.extend([number::count(group.n), number::count(group.hits), number::count(group.unknown)]);
    row.push(group.rate.map_or_else(String::new, percent));
    row.push(group.interval.map_or_else(String::new, |interval| span(interval, percent)));
    if weighted {
        row.extend([format!("{:.0}", group.total), format!("{:.1}", group.effective_n)]);
    }
    row
}

fn compared_row(group: &Group, compared: &Compared) -> Vec<String> {
    let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "none".to_owned(), |ratio| format!("{ratio:.2}"));
    let interval = |interval: Option<Interval>| {
        interval.map_or_else(|| "none".to_owned(), |interval| span(interval, |value| format!("{value:.2}")))
    };
    let mut row: Vec<String> = names(&group.values).collect();
    row.extend([ratio(compared.ratio), interval(compared.ratio_interval)]);
    row.push(compared.p.map_or_else(|| "none".to_owned(), probability));
    row.extend([ratio(compared.favourable_ratio), interval(compared.favourable_interval)]);
    row.push(match compared.four_fifths {
        FourFifths::Below => "below".to_owned(),
        FourFifths::Above => "above".to_owned(),
        FourFifths::Unclear => "unclear".to_owned(),
    });
    row
}

fn percent(rate: f64) -> String {
    format!("{:.1} %", rate * 100.0)
}

fn probability(p: f64) -> String {
    if p < 1e-4 { "p < 0.0001".to_owned() } else { format!("p = {p:.4}") }
}

fn span(interval: Interval, shown: impl Fn(f64) -> String) -> String {
    let until = interval.until.map_or_else(|| "∞".to_owned(), &shown);
    format!("{} to {until}", shown(interval.from))
}

fn notes(groups: &Groups) -> Vec<String> {
    let mut notes = vec![
        "Rates: Wilson's score interval. Ratios: Katz's interval of the logarithm. Four fifths: whether all of the \
         favourable ratio's interval is below 0.8; of two equal groups of 100 at 10 %, one falls short of it 59 % of the time."
            .to_owned(),
    ];
    if groups.weighted {
        notes.push(
            "Records stand for others that sampling left out: rates are of weighted totals (Hájek), intervals go by the \
             effective n, and there is no exact test, for it is one of counts."
                .to_owned(),
        );
    } else {
        notes.push(
            "Exact test: Fisher's, two-sided, for one comparison; with many groups some p are small by chance."
                .to_owned(),
        );
    }
    if groups.unknown_outcome > 0 {
        let unknown = number::of(groups.unknown_outcome, "decision has", "decisions have");
        notes.push(format!("{unknown} no known outcome, and no rate counts them."));
    }
    notes
}

/// The groups as rows for other programs.
fn batch(groups: &Groups) -> Result<RecordBatch, Failure> {
    let each = || groups.groups.iter();
    let numbers =
        |of: &dyn Fn(&Group) -> Option<f64>| -> ArrayRef { Arc::new(each().map(of).collect::<Float64Array>()) };
    let counts = |of: &dyn Fn(&Group) -> u64| -> ArrayRef {
        Arc::new(each().map(|group| i64::try_from(of(group)).ok()).collect::<Int64Array>())
    };
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for (at, by) in groups.by.iter().enumerate() {
        let values: StringArray = each().map(|group| group.values.get(at).cloned().flatten()).collect();
        columns.push((by.clone(), Arc::new(values)));
    }
    let from = |interval: Option<Interval>| interval.map(|interval| interval.from);
    let until = |interval: Option<Interval>| interval.and_then(|interval| interval.until);
    let compared = |of: &dyn Fn(&Compared) -> Option<f64>| numbers(&|group| group.compared.as_ref().and_then(of));
    let mut push = |name: &str, column: ArrayRef| columns.push((name.to_owned(), column));
    push("n", counts(&|group| group.n));
    push("hits", counts(&|group| group.hits));
    push("unknown", counts(&|group| group.unknown));
    push("total", numbers(&|group| Some(group.total)));
    push("effective_n", numbers(&|group| Some(group.effective_n)));
    push("rate", numbers(&|group| group.rate));
    push("rate_from", numbers(&|group| from(group.interval)));
    push("rate_until", numbers(&|group| until(group.interval)));
    push("ratio", compared(&|compared| compared.ratio));
    push("ratio_from", compared(&|compared| from(compared.ratio_interval)));
    push("ratio_until", compared(&|compared| until(compared.ratio_interval)));
    push("p", compared(&|compared| compared.p));
    push("favourable_ratio", compared(&|compared| compared.favourable_ratio));
    push("favourable_from", compared(&|compared| from(compared.favourable_interval)));
    push("favourable_until", compared(&|compared| until(compared.favourable_interval)));
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .map_err(|error| Failure::could_not(format!("cannot write the groups: {error}")))
}
