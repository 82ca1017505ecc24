//! `GET records`: records by what is known of them, newest first, a page at a time.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{Array as _, RecordBatch};
use arrow_schema::{Schema, SchemaRef};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use query::{After, Answer, QueryError, Search, View};
use serde_json::Value;

use crate::asked::{Asked, Query};
use crate::filters;
use crate::problem::Problem;
use crate::reading::Reading;
use crate::rows::{self, Form, Rows};
use crate::table::Answering;

/// Records of a page, unless the caller says.
pub const LIMIT: usize = 100;

/// Columns that say where a page ends.
const INDEX: &str = "index";
const TIME: &str = "time_ns";

/// Answers it.
pub fn search(asked: Asked) -> Answering {
    Box::pin(async move {
        let form = Form::accepted(&asked.headers)?;
        let now = asked.server.host.now_ns();
        let page = Page::read(&asked.query, now, asked.server.config.limits.query_rows_max)?;
        let question = format!("GET records?{}", asked.query.told());
        let reading = Reading::begin(&asked, &question, None).await?;
        Ok(rows::answer(reading, form, page, asked.server.config.limits.stall()).await)
    })
}

/// One page of what is found.
struct Page {
    search: Search,
    /// The pages before it were read of records below this index.
    below: Option<u64>,
    now_ns: i64,
    /// Columns that the caller did not ask for.
    hidden: usize,
    found: usize,
    last: Option<After>,
}

impl Page {
    fn read(query: &Query, now_ns: i64, rows_max: usize) -> Result<Page, Problem> {
        let full = || Search::IN_FULL.map(str::to_owned).to_vec();
        let mut columns = filters::columns(query).unwrap_or_else(full);
        let asked = columns.len();
        for needed in [INDEX, TIME] {
            if !columns.iter().any(|column| column == needed) {
                columns.push(needed.to_owned());
            }
        }
        let (after, below) = query
            .get("cursor")
            .map(Cursor::read)
            .transpose()?
            .map_or((None, None), |cursor| (Some(cursor.after), Some(cursor.below)));
        let limit = query.number("limit", LIMIT.min(rows_max), rows_max)?;
        let search = Search { below, after, limit, columns: columns.clone(), ..filters::read(query, now_ns)? };
        Ok(Page { hidden: columns.len() - asked, search, below, now_ns, found: 0, last: None })
    }
}

impl Rows for Page {
    fn ask(&mut self, view: &View) -> Result<Answer, QueryError> {
        // Later pages are read of what there was when the first one was.
        let below = *self.below.get_or_insert(view.snapshot().end());
        self.search.below = Some(below);
        view.clone().at(self.now_ns).search(&self.search)
    }

    fn shown_of(&self, schema: &SchemaRef) -> SchemaRef {
        let shown = schema.fields().len().saturating_sub(self.hidden);
        Arc::new(Schema::new(schema.fields()[..shown].to_vec()))
    }

    fn shown(&mut self, batch: RecordBatch) -> RecordBatch {
        self.found += batch.num_rows();
        if let Some(row) = batch.num_rows().checked_sub(1) {
            let number = |name: &str| {
                let column = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
                column.is_valid(row).then(|| column.value(row))
            };
            let index = number(INDEX).and_then(|index| u64::try_from(index).ok());
            self.last = index.map(|index| After { time_us: number(TIME).map(|ns| ns.div_euclid(1_000)), index });
        }
        let shown: Vec<usize> = (0..batch.num_columns().saturating_sub(self.hidden)).collect();
        batch.project(&shown).unwrap_or(batch)
    }

    fn name(&self) -> &'static str {
        "records"
    }

    fn after(&self) -> Vec<(&'static str, Value)> {
        let last = self.last.filter(|_| self.found >= self.search.limit);
        let next = last.zip(self.below).map(|(after, below)| Cursor { after, below }.told());
        vec![("next", next.into())]
    }
}

/// Where the next page begins. A caller gives it back as it was.
#[derive(Debug, PartialEq, Eq)]
struct Cursor {
    after: After,
    below: u64,
}

impl Cursor {
    fn told(&self) -> String {
        let time = self.after.time_us.map_or_else(String::new, |time| time.to_string());
        BASE64.encode(format!("1 {time} {} {}", self.after.index, self.below))
    }

    fn read(text: &str) -> Result<Cursor, Problem> {
        let wrong = || Problem::parameter("cursor", "this is no cursor of an answer; give one back as it was");
        let bytes = BASE64.decode(text).map_err(|_| wrong())?;
        let text = String::from_utf8(bytes).map_err(|_| wrong())?;
        let parts: Vec<&str> = text.split(' ').collect();
        let ["1", time, index, below] = parts.as_slice() else { return Err(wrong()) };
        let time_us = if time.is_empty() { None } else { Some(time.parse().map_err(|_| wrong())?) };
        let number = |text: &str| text.parse::<u64>().ok().filter(|n| *n <= i64::MAX as u64).ok_or_else(wrong);
        Ok(Cursor { after: After { time_us, index: number(index)? }, below: number(below)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_told_and_nothing_else_is_one() {
        for time_us in [None, Some(-5), Some(1_700_000_000_000_000)] {
            let cursor = Cursor { after: After { time_us, index: 7 }, below: 99 };
            assert_eq!(Cursor::read(&cursor.told()).unwrap(), cursor);
        }
        for wrong in
            ["", "x", "!!", &BASE64.encode("2 1 1 1"), &BASE64.encode("1 1 1 1 OR 1=1"), &BASE64.encode("1 1 -1 1")]
        {
            assert!(Cursor::read(wrong).is_err(), "{wrong}");
        }
    }
}
