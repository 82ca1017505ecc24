//! Aligned lines that fit the terminal.

use unicode_width::UnicodeWidthChar as _;

use crate::session::Session;
use crate::style::{DIM, HEAD, paint};
use crate::text::{fit, pad, pad_left, width, wrap};

/// The space in front of what belongs to a heading, and between columns.
const INDENT: &str = "  ";

/// A heading on a line of its own.
pub fn heading(text: &str) -> String {
    format!("\n{}\n", paint(HEAD, text))
}

/// Names and values, the values aligned and cut to what fits.
pub fn pairs(session: &Session, pairs: &[(String, String)]) -> String {
    let longest = pairs.iter().map(|(name, _)| width(name)).max().unwrap_or(0).max(12);
    let names = session.width.map_or(longest, |columns| longest.min(columns * 2 / 5));
    let values = session.width.map(|columns| columns.saturating_sub(names + 2 * INDENT.len()).max(8));
    let mut out = String::new();
    for (name, value) in pairs {
        let name = pad(&fit(name, names, session.glyphs.ellipsis), names);
        let lines = match values {
            Some(max) if is_evidence(name.trim_end(), value) => broken(value, max),
            Some(max) => vec![fit(value, max, session.glyphs.ellipsis)],
            None => vec![value.clone()],
        };
        let below = format!("\n{}", " ".repeat(names + 2 * INDENT.len()));
        out += &format!("{INDENT}{}{INDENT}{}\n", paint(DIM, name), lines.join(&below));
    }
    out
}

/// Whether a value is worth nothing by half: it holds a hash, or names what a trail was held against.
fn is_evidence(name: &str, value: &str) -> bool {
    name == "agrees with" || value.split(|c: char| !c.is_ascii_hexdigit()).any(|digits| digits.len() >= 64)
}

/// The text in lines of at most `max` cells, broken between words where that does, and within them where not.
pub fn broken(text: &str, max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for words in wrap(text, max) {
        let mut line = String::new();
        for c in words.chars() {
            if width(&line) + c.width().unwrap_or(0) > max {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
        lines.push(line);
    }
    lines
}

/// Rows under column heads. Columns whose head begins with `>` are aligned to the right. The widest column gives way
/// where all do not fit.
pub fn table(session: &Session, heads: &[&str], rows: &[Vec<String>]) -> String {
    let names: Vec<&str> = heads.iter().map(|head| head.trim_start_matches('>')).collect();
    let mut widths: Vec<usize> = names.iter().map(|name| width(name)).collect();
    for row in rows {
        widths.iter_mut().zip(row).for_each(|(most, cell)| *most = (*most).max(width(cell)));
    }
    if let Some(columns) = session.width {
        shrink(&mut widths, columns.saturating_sub(INDENT.len() * heads.len()));
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for ((cell, width), head) in cells.zip(&widths).zip(heads) {
            let cell = fit(cell, *width, session.glyphs.ellipsis);
            let cell = if head.starts_with('>') { pad_left(&cell, *width) } else { pad(&cell, *width) };
            line += &format!("{INDENT}{cell}");
        }
        line.trim_end().to_owned()
    };
    let mut out = paint(DIM, line(&mut names.into_iter())) + "\n";
    for row in rows {
        out += &(line(&mut row.iter().map(String::as_str)) + "\n");
    }
    out
}

fn shrink(widths: &mut [usize], room: usize) {
    while widths.iter().sum::<usize>() > room {
        match widths.iter_mut().max() {
            Some(widest) if *widest > 6 => *widest -= 1,
            _ => return,
        }
    }
}
