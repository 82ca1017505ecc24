//! How an outcome falls on groups of people: rates, their uncertainty, and how they compare to one group's.
//!
//! Nobody is dropped: records without the attribute are a group of their own, and records whose outcome is not known are
//! counted beside each group. Where records stand for several ([`sampling.probability`] below 1), each counts by the
//! inverse of its probability (Horvitz and Thompson 1952, JASA 47, 663-685), a rate is the ratio of two such totals
//! (Hájek 1971), and its variance is the linearised one, Σ w²(y-rate)² / (Σ w)². The effective number is the one that a
//! simple count would need for that variance, rate·(1-rate)/variance (Korn and Graubard 1998, Survey Methodology 24,
//! 193-201), so that with no weights it is the count itself.
//!
//! [`sampling.probability`]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/

use record::{FieldRef, Part};
use serde::{Deserialize, Serialize};

use crate::columns::Columns;
use crate::error::QueryError;
use crate::repeatable;
use crate::search::Search;
use crate::statement;
use crate::statistics::{self, Interval};
use crate::view::View;

/// Groups at most: an attribute with more values is no attribute of groups.
const GROUPS_MAX: usize = 1_000;

/// Attributes at most.
const ATTRIBUTES_MAX: usize = 2;

/// What a group has in common; of those without a value, nothing.
type Values = Vec<Option<String>>;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct GroupsAsked {
    /// Which decisions.
    pub filter: Search,
    /// One or two expressions whose values make the groups, with a comma between.
    pub by: String,
    /// A predicate: whether it came to this.
    pub outcome: String,
    /// The group that the others are compared to, its values with commas between; else the one of most records.
    pub reference: Option<String>,
    /// Whether the outcome is what people hope for. Else it is adverse to them.
    pub favourable: bool,
}

/// What groups came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Groups {
    /// What makes the groups.
    pub by: Vec<String>,
    /// What was counted.
    pub outcome: String,
    /// Whether it is what people hope for.
    pub favourable: bool,
    /// Which decisions.
    pub filter: String,
    /// The values of the group that the others are compared to.
    pub reference: Option<Vec<Option<String>>>,
    /// Whether records stand for others that sampling left out.
    pub weighted: bool,
    /// Decisions.
    pub records: u64,
    /// Decisions without a value of one of the attributes.
    pub unknown_group: u64,
    /// Decisions whose outcome is not known.
    pub unknown_outcome: u64,
    /// The groups, largest first; those without a value last.
    pub groups: Vec<Group>,
}

/// One group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Its values; of those who have none, nothing.
    pub values: Vec<Option<String>>,
    /// Decisions with a known outcome.
    pub n: u64,
    /// Those that came to it.
    pub hits: u64,
    /// Decisions whose outcome is not known.
    pub unknown: u64,
    /// Of how many decisions those with a known outcome tell; `n` where nothing was sampled.
    pub total: f64,
    /// The number that uncertainty goes by.
    pub effective_n: f64,
    /// How often it came to it.
    pub rate: Option<f64>,
    /// The rate's interval at 95 %: Wilson's score interval.
    pub interval: Option<Interval>,
    /// How it compares; nothing for the reference itself.
    pub compared: Option<Compared>,
}

/// A group beside the reference.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Compared {
    /// The rate over the reference's.
    pub ratio: Option<f64>,
    /// Its interval at 95 %: Katz's, of the logarithm.
    pub ratio_interval: Option<Interval>,
    /// Fisher's exact test, two-sided. Not with weights: an exact test is one of counts.
    pub p: Option<f64>,
    /// The rate of the favourable outcome over the reference's.
    pub favourable_ratio: Option<f64>,
    /// Its interval at 95 %.
    pub favourable_interval: Option<Interval>,
    /// What the favourable ratio says of four fifths.
    pub four_fifths: FourFifths,
}

/// Whether a ratio is below 0.8, with its uncertainty (29 CFR 1607.4 D has the figure).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FourFifths {
    /// All of the interval is below 0.8.
    Below,
    /// All of the interval is at or above 0.8.
    Above,
    /// The interval holds 0.8, or there is none.
    Unclear,
}

impl FourFifths {
    fn of(interval: Option<Interval>) -> Self {
        match interval {
            Some(Interval { until: Some(until), .. }) if until < 0.8 => FourFifths::Below,
            Some(Interval { from, .. }) if from >= 0.8 => FourFifths::Above,
            _ => FourFifths::Unclear,
        }
    }
}

