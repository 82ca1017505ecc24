//! The values of a record as a person reads them.

use record::cbor::Number;
use record::{Part, Stored, Value};

use crate::failure::Failure;
use crate::text::plain;

/// A section of a record as a tree, if the record holds it.
pub fn section(stored: &Stored, part: Part) -> Result<Option<Value>, Failure> {
    let canonical = stored.parts().and_then(|parts| parts.get(part));
    Ok(canonical.map(Value::from_canonical).transpose()?)
}

/// Every leaf with its path, in the order of the tree. A bare value has the path `value`.
pub fn leaves(value: &Value) -> Vec<(String, &Value)> {
    let mut out = Vec::new();
    gather(String::new(), value, &mut out);
    out
}

fn gather<'v>(path: String, value: &'v Value, out: &mut Vec<(String, &'v Value)>) {
    match value {
        Value::Map(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                let key = name(key);
                gather(if path.is_empty() { key } else { format!("{path}.{key}") }, value, out);
            }
        }
        value => out.push((if path.is_empty() { "value".to_owned() } else { path }, value)),
    }
}

/// The leaves by name, as a person reads them: the canonical order goes by the length of names first, which nobody can
/// search. A quantity that was sent as `{"value": …, "unit": "EUR"}` is one line.
pub fn rows(value: &Value) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    gather_rows(String::new(), value, &mut rows);
    rows.sort();
    rows
}

fn gather_rows(path: String, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Map(entries) if !entries.is_empty() && quantity(value).is_none() => {
            for (key, value) in entries {
                let key = name(key);
                gather_rows(if path.is_empty() { key } else { format!("{path}.{key}") }, value, rows);
            }
        }
        value => {
            let path = if path.is_empty() { "value".to_owned() } else { path };
            rows.push((path, one(value)));
        }
    }
}

/// A value in one line, with its unit if it has one.
pub fn one(value: &Value) -> String {
    quantity(value).unwrap_or_else(|| text(value))
}

/// A number with its unit, if the value is that and nothing else.
fn quantity(value: &Value) -> Option<String> {
    let Value::Map(entries) = value else { return None };
    let (number, unit) = (value.get("value")?, value.get("unit")?.as_text()?);
    (entries.len() == 2 && matches!(number, Value::Number(_))).then(|| format!("{} {}", text(number), plain(unit)))
}

/// A name from outside, safe to show.
pub fn name(name: &str) -> String {
    if begins_formula(name) { format!("\"{}\"", plain(name)) } else { plain(name) }
}

/// Whether a spreadsheet would take the text for a formula if it were pasted there.
fn begins_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@'])
}

/// A value in one line, safe to show. Text stands bare unless that would look like something else.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number_text(*number),
        Value::Text(text) if reads_as_text(text) => plain(text),
        Value::Text(text) => format!("\"{}\"", plain(text)),
        Value::Bytes(bytes) => format!("{} bytes {}", bytes.len(), hex(&bytes[..bytes.len().min(16)])),
        Value::Blob(blob) => {
            format!("{} of {} bytes, sha256:{}", plain(&blob.media_type), blob.size, hex(&blob.digest))
        }
        Value::Array(items) => {
            let shown: Vec<String> = items.iter().take(64).map(text).collect();
            let more = if items.len() > 64 { format!(", … {} in all", items.len()) } else { String::new() };
            format!("[{}{more}]", shown.join(", "))
        }
        Value::Map(entries) => {
            let shown: Vec<String> =
                entries.iter().map(|(key, value)| format!("{}: {}", plain(key), text(value))).collect();
            format!("{{{}}}", shown.join(", "))
        }
    }
}

fn number_text(number: Number) -> String {
    match number {
        Number::Int(value) => value.to_string(),
        Number::UInt(value) => value.to_string(),
        Number::Float(value) => value.to_string(),
    }
}

fn reads_as_text(text: &str) -> bool {
    let looks_like_other = text.parse::<f64>().is_ok() || matches!(text, "true" | "false" | "null");
    !text.is_empty() && !looks_like_other && text.trim() == text && !begins_formula(text)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_looks_like_a_number_is_quoted() {
        let shown = |value: &str| text(&Value::Text(value.to_owned()));
        assert_eq!([shown("a b"), shown("12"), shown("null"), shown(" x")], ["a b", "\"12\"", "\"null\"", "\" x\""]);
        assert_eq!(shown("\x1b[2J"), "\\u{1b}[2J");
        assert_eq!(shown("=HYPERLINK(1)"), "\"=HYPERLINK(1)\"");
        assert_eq!((name("@SUM(1)"), name("a b")), ("\"@SUM(1)\"".to_owned(), "a b".to_owned()));
    }

    #[test]
    fn a_tree_is_shown_by_its_leaves() {
        let inner = Value::map([("x".to_owned(), Value::Null)]);
        let tree = Value::map([("a".to_owned(), inner), ("b".to_owned(), Value::map([]))]);
        let shown: Vec<_> = leaves(&tree).into_iter().map(|(path, value)| (path, text(value))).collect();
        assert_eq!(shown, [("a.x".to_owned(), "null".to_owned()), ("b".to_owned(), "{}".to_owned())]);
        assert_eq!(leaves(&Value::Null)[0].0, "value");
        let income =
            Value::map([("unit".to_owned(), Value::Text("EUR".to_owned())), ("value".to_owned(), Value::float(42.5))]);
        let inputs = Value::map([("income".to_owned(), income), ("age".to_owned(), Value::float(31.0))]);
        assert_eq!(rows(&inputs), [("age".into(), "31".into()), ("income".into(), "42.5 EUR".into())]);
    }
}
