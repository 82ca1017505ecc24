//! Text from outside, made safe and fitting for a terminal (T24).

pub use export::json::is_treacherous;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The text with every treacherous character spelled out, and a backslash doubled so that both stay apart.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_treacherous(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// JSON with every treacherous character escaped. They stand in strings alone, so what it says stays the same.
pub fn plain_json(json: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_treacherous(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(out, "\\u{unit:04x}");
            });
        } else {
            out.push(c);
        }
    }
    out
}

/// As [`plain`], for messages: backslashes stay single.
pub fn plain_line(text: &str) -> String {
    plain(text).replace("\\\\", "\\")
}

/// Cells that the text takes on a terminal. It holds no escapes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text cut to `max` cells, the cut marked.
pub fn fit(text: &str, max: usize, ellipsis: &str) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let room = max.saturating_sub(width(ellipsis));
    let mut used = 0;
    let mut out = String::new();
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        out.push(c);
    }
    out.push_str(ellipsis);
    out
}

/// The text with spaces behind it up to `cells`.
pub fn pad(text: &str, cells: usize) -> String {
    format!("{text}{}", " ".repeat(cells.saturating_sub(width(text))))
}

/// The text with spaces in front of it up to `cells`.
pub fn pad_left(text: &str, cells: usize) -> String {
    format!("{}{text}", " ".repeat(cells.saturating_sub(width(text))))
}

/// The words of a text in lines of at most `max` cells.
pub fn wrap(text: &str, max: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if !line.is_empty() && width(line) + 1 + width(word) > max {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_deceive_a_reader_is_spelled_out() {
        assert_eq!(plain("a\x1b[31mb\u{202e}c\u{9b}d\\n\n"), "a\\u{1b}[31mb\\u{202e}c\\u{9b}d\\\\n\\n");
        assert_eq!(plain("Müller … ½ 東京"), "Müller … ½ 東京");
    }

    #[test]
    fn texts_are_cut_by_cells_and_not_by_bytes() {
        assert_eq!(fit("東京都庁", 8, "…"), "東京都庁");
        assert_eq!(fit("東京都庁", 6, "…"), "東京…");
        assert_eq!(width(&fit("東京都庁", 6, "…")), 5);
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    }
}
