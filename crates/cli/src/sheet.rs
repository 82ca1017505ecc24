//! What is shown of something, apart from where: a terminal and a page draw the same sheet, so they cannot tell
//! different tales. Text from outside is made [`plain`](crate::text::plain) where it comes in; drawing escapes the rest.

pub mod page;
pub mod terminal;

use crate::chart::Bar;

/// How good or bad something is. A word always says so too, so that nothing hangs on colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Warn,
    Bad,
}

/// A value as a person reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// The word that stands out in front of it.
    pub verdict: Option<(Tone, String)>,
    pub text: String,
}

impl Cell {
    /// A word that stands out, and what follows it.
    pub fn verdict(tone: Tone, word: impl Into<String>, text: impl Into<String>) -> Cell {
        Cell { verdict: Some((tone, word.into())), text: text.into() }
    }

    pub fn is_empty(&self) -> bool {
        self.verdict.is_none() && self.text.is_empty()
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell { verdict: None, text: text.into() }
    }
}

/// A name and what it stands for.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: String,
    pub cell: Cell,
}

/// A row of a list of names and values.
pub fn row(name: impl Into<String>, cell: impl Into<Cell>) -> Row {
    Row { name: name.into(), cell: cell.into() }
}

/// Rows under heads. The first cell of a row names it.
#[derive(Debug, Clone)]
pub struct Table {
    pub caption: String,
    pub heads: &'static [&'static str],
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// The columns that hold anything.
    pub fn used(&self) -> Vec<usize> {
        (0..self.heads.len()).filter(|at| self.rows.iter().any(|row| !row[*at].is_empty())).collect()
    }

    /// Whether a column is that of the records' ids: long, and of use to programs and look-ups alone.
    pub fn is_id(&self, column: usize) -> bool {
        self.heads[column] == "id"
    }
}

/// A part of a section.
pub enum Block {
    Rows(Vec<Row>),
    Table(Table),
    /// Attributions, longest first.
    Chart {
        caption: String,
        bars: Vec<Bar>,
    },
    Note(Cell),
    /// Text whose lines stay as they are.
    Verbatim {
        caption: String,
        text: String,
    },
}

/// What stands under one heading.
pub struct Section {
    /// Its name in a link.
    pub anchor: &'static str,
    pub heading: String,
    pub blocks: Vec<Block>,
}

impl Section {
    pub fn new(anchor: &'static str, heading: impl Into<String>, blocks: Vec<Block>) -> Section {
        Section { anchor, heading: heading.into(), blocks }
    }
}

/// All that is shown of one thing.
pub struct Sheet {
    /// What it is, in one line.
    pub title: String,
    /// Where it is from.
    pub source: String,
    /// The short answers, in front of everything.
    pub answers: Vec<Row>,
    pub sections: Vec<Section>,
    /// The record as JSON, for a page that is all that a reader has.
    pub json: Option<String>,
}
