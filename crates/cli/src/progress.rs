//! A bar on stderr while something takes its time: on a terminal, and not with `--quiet`.

use std::fmt::Write;
use std::time::Duration;

use host::Host;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::number;
use crate::session::Session;

/// What is done sooner needs no bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// A bar that shows itself when something has taken a while.
pub struct Progress {
    bar: ProgressBar,
    host: Host,
    since: Duration,
    /// Whether it may show itself and has not done so.
    waiting: bool,
}

/// A bar over something whose extent is told later.
pub fn bar(session: &Session, what: &'static str) -> Progress {
    Progress::new(session, what, Some(0), "{msg} {bar:30} {human_pos}/{human_len} {rate} {eta}")
}

/// A counter of something whose end is not known.
pub fn counter(session: &Session, what: &'static str) -> Progress {
    Progress::new(session, what, None, "{msg} {human_pos} {rate}")
}

impl Progress {
    fn new(session: &Session, what: &'static str, total: Option<u64>, template: &str) -> Progress {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let rate = |state: &ProgressState, out: &mut dyn Write| {
            let _ = write!(out, "{}/s", number::count(state.per_sec().round() as u64));
        };
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let bar = bar.with_style(style.with_key("rate", rate)).with_message(what);
        let waiting = !session.quiet && !session.json;
        Progress { bar, host: session.host.clone(), since: session.host.monotonic(), waiting }
    }

    /// So much of so much is done.
    pub fn of(&mut self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.at(done);
    }

    /// So much is done.
    pub fn at(&mut self, done: u64) {
        if self.waiting && self.host.monotonic().saturating_sub(self.since) >= PATIENCE {
            self.waiting = false;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(done);
    }

    /// Does what may write to the terminal, with the bar out of its way.
    pub fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.bar.suspend(work)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
