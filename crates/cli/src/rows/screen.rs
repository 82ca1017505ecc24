//! Rows for a person to read: nothing in a value can move the cursor, change colours or turn the direction of writing.

use arrow_schema::DataType;
use export::Cell;
use query::Answer;

use super::Broken;
use crate::session::Session;
use crate::table;
use crate::text::{fit, plain, plain_line};

/// Rows that are aligned with each other; the next ones form a table of their own.
const ROWS_TOGETHER: usize = 1_000;

/// Cells of the widest value where a table may be as wide as it likes.
const CELL_WIDTH_MAX: usize = 200;

pub fn write(session: &Session, answer: &mut Answer) -> Result<(), Broken> {
    if is_plan(answer) {
        return plan(session, answer);
    }
    let heads: Vec<String> = answer
        .schema()
        .fields()
        .iter()
        .map(|field| format!("{}{}", if field.data_type().is_numeric() { ">" } else { "" }, plain(field.name())))
        .collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let mut rows = Vec::new();
    let mut written = false;
    for batch in answer.by_ref() {
        let batch = batch?;
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            let cell = |(field, column): (&std::sync::Arc<arrow_schema::Field>, &arrow_array::ArrayRef)| {
                let text = plain(&Cell::of(field, column, row).text());
                fit(&text, CELL_WIDTH_MAX, session.glyphs.ellipsis)
            };
            rows.push(schema.fields().iter().zip(batch.columns()).map(cell).collect());
            if rows.len() == ROWS_TOGETHER {
                session.write(&table::table(session, &heads, &rows))?;
                rows.clear();
                written = true;
            }
        }
    }
    if !rows.is_empty() || !written {
        session.write(&table::table(session, &heads, &rows))?;
    }
    Ok(())
}

/// Whether this is what EXPLAIN says.
fn is_plan(answer: &Answer) -> bool {
    let fields = answer.schema().fields();
    let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    names == ["plan_type", "plan"] && fields.iter().all(|field| *field.data_type() == DataType::Utf8)
}

/// A plan's lines say more than any table.
fn plan(session: &Session, answer: &mut Answer) -> Result<(), Broken> {
    for batch in answer.by_ref() {
        let batch = batch?;
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            let text = |at: usize| Cell::of(schema.field(at), batch.column(at), row).text();
            session.write(&table::heading(&plain_line(&text(0))))?;
            for line in text(1).lines() {
                session.write(&format!("{}\n", plain_line(line)))?;
            }
        }
    }
    Ok(())
}
