//! Several records where one was named: a list, newest first, and how to open each.

use trail::{Latest, Snapshot};

use crate::case_file::{json, summary};
use crate::failure::Failure;
use crate::find::TakenFor;
use crate::number;
use crate::sheet::{Block, Section, Sheet, row};
use crate::text::{plain, plain_json};

/// What was found, and by what.
pub struct Listing {
    pub taken_for: TakenFor,
    pub named: String,
    pub latest: Latest,
    /// There may be more than were counted.
    pub at_least: bool,
}

impl Listing {
    fn total(&self) -> String {
        let total = number::of(self.latest.total, "record", "records");
        if self.at_least { format!("at least {total}") } else { total }
    }

    /// The list for people.
    pub fn sheet(&self, snapshot: &Snapshot) -> Result<Sheet, Failure> {
        let what = self.taken_for.of(&plain(&self.named));
        let mut blocks = vec![Block::Table(summary::table(format!("Records {what}"), &self.latest.found)?)];
        if self.latest.more() > 0 {
            let more = format!(
                "{} more, older; the limit of a list is {}",
                number::count(self.latest.more()),
                self.latest.found.len()
            );
            blocks.push(Block::Note(more.into()));
        }
        blocks.push(Block::Note("to open one: onrecord show TRAIL RECORD, with its number or its id".into()));
        let heading = if self.latest.more() > 0 { "The newest" } else { "All of them, newest first" };
        Ok(Sheet {
            title: format!("{} {what}", self.total()),
            source: format!(
                "In the trail {}, which holds {} records",
                plain(&snapshot.settings().origin),
                number::count(snapshot.end())
            ),
            answers: vec![row("taken for", self.taken_for.name()), row("found", self.total())],
            sections: vec![Section::new("records", heading, blocks)],
            json: None,
        })
    }

    /// The list for programs: every record of it without loss.
    pub fn document(&self, snapshot: &Snapshot) -> Result<String, Failure> {
        let object = json::head("list", snapshot, self.taken_for)
            .field("named", &self.named)
            .field("total", self.latest.total)
            .field("total_is_at_least", self.at_least)
            .field("more", self.latest.more())
            .raw("records", &json::records(&self.latest.found)?);
        Ok(plain_json(&object.line()))
    }
}