/// Sums over a group's records of known outcome: of weights and their squares, all and those that came to it.
#[derive(Clone, Debug, Default)]
struct Sums {
    n: u64,
    hits: u64,
    unknown: u64,
    weight: f64,
    square: f64,
    hit_weight: f64,
    hit_square: f64,
}

impl Sums {
    fn rate(&self) -> Option<f64> {
        (self.n > 0).then(|| (self.hit_weight / self.weight).clamp(0.0, 1.0))
    }

    fn effective_n(&self) -> f64 {
        let Some(rate) = self.rate() else { return 0.0 };
        let squares = self.hit_square * (1.0 - 2.0 * rate) + rate * rate * self.square;
        let variance = squares / (self.weight * self.weight);
        // Where all came to it or none, the weights alone tell (Kish 1965).
        let kish = self.weight * self.weight / self.square;
        if rate > 0.0 && rate < 1.0 && variance > 0.0 { rate * (1.0 - rate) / variance } else { kish }
    }

    fn group(&self, values: Vec<Option<String>>, weighted: bool) -> Group {
        let rate = self.rate();
        let effective_n = if weighted { self.effective_n() } else { self.n as f64 };
        Group {
            values,
            n: self.n,
            hits: self.hits,
            unknown: self.unknown,
            total: self.weight,
            effective_n,
            rate,
            interval: rate.and_then(|rate| statistics::wilson(rate, effective_n)),
            compared: None,
        }
    }
}

impl Group {
    fn is_known(&self) -> bool {
        self.values.iter().all(Option::is_some)
    }

    fn beside(&self, reference: &Group, favourable: bool, weighted: bool) -> Option<Compared> {
        let (rate, other) = (self.rate?, reference.rate?);
        let (n, m) = (self.effective_n, reference.effective_n);
        let ratio = statistics::ratio((rate, n), (other, m));
        let hoped = |rate: f64| if favourable { rate } else { 1.0 - rate };
        let hoped = statistics::ratio((hoped(rate), n), (hoped(other), m));
        let interval = hoped.and_then(|(_, interval)| interval);
        Some(Compared {
            ratio: ratio.map(|(ratio, _)| ratio),
            ratio_interval: ratio.and_then(|(_, interval)| interval),
            p: (!weighted).then(|| statistics::fisher((self.hits, self.n), (reference.hits, reference.n))),
            favourable_ratio: hoped.map(|(ratio, _)| ratio),
            favourable_interval: interval,
            four_fifths: FourFifths::of(interval),
        })
    }
}

/// One or two expressions: the text as a whole if it is one, else what stands at the sides of a comma.
fn expressions(text: &str) -> Result<Vec<String>, QueryError> {
    let whole = statement::predicate(text);
    if let Ok(one) = &whole {
        return Ok(vec![one.clone()]);
    }
    let sides = text.match_indices(',').find_map(|(at, _)| {
        let (left, right) = (&text[..at], &text[at + 1..]);
        Some(vec![statement::predicate(left).ok()?, statement::predicate(right).ok()?])
    });
    sides.filter(|sides| sides.len() <= ATTRIBUTES_MAX).ok_or_else(|| {
        QueryError::Syntax(format!(
            "{text:?} is not one or two attributes with a comma between, such as subject.demographics.sex"
        ))
    })
}

/// Whether a text may be about what came later.
fn is_late(text: &str) -> bool {
    text.contains("outcome") || text.contains("oversight")
}

impl View {
    /// How an outcome falls on groups.
    pub fn groups(&self, asked: &GroupsAsked) -> Result<Groups, QueryError> {
        let by = expressions(&asked.by)?;
        let outcome = statement::predicate(&asked.outcome)?;
        let filter = asked.filter.condition()?;
        self.groups_are_plain(&by, &outcome)?;
        let (sums, weighted) = self.sums(&by, &outcome, &filter)?;
        let mut groups: Vec<Group> = sums.into_iter().map(|(values, sums)| sums.group(values, weighted)).collect();
        let size = |group: &Group| group.n + group.unknown;
        groups.sort_by(|a, b| {
            let key = |group: &Group| (!group.is_known(), std::cmp::Reverse(size(group)));
            key(a).cmp(&key(b)).then_with(|| a.values.cmp(&b.values))
        });
        let reference = reference(&groups, asked.reference.as_deref())?;
        if let Some(reference) = &reference {
            for group in groups.iter_mut().filter(|group| group.values != reference.values) {
                group.compared = group.beside(reference, asked.favourable, weighted);
            }
        }
        Ok(Groups {
            by,
            outcome,
            favourable: asked.favourable,
            filter,
            reference: reference.map(|group| group.values),
            weighted,
            records: groups.iter().map(size).sum(),
            unknown_group: groups.iter().filter(|group| !group.is_known()).map(size).sum(),
            unknown_outcome: groups.iter().map(|group| group.unknown).sum(),
            groups,
        })
    }

