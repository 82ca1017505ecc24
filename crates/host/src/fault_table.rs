//! A table of faults: which point, which visit, what goes wrong.

use std::collections::HashMap;
use std::str::FromStr;

use parking_lot::Mutex;

use crate::{Fault, Faults};

/// One row: at the `nth` visit (from 1) of `point`, `fault`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRow {
    /// `<step>.<operation>`.
    pub point: String,
    /// Which visit, counted from 1.
    pub nth: u64,
    /// What happens then.
    pub fault: Fault,
}

/// Faults by table. Each row strikes once.
///
/// As text, rows are split by `,` and a row is `point=fault[:errno][@nth]`, where fault is `fail-before`, `fail-after`,
/// `short-write`, `kill-before` or `kill-after`, errno is `EIO` (the default), `ENOSPC`, `EDQUOT`, `EROFS`, `EACCES` or
/// a number, and nth counts from 1 (the default): `checkpoint.rename=kill-after@3,journal.write=short-write:ENOSPC`.
/// So a test hands a table to a child process in an environment variable that the test itself reads.
#[derive(Debug, Default)]
pub struct FaultTable {
    rows: Vec<FaultRow>,
    visits: Mutex<HashMap<String, u64>>,
}

impl FaultTable {
    /// A table of these rows; where two rows name one visit of one point, the first strikes.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = FaultRow>) -> Self {
        Self { rows: rows.into_iter().collect(), visits: Mutex::default() }
    }

    /// A table of one row.
    #[must_use]
    pub fn one(point: &str, nth: u64, fault: Fault) -> Self {
        Self::new([FaultRow { point: point.to_owned(), nth, fault }])
    }
}

impl Faults for FaultTable {
    fn at(&self, point: &str) -> Option<Fault> {
        let mut visits = self.visits.lock();
        let nth = visits.entry(point.to_owned()).or_insert(0);
        *nth += 1;
        self.rows.iter().find(|row| row.nth == *nth && row.point == point).map(|row| row.fault)
    }
}

/// The text is no fault table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultTableError {
    /// A row is not `point=fault`.
    #[error("fault row {row:?} is not point=fault[:errno][@nth]")]
    Row {
        /// The row.
        row: String,
    },
    /// No such fault.
    #[error("no fault is called {name:?}: use fail-before, fail-after, short-write, kill-before or kill-after")]
    Fault {
        /// What stood there.
        name: String,
    },
    /// No such error number.
    #[error("{name:?} is no error number that is known here: use EIO, ENOSPC, EDQUOT, EROFS, EACCES or a number")]
    Errno {
        /// What stood there.
        name: String,
    },
    /// The visit is not a number from 1.
    #[error("{nth:?} is no visit: visits count from 1")]
    Nth {
        /// What stood there.
        nth: String,
    },
}

impl FromStr for FaultTable {
    type Err = FaultTableError;

    fn from_str(text: &str) -> Result<Self, FaultTableError> {
        let rows = text.split(',').map(str::trim).filter(|row| !row.is_empty());
        Ok(Self::new(rows.map(str::parse).collect::<Result<Vec<FaultRow>, _>>()?))
    }
}

impl FromStr for FaultRow {
    type Err = FaultTableError;

    fn from_str(row: &str) -> Result<Self, FaultTableError> {
        let no_row = || FaultTableError::Row { row: row.to_owned() };
        let (point, rest) = row.split_once('=').filter(|(point, _)| point.contains('.')).ok_or_else(no_row)?;
        let (rest, nth) = match rest.split_once('@') {
            None => (rest, 1),
            Some((rest, nth)) => (rest, parse_nth(nth)?),
        };
        let (name, errno) = match rest.split_once(':') {
            None => (rest, rustix::io::Errno::IO.raw_os_error()),
            Some((name, errno)) => (name, parse_errno(errno)?),
        };
        Ok(FaultRow { point: point.to_owned(), nth, fault: parse_fault(name, errno)? })
    }
}

fn parse_nth(nth: &str) -> Result<u64, FaultTableError> {
    nth.parse().ok().filter(|&nth| nth > 0).ok_or_else(|| FaultTableError::Nth { nth: nth.to_owned() })
}

fn parse_errno(name: &str) -> Result<i32, FaultTableError> {
    use rustix::io::Errno;
    let errno = match name {
        "EIO" => Errno::IO,
        "ENOSPC" => Errno::NOSPC,
        "EDQUOT" => Errno::DQUOT,
        "EROFS" => Errno::ROFS,
        "EACCES" => Errno::ACCESS,
        number => return number.parse().map_err(|_| FaultTableError::Errno { name: number.to_owned() }),
    };
    Ok(errno.raw_os_error())
}

fn parse_fault(name: &str, errno: i32) -> Result<Fault, FaultTableError> {
    match name {
        "fail-before" => Ok(Fault::FailBefore(errno)),
        "fail-after" => Ok(Fault::FailAfter(errno)),
        "short-write" => Ok(Fault::ShortWrite(errno)),
        "kill-before" => Ok(Fault::KillBefore),
        "kill-after" => Ok(Fault::KillAfter),
        other => Err(FaultTableError::Fault { name: other.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_reads_its_text_and_strikes_once_at_the_named_visit() {
        let table: FaultTable =
            "a.rename=kill-after@3, b.write=short-write:ENOSPC,b.fsync=fail-after:5@2".parse().unwrap();
        assert_eq!(table.at("b.write"), Some(Fault::ShortWrite(28)));
        assert_eq!(table.at("b.write"), None);
        assert_eq!([table.at("b.fsync"), table.at("b.fsync")], [None, Some(Fault::FailAfter(5))]);
        let renames: Vec<_> = (0..4).map(|_| table.at("a.rename")).collect();
        assert_eq!(renames, [None, None, Some(Fault::KillAfter), None]);
    }

    #[test]
    fn text_that_is_no_table_is_refused_by_name() {
        let error = |text: &str| text.parse::<FaultTable>().unwrap_err();
        assert!(matches!(error("a.rename"), FaultTableError::Row { .. }));
        assert!(matches!(error("rename=kill-after"), FaultTableError::Row { .. }));
        assert!(matches!(error("a.rename=explode"), FaultTableError::Fault { .. }));
        assert!(matches!(error("a.rename=fail-before:ENOWAY"), FaultTableError::Errno { .. }));
        assert!(matches!(error("a.rename=kill-before@0"), FaultTableError::Nth { .. }));
    }
}
