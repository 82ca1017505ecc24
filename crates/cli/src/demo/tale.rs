//! How the tour is told, and what it has seen to hold.

use crate::failure::Failure;
use crate::session::Session;
use crate::style::{DIM, HEAD, paint};

/// The tour as it goes.
pub struct Tale<'s> {
    session: &'s Session,
    step: u32,
    checks: Vec<(&'static str, bool)>,
}

impl<'s> Tale<'s> {
    pub fn new(session: &'s Session) -> Self {
        Tale { session, step: 0, checks: Vec::new() }
    }

    pub fn session(&self) -> &'s Session {
        self.session
    }

    /// Words that are for people alone.
    pub fn say(&self, words: &str) -> Result<(), Failure> {
        if self.session.json || self.session.quiet { Ok(()) } else { self.session.print(words) }
    }

    /// The next step, and what it is about.
    pub fn step(&mut self, title: &str, about: &str) -> Result<(), Failure> {
        self.step += 1;
        let rule = self.session.glyphs.rule.to_string().repeat(self.session.columns().min(100));
        self.say(&format!("\n{}\n{}\n", paint(DIM, rule), paint(HEAD, format!("{}. {title}", self.step))))?;
        if about.is_empty() { Ok(()) } else { self.say(&format!("{about}\n")) }
    }

    /// What one would type to get what follows.
    pub fn command(&self, command: &str) -> Result<(), Failure> {
        self.say(&format!("\n{} {}\n", paint(DIM, "$"), paint(HEAD, command)))
    }

    /// Notes whether something that the tour shows held.
    pub fn held(&mut self, what: &'static str, held: bool) {
        self.checks.push((what, held));
    }

    pub fn checks(&self) -> &[(&'static str, bool)] {
        &self.checks
    }
}
