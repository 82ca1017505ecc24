//! How a run ended, as the shell is told.

/// The exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done, or holds.
    Done = 0,
    /// It does not hold, or is not there.
    Negative = 1,
    /// Wrong use or bad input, and nothing was done.
    WrongUse = 2,
    /// It could not be run: the disk, the system, another process.
    CouldNot = 3,
    /// Some of it is done.
    Partly = 4,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
