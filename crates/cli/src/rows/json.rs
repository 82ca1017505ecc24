//! Rows as JSON objects. JSON of records stands inside as it is. What could deceive whoever looks at it is in strings
//! alone, and is spelled out there in JSON's own way, which changes no value.

use std::io::Write;

use query::Answer;

use super::Broken;
use super::cell::Cell;
use crate::text::is_treacherous;

pub fn write(out: &mut impl Write, answer: &mut Answer, array: bool) -> Result<(), Broken> {
    let names: Vec<String> = answer
        .schema()
        .fields()
        .iter()
        .map(|field| spelled_out(serde_json::Value::from(field.name().as_str()).to_string()))
        .collect();
    let mut first = true;
    if array {
        out.write_all(b"[")?;
    }
    for batch in answer.by_ref() {
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
                write!(out, "{comma}{}:{}", names[at], spelled_out(Cell::of(field, column, row).json()))?;
            }
            out.write_all(if array { b"}" } else { b"}\n" })?;
        }
    }
    if array {
        out.write_all(if first { b"]\n" } else { b"\n]\n" })?;
    }
    Ok(())
}

fn spelled_out(json: String) -> String {
    if !json.contains(is_treacherous) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_treacherous(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_could_deceive_is_spelled_out_and_stays_the_same() {
        let text = "a\u{9b}b\u{202e}c\u{e0001}d ü";
        let json = super::spelled_out(serde_json::Value::from(text).to_string());
        assert_eq!(json, "\"a\\u009bb\\u202ec\\udb40\\udc01d ü\"");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
