//! Rows as JSON objects. JSON of records stands inside as it is. What could deceive whoever looks at it is in strings
//! alone, and is spelled out there in JSON's own way, which changes no value.

use std::fmt::Write as _;

use arrow_array::RecordBatch;
use arrow_schema::Schema;

use crate::cell::Cell;

/// Writes the objects of rows with some columns.
pub struct Objects {
    names: Vec<String>,
}

impl Objects {
    /// For rows of these columns.
    pub fn new(schema: &Schema) -> Self {
        let name = |name: &str| spelled_out(serde_json::Value::from(name).to_string());
        Objects { names: schema.fields().iter().map(|field| name(field.name())).collect() }
    }

    /// A row as an object.
    pub fn object(&self, batch: &RecordBatch, row: usize) -> String {
        let mut out = String::from("{");
        let columns = batch.schema_ref().fields().iter().zip(batch.columns());
        for (at, ((field, column), name)) in columns.zip(&self.names).enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(out, "{comma}{name}:{}", spelled_out(Cell::of(field, column, row).json()));
        }
        out + "}"
    }
}

/// Whether a character could make a terminal or a reader see something else than what is there: controls and escapes,
/// marks that change the direction of writing, characters without width.
pub fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{00ad}' | '\u{180e}' | '\u{e0000}'..='\u{e007f}')
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
