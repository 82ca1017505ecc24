//! A sheet as one page that needs nothing else: no script, no asset, no request. WCAG 2.2 AA.

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::chart::{self, Bar};
use crate::failure::Failure;
use crate::number;
use crate::sheet::{Block, Cell, Section, Sheet, Tone};

/// The one style sheet. It stands in the page, and the page's policy allows it by its hash and nothing else.
const STYLE: &str = include_str!("../../templates/sheet.css");

/// The half of a bar's drawing that one side of the axis has.
const SIDE: f64 = 100.0;

#[derive(Template)]
#[template(path = "sheet.html")]
struct Page<'s> {
    sheet: &'s Sheet,
    style: &'static str,
    style_hash: String,
    version: &'static str,
}

/// The page.
pub fn render(sheet: &Sheet) -> Result<String, Failure> {
    let style_hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let page = Page { sheet, style: STYLE, style_hash, version: env!("CARGO_PKG_VERSION") };
    page.render().map_err(|error| Failure::could_not(format!("cannot write the page: {error}")))
}

/// A bar about the axis in the middle.
struct Drawn {
    name: String,
    given: String,
    figure: String,
    up: bool,
    x: f64,
    width: f64,
}

impl Section {
    /// A page that opens at a heading stays in the page.
    fn link(&self) -> String {
        format!("#{}", self.anchor)
    }
}

impl Block {
    /// The bars of a chart, longest first, and what the small ones come to.
    fn drawn(&self) -> (Vec<Drawn>, Option<String>) {
        let Block::Chart { bars, .. } = self else { return (Vec::new(), None) };
        let (bars, rest) = chart::longest(bars.clone());
        let longest = bars.iter().map(|bar| bar.value.abs()).fold(0.0, f64::max);
        let drawn = |bar: &Bar| {
            let share = if longest > 0.0 && bar.value.is_finite() { bar.value.abs() / longest } else { 0.0 };
            let (width, up) = ((share * SIDE * 10.0).round() / 10.0, bar.value >= 0.0);
            let x = if up { SIDE } else { SIDE - width };
            let given = bar.given.clone().unwrap_or_default();
            Drawn { name: bar.name.clone(), given, figure: number::signed(bar.value), up, x, width }
        };
        (bars.iter().map(drawn).collect(), rest)
    }
}

impl Cell {
    fn class(&self) -> &'static str {
        match self.verdict.as_ref().map(|(tone, _)| tone) {
            Some(Tone::Good) => "good",
            Some(Tone::Warn) => "warn",
            Some(Tone::Bad) => "bad",
            None => "",
        }
    }

    fn word(&self) -> &str {
        self.verdict.as_ref().map_or("", |(_, word)| word)
    }

    /// Whether a space belongs between the word and the text.
    fn apart(&self) -> bool {
        !self.word().is_empty() && !self.text.is_empty() && !self.text.starts_with([',', ':', ';'])
    }
}

#[cfg(test)]
pub mod markup;
