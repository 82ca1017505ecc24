//! Which records are meant: the conditions that several verbs take.

use std::fmt;

use query::{Search, Span};
use record::Kind;

use crate::failure::Failure;
use crate::session::Session;

/// Conditions; all of them must hold.
#[derive(clap::Args)]
pub struct Filters {
    /// The model's name
    #[arg(long, value_name = "M")]
    pub model: Option<String>,
    /// The model's version
    #[arg(long, value_name = "V")]
    pub version: Option<String>,
    /// From then on: a time, a day, a span before now (2h, 7d), or FROM..UNTIL
    #[arg(long, value_name = "T")]
    pub since: Option<String>,
    /// Until then; a day is meant whole
    #[arg(long, value_name = "T")]
    pub until: Option<String>,
    /// Whom it is about: subject.id
    #[arg(long, value_name = "S")]
    pub subject: Option<String>,
    /// The case: subject.case
    #[arg(long, value_name = "C")]
    pub case: Option<String>,
    /// The trace: trace.trace_id
    #[arg(long, value_name = "ID")]
    pub trace: Option<String>,
    /// A predicate in SQL, over fields by their names
    #[arg(long = "where", value_name = "EXPR")]
    pub matches: Option<String>,
}

impl Filters {
    /// Records of that kind, or of every kind, that meet the conditions.
    pub fn search(&self, session: &Session, kind: Option<Kind>) -> Result<Search, Failure> {
        let (since, until) = window(session, self.since.as_deref(), self.until.as_deref())?;
        Ok(Search {
            kind,
            model: self.model.clone(),
            version: self.version.clone(),
            subject: self.subject.clone(),
            case: self.case.clone(),
            trace: self.trace.clone(),
            since,
            until,
            matches: self.matches.clone(),
            ..Search::new([""; 0], 0)
        })
    }

    /// Those that are given, and the kind, as parameters of a request.
    pub fn query(&self, kind: Option<&str>) -> Vec<(&'static str, String)> {
        let kind = kind.map(|kind| ("kind", kind.to_owned()));
        kind.into_iter().chain(self.given().into_iter().map(|(name, value)| (name, value.clone()))).collect()
    }

    /// Those that are given, with the names of their flags.
    pub fn given(&self) -> Vec<(&'static str, &String)> {
        let given = [
            ("model", &self.model),
            ("version", &self.version),
            ("since", &self.since),
            ("until", &self.until),
            ("subject", &self.subject),
            ("case", &self.case),
            ("trace", &self.trace),
            ("where", &self.matches),
        ];
        given.into_iter().filter_map(|(flag, value)| Some((flag, value.as_ref()?))).collect()
    }
}

/// As they are typed, a space before each.
impl fmt::Display for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (flag, value) in self.given() {
            write!(f, " --{flag} '{}'", value.replace('\'', "'\\''"))?;
        }
        Ok(())
    }
}

/// The kind of record of that name; none for `all`.
pub fn kind(name: &str) -> Result<Option<Kind>, Failure> {
    if name == "all" {
        return Ok(None);
    }
    let unknown = || {
        let kinds: Vec<&str> = Kind::all().map(Kind::name).collect();
        let kinds = format!("one of {}, or all", kinds.join(", "));
        Failure::wrong_use(format!("there is no kind of record {name:?}")).hint(kinds)
    };
    Kind::from_name(name).map(Some).ok_or_else(unknown)
}

/// From when until when, as two texts or one range say it.
pub fn window(
    session: &Session,
    since: Option<&str>,
    until: Option<&str>,
) -> Result<(Option<Span>, Option<Span>), Failure> {
    let now = session.host.now_ns();
    let span = |text: Option<&str>| text.map(|text| Span::read(text, now)).transpose();
    let (from, to) = (span(since)?, span(until)?);
    // A range says both by itself.
    let range = from.filter(|_| since.is_some_and(|text| text.contains("..")));
    if range.is_some() && to.is_some() {
        let failure = Failure::wrong_use("--since is a range, and --until is given too");
        return Err(failure.hint("give one of the two"));
    }
    Ok((from, to.or(range)))
}
