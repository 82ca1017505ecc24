//! A JSON object whose fields keep their order, and that can hold JSON as it is: the exact text of a record.

use std::fmt::Write as _;

use serde::Serialize;

/// An object that is being written.
#[derive(Default)]
pub struct Object {
    text: String,
}

impl Object {
    /// Adds a field that is JSON already.
    #[must_use]
    pub fn raw(mut self, name: &str, json: &str) -> Self {
        self.text.push(if self.text.is_empty() { '{' } else { ',' });
        let _ = write!(self.text, "{}:{json}", serde_json::Value::from(name));
        self
    }

    /// Adds a field.
    #[must_use]
    pub fn field(self, name: &str, value: impl Serialize) -> Self {
        // Only values that cannot fail are given here: texts, numbers, lists of them.
        let json = serde_json::to_string(&value).unwrap_or_else(|_| "null".to_owned());
        self.raw(name, &json)
    }

    /// The object.
    pub fn end(self) -> String {
        if self.text.is_empty() { "{}".to_owned() } else { self.text + "}" }
    }

    /// The object as a line of output.
    pub fn line(self) -> String {
        self.end() + "\n"
    }
}

/// A list of JSON texts.
pub fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}