    /// Nothing is grouped by what is masked, nor counted by it: groups of masks would pass for groups of people. A filter
    /// is as in every search.
    fn groups_are_plain(&self, by: &[String], outcome: &str) -> Result<(), QueryError> {
        let made = "groups";
        let expressions = || by.iter().map(String::as_str).chain([outcome]);
        expressions().try_for_each(|each| self.reads_plain(each, made))?;
        // What came later is the output and context of other records, under names of their own.
        if expressions().any(is_late) {
            let whole = |part: Part| FieldRef { part, keys: Vec::new() };
            for part in [Part::Output, Part::Context] {
                if let Some((field, _)) = self.policy.masks_within(&whole(part)).first() {
                    return Err(repeatable::masked(&field.to_string(), made));
                }
            }
        }
        self.sees_plain(&["sampling.probability"], made)
    }

    /// The sums of each group, and whether any record stands for more than itself.
    fn sums(&self, by: &[String], outcome: &str, filter: &str) -> Result<(Vec<(Values, Sums)>, bool), QueryError> {
        // What came later costs a join, and stands in a table of its own.
        let late = is_late(outcome) || is_late(filter) || by.iter().any(|each| is_late(each));
        let table = if late { "cases" } else { "decisions" };
        let attributes: Vec<String> =
            by.iter().enumerate().map(|(at, each)| format!("CAST(({each}) AS VARCHAR) AS g{at}")).collect();
        let names: Vec<String> = (0..by.len()).map(|at| format!("g{at}")).collect();
        let (attributes, names) = (attributes.join(", "), names.join(", "));
        let sql = format!(
            "SELECT {names}, y, count(*), sum(w), sum(w * w) FROM (SELECT {attributes}, \
             CASE WHEN ({outcome}) THEN 1 WHEN NOT ({outcome}) THEN 0 END AS y, \
             1.0 / coalesce(sampling.probability, 1.0) AS w FROM {table} WHERE {filter}) AS each_one \
             GROUP BY {names}, y ORDER BY {names}, y"
        );
        let mut groups: Vec<(Values, Sums)> = Vec::new();
        let mut weighted = false;
        for batch in self.every_row(&sql, None)? {
            let batch = batch?;
            let columns = Columns(&batch);
            let values = (0..by.len()).map(|at| columns.texts(at)).collect::<Result<Vec<_>, _>>()?;
            let at = by.len();
            let (y, n) = (columns.integers(at)?, columns.integers(at + 1)?);
            let (weights, squares) = (columns.numbers(at + 2)?, columns.numbers(at + 3)?);
            for row in 0..batch.num_rows() {
                let values: Values = values.iter().map(|column| column.owned(row)).collect();
                if groups.last().is_none_or(|(last, _)| *last != values) {
                    groups.push((values, Sums::default()));
                }
                if groups.len() > GROUPS_MAX {
                    return Err(QueryError::Limit { what: "groups", max: GROUPS_MAX.to_string() });
                }
                let Some((_, sums)) = groups.last_mut() else { continue };
                let (n, weight, square) = (n.count(row), weights.sum(row), squares.sum(row));
                weighted |= weight > n as f64;
                let Some(y) = y.at(row) else {
                    sums.unknown += n;
                    continue;
                };
                sums.n += n;
                sums.weight += weight;
                sums.square += square;
                if y == 1 {
                    sums.hits += n;
                    sums.hit_weight += weight;
                    sums.hit_square += square;
                }
            }
        }
        Ok((groups, weighted))
    }
}

/// The group that others are compared to: the one that was named, else the largest of known outcome.
fn reference(groups: &[Group], named: Option<&str>) -> Result<Option<Group>, QueryError> {
    let known = || groups.iter().filter(|group| group.is_known());
    let name = |group: &Group| group.values.iter().flatten().cloned().collect::<Vec<_>>().join(",");
    let Some(named) = named else {
        return Ok(known().max_by_key(|group| group.n).filter(|group| group.n > 0).cloned());
    };
    match known().find(|group| name(group) == named) {
        Some(group) => Ok(Some(group.clone())),
        None => {
            let mut names: Vec<String> = known().take(20).map(name).collect();
            names.sort();
            Err(QueryError::Group { name: named.to_owned(), known: names.join(" · ") })
        }
    }
}
