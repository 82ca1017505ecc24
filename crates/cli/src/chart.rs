//! Attributions as bars about an axis: what spoke for a higher value to the right, for a lower one to the left.

use crate::number;
use crate::session::Session;
use crate::style::{DIM, Glyphs, MINUS, PLUS, paint};
use crate::text::{fit, pad, pad_left, width};

/// Bars drawn at most; the rest are counted.
const BARS_MAX: usize = 30;

/// Cells of a line that are no name, value, bar or figure: the spaces and the axis.
const SPACES: usize = 9;

/// One attribution.
#[derive(Clone)]
pub struct Bar {
    /// The feature.
    pub name: String,
    /// What it contributed.
    pub value: f64,
    /// What the feature's value was, where that is known.
    pub given: Option<String>,
}

/// The bars, longest first.
pub fn chart(session: &Session, bars: Vec<Bar>) -> String {
    let (bars, rest) = longest(bars);
    let plan = Plan::new(session, &bars);
    let lines: String = bars.iter().map(|bar| plan.line(bar)).collect();
    lines + &rest.map(|rest| format!("  {rest}\n")).unwrap_or_default()
}

/// The longest bars, in order, and in words what the others come to.
pub fn longest(mut bars: Vec<Bar>) -> (Vec<Bar>, Option<String>) {
    bars.sort_by(|a, b| b.value.abs().total_cmp(&a.value.abs()));
    let rest = bars.split_off(bars.len().min(BARS_MAX));
    let sum: f64 = rest.iter().map(|bar| bar.value).sum();
    let words = || format!("{} smaller ones, together {}", rest.len(), number::signed(sum));
    let words = (!rest.is_empty()).then(words);
    (bars, words)
}

/// The widths of the parts of a line.
struct Plan {
    glyphs: Glyphs,
    names: usize,
    givens: usize,
    /// Cells of a side that has any bar.
    left: usize,
    right: usize,
    figures: usize,
    longest: f64,
}

impl Plan {
    fn new(session: &Session, bars: &[Bar]) -> Plan {
        let most = |of: &dyn Fn(&Bar) -> usize| bars.iter().map(of).max().unwrap_or(0);
        let columns = session.columns();
        let names = most(&|bar| width(&bar.name)).min(columns * 3 / 10);
        let figures = most(&|bar| width(&number::signed(bar.value)));
        let free = columns.saturating_sub(names + figures + SPACES);
        let givens = most(&|bar| bar.given.as_deref().map_or(0, width));
        // What a feature was is told beside its bar where there is room for both.
        let givens = if free >= 60 { givens.min(free - 40) } else { 0 };
        let sides = [bars.iter().any(|bar| bar.value < 0.0), bars.iter().any(|bar| bar.value > 0.0)];
        let side = (free - givens).min(50) / sides.into_iter().filter(|used| *used).count().max(1);
        let cells = |used: bool| if used { side.max(4) } else { 0 };
        let longest = bars.iter().map(|bar| bar.value.abs()).fold(0.0, f64::max);
        Plan { glyphs: session.glyphs, names, givens, left: cells(sides[0]), right: cells(sides[1]), figures, longest }
    }

    fn line(&self, bar: &Bar) -> String {
        let name = pad(&fit(&bar.name, self.names, self.glyphs.ellipsis), self.names);
        let given = bar.given.as_deref().unwrap_or_default();
        let given = pad(&fit(given, self.givens, self.glyphs.ellipsis), self.givens);
        let given = if self.givens > 0 { format!("  {}", paint(DIM, given)) } else { String::new() };
        let figure = pad_left(&number::signed(bar.value), self.figures);
        let (left, right) = if bar.value < 0.0 {
            let drawn = self.drawn(bar.value, self.left, true);
            (format!("{}{}", " ".repeat(self.left - width(&drawn)), paint(MINUS, &drawn)), " ".repeat(self.right))
        } else {
            let drawn = self.drawn(bar.value, self.right, false);
            (" ".repeat(self.left), format!("{}{}", paint(PLUS, &drawn), " ".repeat(self.right - width(&drawn))))
        };
        format!("  {name}{given}  {left}{}{right}  {figure}\n", paint(DIM, self.glyphs.axis))
    }

    /// A bar in half cells where the terminal has them.
    fn drawn(&self, value: f64, cells: usize, leftwards: bool) -> String {
        let half = if leftwards { self.glyphs.right_half } else { self.glyphs.left_half };
        let share = if self.longest > 0.0 && value.is_finite() { value.abs() / self.longest } else { 0.0 };
        let halves = (share * (cells * 2) as f64).round() as usize;
        let full = self.glyphs.full.to_string().repeat(halves / 2);
        let half = half.filter(|_| halves % 2 == 1).map(String::from).unwrap_or_default();
        if leftwards { half + &full } else { full + &half }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_fits_every_terminal_and_its_longest_bar_is_the_largest() {
        let bar =
            |name: &str, value: f64, given: &str| Bar { name: name.to_owned(), value, given: Some(given.to_owned()) };
        for glyphs in [Glyphs::UNICODE, Glyphs::ASCII] {
            for columns in 60..200 {
                let session = Session { width: Some(columns), glyphs, ..Session::plain() };
                let long = "a value that takes quite some room to tell";
                let bars =
                    vec![bar("age", 0.1, "7"), bar("income_of_the_household", -2.0, long), bar("nan", f64::NAN, "")];
                let chart = anstream::adapter::strip_str(&chart(&session, bars)).to_string();
                assert!(chart.lines().all(|line| width(line) <= columns), "{columns}:\n{chart}");
                assert!(chart.lines().any(|line| line.contains("-2.0000") && line.contains(glyphs.full)), "{chart}");
            }
        }
    }
}
