//! What was measured: rounds of each contender, ratios within each round, and the goal beside.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::machine;

/// A row of figures.
pub struct Figures {
    row: String,
    unit: &'static str,
    settings: Value,
    contenders: Vec<(String, Vec<f64>)>,
    notes: Vec<(String, Value)>,
    ratios: Vec<Ratio>,
}

/// One contender held against another, or a figure against a goal.
struct Ratio {
    what: String,
    rounds: Vec<f64>,
    goal: Option<Goal>,
}

/// What `docs/performance.md` asks for.
#[derive(Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn of(self, median: f64) -> String {
        let (sign, bound, met) = match self {
            Goal::AtLeast(bound) => ("at least", bound, median >= bound),
            Goal::AtMost(bound) => ("at most", bound, median <= bound),
        };
        format!("goal {sign} {bound}: {}", if met { "met" } else { "NOT MET" })
    }
}

impl Figures {
    pub fn new(row: impl Into<String>, unit: &'static str, settings: Value) -> Self {
        let (contenders, notes, ratios) = Default::default();
        Figures { row: row.into(), unit, settings, contenders, notes, ratios }
    }

    /// One more round of a contender.
    pub fn round(&mut self, contender: &str, value: f64) {
        eprintln!("  {}: {contender} {} {}", self.row, number(value), self.unit);
        match self.contenders.iter_mut().find(|(name, _)| name == contender) {
            Some((_, rounds)) => rounds.push(value),
            None => self.contenders.push((contender.to_owned(), vec![value])),
        }
    }

    /// Something that is not compared.
    pub fn note(&mut self, what: impl Into<String>, value: impl Into<Value>) {
        self.notes.push((what.into(), value.into()));
    }

    /// Holds one contender against another, round by round.
    pub fn ratio(&mut self, over: &str, under: &str, goal: Option<Goal>) {
        let rounds = |name: &str| self.contenders.iter().find(|(contender, _)| contender == name).map(|(_, of)| of);
        let (Some(over_of), Some(under_of)) = (rounds(over), rounds(under)) else { return };
        let rounds = over_of.iter().zip(under_of).map(|(over, under)| over / under).collect();
        self.ratios.push(Ratio { what: format!("{over} / {under}"), rounds, goal });
    }

    /// Holds a contender against a goal in its own unit.
    pub fn goal(&mut self, contender: &str, goal: Goal) {
        let Some((name, rounds)) = self.contenders.iter().find(|(name, _)| name == contender) else { return };
        self.ratios.push(Ratio { what: name.clone(), rounds: rounds.clone(), goal: Some(goal) });
    }

    /// Prints the row and keeps it as one line of `bench/results/<row>.jsonl`, from where the command is run.
    pub fn finish(self) {
        print!("{}", self.table());
        let folder = Path::new("bench/results");
        host::Host::system().create_dir_all(folder, "bench").unwrap();
        let path = folder.join(format!("{}.jsonl", self.row));
        #[allow(clippy::disallowed_methods, reason = "figures are no file of record")]
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        writeln!(file, "{}", self.json()).unwrap();
        println!("  kept in {}\n", path.display());
    }

    fn table(&self) -> String {
        let mut text = format!("\n{} ({}, median, min .. max)\n", self.row, self.unit);
        for (name, rounds) in &self.contenders {
            let [min, median, max] = spread(rounds).map(number);
            let _ = writeln!(text, "  {name:<44}{median:>12}   {min} .. {max}");
        }
        for Ratio { what, rounds, goal } in &self.ratios {
            let all = spread(rounds);
            let [min, median, max] = all.map(|value| format!("{value:.2}"));
            let goal = goal.map(|goal| goal.of(all[1])).unwrap_or_default();
            let _ = writeln!(text, "  {what:<44}{median:>12}   {min} .. {max}   {goal}");
        }
        for (what, value) in &self.notes {
            let _ = writeln!(text, "  {what}: {value}");
        }
        let _ = writeln!(text, "  settings: {}", self.settings);
        text
    }

    fn json(&self) -> Value {
        let rounds: Map<String, Value> = self.contenders.iter().map(|(name, of)| (name.clone(), json!(of))).collect();
        let notes: Map<String, Value> = self.notes.iter().cloned().collect();
        let ratio = |Ratio { what, rounds, .. }: &Ratio| (what.clone(), json!(spread(rounds)));
        let ratios: Map<String, Value> = self.ratios.iter().map(ratio).collect();
        json!({
            "row": self.row, "unit": self.unit, "rounds": rounds, "ratios_min_median_max": ratios, "notes": notes,
            "settings": self.settings, "machine": machine::describe(),
        })
    }
}

/// Least, middle and greatest.
fn spread(rounds: &[f64]) -> [f64; 3] {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => [f64::NAN; 3],
        n => [sorted[0], (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0, sorted[n - 1]],
    }
}

fn number(value: f64) -> String {
    let digits = if value.abs() >= 1000.0 { 0 } else { 2 };
    format!("{value:.digits$}")
}

/// The value below which this share of all lies.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
