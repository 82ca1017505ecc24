//! Rows as text for other programs. On a terminal, what could deceive whoever looks at CSV is spelled out.

use std::io::Write;

use export::json::Objects;
use query::Answer;

use super::Broken;
use crate::text::plain_line;

pub fn csv(out: &mut impl Write, answer: &mut Answer, terminal: bool) -> Result<(), Broken> {
    let shown = |line: String| match line.strip_suffix("\r\n").filter(|_| terminal) {
        Some(line) => plain_line(line) + "\r\n",
        None => line,
    };
    out.write_all(shown(export::csv::head(answer.schema())).as_bytes())?;
    for batch in answer.by_ref() {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            out.write_all(shown(export::csv::line(&batch, row)).as_bytes())?;
        }
    }
    Ok(())
}

pub fn json(out: &mut impl Write, answer: &mut Answer, array: bool) -> Result<(), Broken> {
    let objects = Objects::new(answer.schema());
    let (before, between, after) = if array { ("[\n", ",\n", "\n]\n") } else { ("", "\n", "\n") };
    let mut first = true;
    for batch in answer.by_ref() {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            out.write_all(if first { before } else { between }.as_bytes())?;
            out.write_all(objects.object(&batch, row).as_bytes())?;
            first = false;
        }
    }
    let end = match (first, array) {
        (false, _) => after,
        (true, true) => "[]\n",
        (true, false) => "",
    };
    Ok(out.write_all(end.as_bytes())?)
}
