//! Rows as JSON objects. JSON of records stands inside as it is; U+2028 and the like are legal in it, and nothing in a
//! string can end it.

use std::io::Write;

use query::Answer;

use super::Broken;
use super::cell::Cell;

pub fn write(out: &mut impl Write, answer: &mut Answer, array: bool) -> Result<(), Broken> {
    let names: Vec<String> =
        answer.schema().fields().iter().map(|field| serde_json::Value::from(field.name().as_str()).to_string()).collect();
    let mut first = true;
    if array {
        out.write_all(b"[")?;
    }
    while let Some(batch) = answer.next() {
        let batch = batch?;
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            match (array, first) {
                (true, true) => out.write_all(b"\n")?,
                (true, false) => out.write_all(b",\n")?,
                (false, _) => {}
            }
            first = false;
            out.write_all(b"{")?;
            for (at, (field, column)) in schema.fields().iter().zip(batch.columns()).enumerate() {
                let comma = if at > 0 { "," } else { "" };
                write!(out, "{comma}{}:{}", names[at], Cell::of(field, column, row).json())?;
            }
            out.write_all(if array { b"}" } else { b"}\n" })?;
        }
    }
    if array {
        out.write_all(if first { b"]\n" } else { b"\n]\n" })?;
    }
    Ok(())
}
