//! What every verb has at hand: the machine, the folder of keys, and how to talk.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use host::Host;
use trail::{Folder, KeyFolder};

use crate::args::Global;
use crate::exit::Exit;
use crate::failure::{Failure, reason};
use crate::remote;
use crate::style::{self, Glyphs};
use crate::text;

/// One run of the command.
#[derive(Clone)]
pub struct Session {
    pub host: Host,
    pub keys: Option<KeyFolder>,
    pub json: bool,
    pub quiet: bool,
    pub verbose: bool,
    pub glyphs: Glyphs,
    /// Columns of the terminal; none where lines may be as long as they like.
    pub width: Option<usize>,
}

impl Session {
    pub fn new(global: &Global) -> Session {
        Session {
            host: Host::system(),
            keys: keys_folder().map(KeyFolder),
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            glyphs: Glyphs::of_locale(),
            width: width(),
        }
    }

    /// A session of no terminal, for tests of what draws.
    #[cfg(test)]
    pub fn plain() -> Session {
        Session {
            host: Host::system(),
            keys: None,
            json: false,
            quiet: false,
            verbose: false,
            glyphs: Glyphs::UNICODE,
            width: None,
        }
    }

    /// The trail's folder that an argument names.
    pub fn folder(&self, trail: &str) -> Result<Folder, Failure> {
        if remote::is_server(trail) {
            return Err(remote::not_yet(trail));
        }
        let folder = Folder::new(trail);
        Ok(self.keys.iter().fold(folder, |folder, keys| folder.with_keys(keys)))
    }

    /// The folder of signing keys.
    pub fn keys(&self) -> Result<&KeyFolder, Failure> {
        let missing = || Failure::wrong_use("no folder for signing keys is known").hint("set ONRECORD_KEYS or HOME");
        self.keys.as_ref().ok_or_else(missing)
    }

    /// Columns to draw in when something must have a width.
    pub fn columns(&self) -> usize {
        self.width.unwrap_or(100)
    }

    /// Writes to stdout: the result. Whoever closed it has seen enough.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        match self.write(text) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::could_not(format!("cannot write to stdout: {}", reason(&error))))
            }
            _ => Ok(()),
        }
    }

    /// Writes to stdout, for who must know whether that worked.
    pub fn write(&self, text: &str) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    }

    /// Writes a line to stderr: what is worth knowing beside the result.
    pub fn note(&self, note: &str) {
        if !self.quiet {
            self.say(&format!("{}note{}: {note}", style::NOTE.render(), style::NOTE.render_reset()));
        }
    }

    /// Writes a line to stderr: what is done, for who asked to be told.
    pub fn detail(&self, detail: impl FnOnce() -> String) {
        if self.verbose {
            self.say(&format!("{}{}{}", style::DIM.render(), detail(), style::DIM.render_reset()));
        }
    }

    /// Writes an error line to stderr.
    pub fn error(&self, what: &str) {
        self.say(&format!("{}error{}: {what}", style::BAD.render(), style::BAD.render_reset()));
    }

    /// Says why a verb ended, and how the run ends for it.
    pub fn failed(&self, failure: &Failure) -> Exit {
        self.error(&text::plain_line(&failure.what));
        if let Some(hint) = &failure.hint {
            self.say(&format!(
                "{}hint{}: {}",
                style::HINT.render(),
                style::HINT.render_reset(),
                text::plain_line(hint)
            ));
        }
        failure.exit
    }

    /// A line on stderr. Nobody is left to tell if that fails.
    pub fn say(&self, line: &str) {
        let _ = writeln!(anstream::stderr().lock(), "{line}");
    }
}

fn keys_folder() -> Option<PathBuf> {
    let of = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = || of("XDG_CONFIG_HOME").or_else(|| of("HOME").map(|home| home.join(".config")));
    of("ONRECORD_KEYS").or_else(|| config().map(|config| config.join("onrecord").join("keys")))
}

/// `COLUMNS` if it says so, else what the terminal says; nothing for a pipe.
fn width() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let asked = || {
        let terminal = io::stdout().is_terminal();
        terminal.then(terminal_size::terminal_size).flatten().map(|(width, _)| usize::from(width.0))
    };
    said.or_else(asked).map(|width: usize| width.clamp(40, 400))
}
