//! A sheet drawn for a terminal.

use crate::chart;
use crate::session::Session;
use crate::sheet::{Block, Cell, Row, Section, Sheet, Table, Tone};
use crate::style::{BAD, DIM, GOOD, HEAD, WARN, paint};
use crate::table::{broken, heading, table};
use crate::text::{fit, pad, width};

/// Lines of one value; what does not fit is cut, and the cut marked. `--json` has all of it.
const LINES_MAX: usize = 8;

/// Cells for the names of values at least, so that short lists stand under each other.
const NAMES_MIN: usize = 12;

const INDENT: &str = "  ";

pub fn render(session: &Session, sheet: &Sheet) -> String {
    let mut out = format!("{}\n", paint(HEAD, &sheet.title));
    out += &rows(session, &sheet.answers);
    for section in &sheet.sections {
        out += &self::section(session, section);
    }
    out
}

fn section(session: &Session, section: &Section) -> String {
    let blocks = section.blocks.iter().map(|block| match block {
        Block::Rows(pairs) => rows(session, pairs),
        Block::Table(table) => columns(session, table),
        Block::Chart { bars, .. } => chart::chart(session, bars.clone()),
        Block::Note(cell) => lines(session, cell, session.width.map(|columns| columns - INDENT.len()))
            .iter()
            .map(|line| format!("{INDENT}{line}\n"))
            .collect(),
        Block::Verbatim { text, .. } => text.clone(),
    });
    heading(&section.heading.to_lowercase()) + &blocks.collect::<Vec<String>>().join("\n")
}

fn rows(session: &Session, rows: &[Row]) -> String {
    let longest = rows.iter().map(|row| width(&row.name)).max().unwrap_or(0).max(NAMES_MIN);
    let names = session.width.map_or(longest, |columns| longest.min(columns * 2 / 5));
    let room = session.width.map(|columns| columns.saturating_sub(names + 2 * INDENT.len()).max(8));
    let below = format!("\n{}", " ".repeat(names + 2 * INDENT.len()));
    let line = |row: &Row| {
        let name = pad(&fit(&row.name, names, session.glyphs.ellipsis), names);
        format!("{INDENT}{}{INDENT}{}\n", paint(DIM, name), lines(session, &row.cell, room).join(&below))
    };
    rows.iter().map(line).collect()
}

/// A value in lines that fit. The word that stands out is painted last: a line is not broken within an escape.
fn lines(session: &Session, cell: &Cell, room: Option<usize>) -> Vec<String> {
    let text = flat(cell);
    let mut lines = room.map_or_else(|| vec![text.clone()], |room| broken(&text, room));
    if lines.len() > LINES_MAX {
        lines.truncate(LINES_MAX);
        lines.extend([format!("{} (--json has all of it)", session.glyphs.ellipsis)]);
    }
    if let (Some((tone, word)), Some(first)) = (&cell.verdict, lines.first_mut())
        && let Some(rest) = first.strip_prefix(word.as_str())
    {
        *first = paint(style(*tone), word) + rest;
    }
    lines
}

/// A value in one line, without colour.
fn flat(cell: &Cell) -> String {
    let word = cell.verdict.as_ref().map_or("", |(_, word)| word);
    match (word, cell.text.as_str()) {
        ("", text) => text.to_owned(),
        (word, "") => word.to_owned(),
        (word, text) if text.starts_with([',', ':', ';']) => format!("{word}{text}"),
        (word, text) => format!("{word} {text}"),
    }
}

fn style(tone: Tone) -> anstyle::Style {
    match tone {
        Tone::Good => GOOD,
        Tone::Warn => WARN,
        Tone::Bad => BAD,
    }
}

/// As columns where they fit, without the ids if they must, since a number opens a record too; else each row as a list.
fn columns(session: &Session, of: &Table) -> String {
    let used = of.used();
    let without_ids: Vec<usize> = used.iter().copied().filter(|at| !of.is_id(*at)).collect();
    for columns in [&used, &without_ids] {
        let heads: Vec<&str> = columns.iter().map(|at| of.heads[*at]).collect();
        let line = |row: &Vec<Cell>| columns.iter().map(|at| flat(&row[*at])).collect();
        let cells: Vec<Vec<String>> = of.rows.iter().map(line).collect();
        let widest = |at: usize| cells.iter().map(|row| width(&row[at])).chain([width(heads[at])]).max().unwrap_or(0);
        let wanted: usize = (0..columns.len()).map(|at| widest(at) + INDENT.len()).sum();
        if session.width.is_none_or(|columns| wanted <= columns) {
            return table(session, &heads, &cells);
        }
    }
    let stacked = of.rows.iter().map(|row| {
        let named = used.iter().filter(|at| !row[**at].is_empty());
        let named: Vec<Row> = named.map(|at| Row { name: of.heads[*at].to_owned(), cell: row[*at].clone() }).collect();
        rows(session, &named)
    });
    stacked.collect::<Vec<String>>().join("\n")
}
