//! Rows as CSV (RFC 4180). A text that a spreadsheet would run as a formula begins with an apostrophe, which tells it to
//! take the rest as text; numbers stay as they are. A text that begins with an apostrophe of its own gets one more, so
//! that nothing is lost.

use arrow_array::RecordBatch;
use arrow_schema::Schema;

use crate::cell::Cell;

/// The line of names, with its end.
pub fn head(schema: &Schema) -> String {
    let names: Vec<String> = schema.fields().iter().map(|field| quoted(&harmless(field.name()))).collect();
    names.join(",") + "\r\n"
}

/// A row as a line, with its end.
pub fn line(batch: &RecordBatch, row: usize) -> String {
    let schema = batch.schema_ref();
    let cells = schema.fields().iter().zip(batch.columns()).map(|(field, column)| cell(&Cell::of(field, column, row)));
    cells.collect::<Vec<_>>().join(",") + "\r\n"
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Bare(text) => text.clone(),
        // An empty text is not the same as none.
        Cell::Text(text) if text.is_empty() => "\"\"".to_owned(),
        other => quoted(&harmless(&other.text())),
    }
}

/// The text, and an apostrophe in front if a spreadsheet would see a formula in it.
fn harmless(text: &str) -> String {
    let begins = |c: char| matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠');
    // Blanks in front do not stop every spreadsheet.
    let formula = text.trim_start_matches([' ', '\u{a0}']).starts_with(begins) || text.starts_with('\'');
    if formula { format!("'{text}") } else { text.to_owned() }
}

fn quoted(text: &str) -> String {
    let plain = !text.contains([',', '"', '\r', '\n', '\t']) && text.trim() == text;
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_text_and_quotes_hold() {
        let text = |text: &str| cell(&Cell::Text(text.to_owned()));
        assert_eq!(text("=HYPERLINK(\"http://x\",\"y\")"), "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"");
        assert_eq!([text("+1"), text("-1"), text("@x"), text(" =1")], ["'+1", "'-1", "'@x", "' =1"]);
        assert_eq!(text("\t=1"), "\"'\t=1\"");
        assert_eq!(text("'=1"), "''=1");
        assert_eq!(cell(&Cell::Bare("-1.5".to_owned())), "-1.5");
        assert_eq!([cell(&Cell::Null), text("")], ["", "\"\""]);
        assert_eq!(text("a,b\"c\r\nd"), "\"a,b\"\"c\r\nd\"");
    }
}
