//! A bar on stderr while something takes its time: on a terminal, and not with `--quiet`.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::session::Session;

/// A bar over `total` of something.
pub fn bar(session: &Session, what: &'static str, total: u64) -> ProgressBar {
    let hidden = session.quiet || session.json;
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let template = "{msg} {bar:30} {human_pos}/{human_len} {per_sec} {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total), target).with_style(style).with_message(what)
}

/// A counter of something whose end is not known.
pub fn counter(session: &Session, what: &'static str) -> ProgressBar {
    let hidden = session.quiet || session.json;
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{msg} {human_pos} {per_sec}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(None, target).with_style(style).with_message(what)
}
