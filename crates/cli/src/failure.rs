//! What a person is told when something did not work: what happened, to what, and what to do.

use std::fmt;
use std::path::Path;

use crate::exit::Exit;

/// Why a verb ended before its end.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub what: String,
    pub hint: Option<String>,
}

pub type Outcome = Result<Exit, Failure>;

impl Failure {
    /// The caller asked for something that cannot be done; nothing was.
    pub fn wrong_use(what: impl Into<String>) -> Self {
        Failure { exit: Exit::WrongUse, what: what.into(), hint: None }
    }

    /// What was asked for is not there.
    pub fn not_found(what: impl Into<String>) -> Self {
        Failure { exit: Exit::Negative, what: what.into(), hint: None }
    }

    /// The disk, the system or another process stood in the way.
    pub fn could_not(what: impl Into<String>) -> Self {
        Failure { exit: Exit::CouldNot, what: what.into(), hint: None }
    }

    /// An error of the crates below. They say "what happened; what to do": the second half becomes the hint.
    pub fn of(exit: Exit, error: &dyn fmt::Display) -> Self {
        let text = error.to_string();
        match text.rsplit_once("; ") {
            Some((what, hint)) => Failure { exit, what: what.to_owned(), hint: Some(hint.to_owned()) },
            None => Failure { exit, what: text, hint: None },
        }
    }

    /// A file that could not be read or written.
    pub fn io(did: &str, path: &Path, error: &std::io::Error) -> Self {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::WrongUse } else { Exit::CouldNot };
        Failure { exit, what: format!("cannot {did} {}: {}", path.display(), reason(error)), hint: None }
    }

    /// What could not be read of a trail is looked into with `verify`.
    #[must_use]
    pub fn of_trail(self, trail: &str) -> Self {
        if self.exit == Exit::CouldNot { self.hint(format!("run: onrecord verify {trail}")) } else { self }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What the system said, without the error number that no reader needs.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_lowercase(),
        None => text,
    }
}

impl From<trail::SettingsError> for Failure {
    fn from(error: trail::SettingsError) -> Self {
        match error {
            trail::SettingsError::NotATrail(folder) => {
                Failure::wrong_use(format!("{} is no trail: it has no trail.json", folder.display()))
                    .hint("is the path right? (onrecord init makes a trail)")
            }
            error => Failure::of(Exit::CouldNot, &error),
        }
    }
}

impl From<trail::ReadError> for Failure {
    fn from(error: trail::ReadError) -> Self {
        match error {
            trail::ReadError::Settings(error) => error.into(),
            error => Failure::of(Exit::CouldNot, &error),
        }
    }
}

macro_rules! could_not {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure::of(Exit::CouldNot, &error)
            }
        }
    )*};
}
could_not!(
    host::FileError,
    lake::ReadError,
    record::StoredError,
    record::cbor::CborError,
    trail::AppendError,
    trail::CloseError,
    trail::CompactError,
    trail::SettleError,
    trail::SnapshotError,
    trail::SocketError,
    trail::Stopped,
    Box<record::RecordError>
);
