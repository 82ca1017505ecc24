//! Colours and glyphs. Colours go through `anstream`, which drops them for pipes and for `NO_COLOR`.

use std::fmt;

use anstyle::{AnsiColor, Style};

pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const DIM: Style = Style::new().dimmed();
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
pub const HEAD: Style = Style::new().bold();
pub const HINT: Style = AnsiColor::Cyan.on_default().bold();
pub const NOTE: Style = AnsiColor::Cyan.on_default();
pub const PLUS: Style = AnsiColor::Red.on_default();
pub const MINUS: Style = AnsiColor::Blue.on_default();
pub const WARN: Style = AnsiColor::Yellow.on_default().bold();

/// A text in a style.
pub fn paint(style: Style, text: impl fmt::Display) -> String {
    format!("{}{text}{}", style.render(), style.render_reset())
}

/// The characters that drawings are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyphs {
    pub full: char,
    /// Half a cell, filled from the left; nothing where there is none.
    pub left_half: Option<char>,
    /// Half a cell, filled from the right.
    pub right_half: Option<char>,
    pub axis: char,
    pub ellipsis: &'static str,
    pub rule: char,
}

impl Glyphs {
    pub const UNICODE: Glyphs =
        Glyphs {
            full: '█', left_half: Some('▌'), right_half: Some('▐'), axis: '│', ellipsis: "…", rule: '─'
        };
    pub const ASCII: Glyphs =
        Glyphs { full: '#', left_half: None, right_half: None, axis: '|', ellipsis: "...", rule: '-' };

    /// What the locale can show. One that says nothing is taken for UTF-8, as terminals are.
    pub fn of_locale() -> Glyphs {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        let utf8 = |locale: String| {
            let locale = locale.to_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        };
        if locale.is_none_or(utf8) { Glyphs::UNICODE } else { Glyphs::ASCII }
    }
}
