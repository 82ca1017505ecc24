//! Reading a journal while its writer runs, in the same process or another.

use std::path::{Path, PathBuf};

use host::{FileError, Host};
use keys::Keyring;

use crate::frame::{Frame, find_proof};
use crate::segment::{HEADER_BYTES, HeaderError, LoadError, SegmentHeader, SegmentName, was_being_begun};
use crate::veil::Veil;
use crate::{STEP, VisitError};

/// At most this many problems are listed; the rest are counted.
const PROBLEMS_MAX: usize = 1000;

/// What a reading found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// One past the last record that was visited, or `from` when there was none.
    pub next_index: u64,
    /// How many records the journal itself proves to have been durable. Records from here to `next_index` may not be
    /// durable yet.
    pub durable: u64,
    /// How many records were visited.
    pub records: u64,
    /// What is wrong, in order; the first 1,000.
    pub problems: Vec<Problem>,
    /// How many more problems there are.
    pub problems_left_off: u64,
}

/// Something is wrong in a segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}, byte {offset}, record {index}: {kind}", segment.display())]
pub struct Problem {
    /// The file.
    pub segment: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// The first record that it touches.
    pub index: u64,
    /// What.
    pub kind: ProblemKind,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// Acknowledged records are missing or damaged.
    #[error("acknowledged records up to {until}, that one not included, are gone or damaged")]
    Hole {
        /// The first record after them that is there, or was at least proven to be durable.
        until: u64,
    },
    /// Two segments claim the same record; those of the later one were visited too.
    #[error("the segment before goes on to record {expected}")]
    Overlap {
        /// Where the segment should begin.
        expected: u64,
    },
    /// A segment's header cannot be used, so none of its records was visited.
    #[error("{0}")]
    Header(HeaderError),
    /// A payload is not what was encrypted under the segment's key.
    #[error("it was changed after it was encrypted")]
    NotAuthentic,
    /// A file is longer than any segment, and was not read.
    #[error("the file is {bytes} bytes long, which no segment is")]
    SegmentTooLong {
        /// Its length.
        bytes: u64,
    },
}

impl Reading {
    /// The problems that touch records from `index` on. Those below it are settled elsewhere, and damage to them is no
    /// concern.
    pub fn problems_from(&self, index: u64) -> impl Iterator<Item = &Problem> {
        let is_below = move |problem: &Problem| matches!(problem.kind, ProblemKind::Hole { until } if until <= index);
        // What is wrong with a whole segment is told again as the hole it makes, where a later segment bounds it.
        let made_hole =
            move |problem: &Problem| self.problems.iter().any(|hole| hole.segment == problem.segment && is_below(hole));
        self.problems.iter().filter(move |problem| match problem.kind {
            ProblemKind::Hole { .. } => !is_below(problem),
            _ => !made_hole(problem),
        })
    }
}

/// A journal was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The writer released a segment that was needed. Look again where the settled records end, and read from there.
    #[error("record {index} of the journal in {} has been released since; read on from where it was settled", folder.display())]
    Vanished {
        /// The journal.
        folder: PathBuf,
        /// The record that was to come next.
        index: u64,
    },
    /// `visit` would not take a record.
    #[error("record {index} of the journal cannot be used: {cause}")]
    Refused {
        /// Which.
        index: u64,
        /// What `visit` said.
        cause: VisitError,
    },
    /// The machine refused. May be tried again.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Visits every whole record from `from` on, in order, in the journal in `folder`. Takes no lock and changes nothing;
/// a writer may run meanwhile. Damage does not end it: it is listed, and reading goes on behind it. A tail that is not
/// proven to be durable is no problem; reading ends there. `keys` are for segments that are encrypted; one whose key
/// cannot be had is a problem.
///
/// # Errors
/// [`ReadError`]; what was visited before is good.
pub fn read(
    host: &Host,
    folder: impl AsRef<Path>,
    from: u64,
    keys: Option<&Keyring>,
    visit: impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
) -> Result<Reading, ReadError> {
    let folder = folder.as_ref();
    let names = SegmentName::list(host, folder)?;
    let reading = Reading { next_index: from, ..Reading::default() };
    let mut reader = Reader { host, folder, from, keys, visit, index: from, reading };
    let Some(start) = names.iter().rposition(|name| name.first_index <= from) else {
        return if names.is_empty() { Ok(reader.reading) } else { Err(reader.vanished()) };
    };
    reader.index = names[start].first_index;
    for (position, name) in names.iter().enumerate().skip(start) {
        reader.segment(name, names.get(position + 1))?;
    }
    Ok(reader.reading)
}

/// The first record of the oldest segment, or nothing where there is no segment. Read on from there to have all that
/// is here, whatever was settled by now.
///
/// # Errors
/// [`FileError`]; may be tried again.
pub fn oldest(host: &Host, folder: impl AsRef<Path>) -> Result<Option<u64>, FileError> {
    Ok(SegmentName::list(host, folder.as_ref())?.first().map(|name| name.first_index))
}

struct Reader<'a, V> {
    host: &'a Host,
    folder: &'a Path,
    from: u64,
    keys: Option<&'a Keyring>,
    visit: V,
    /// The record that comes next.
    index: u64,
    reading: Reading,
}

impl<V: FnMut(u64, &[u8]) -> Result<(), VisitError>> Reader<'_, V> {
    fn segment(&mut self, name: &SegmentName, next: Option<&SegmentName>) -> Result<(), ReadError> {
        let Some(mut bytes) = self.load(name)? else { return Ok(()) };
        let begins = |bytes: &[u8]| SegmentHeader::decode(bytes, name.first_index);
        if next.is_none() && begins(&bytes) == Err(HeaderError::Damaged) {
            // The writer may have begun this segment, and written frames to it, while the file was being read from
            // front to back. Whoever sees a frame sees the header too, so a second look tells that from damage.
            let Some(again) = self.load(name)? else { return Ok(()) };
            bytes = again;
        }
        self.reading.durable = self.reading.durable.max(name.first_index);
        if name.first_index < self.index {
            self.problem(name, 0, name.first_index, ProblemKind::Overlap { expected: self.index });
        }
        self.index = name.first_index;
        let opened = begins(&bytes).and_then(|header| Ok((header, Veil::of(self.keys, name, &header)?)));
        let end = match opened {
            Ok((header, veil)) => self.frames(name, header, veil.as_ref(), bytes, next)?,
            Err(HeaderError::Damaged) if next.is_none() && was_being_begun(&bytes) => HEADER_BYTES,
            // The writer removes a segment before it destroys its key: if it is gone, it was released meanwhile.
            Err(HeaderError::Key { .. }) if self.is_gone(name)? => return Err(self.vanished()),
            Err(cause) => {
                self.problem(name, 0, self.index, ProblemKind::Header(cause));
                HEADER_BYTES
            }
        };
        if let Some(next) = next.filter(|next| next.first_index > self.index.max(self.from)) {
            self.problem(name, end, self.index.max(self.from), ProblemKind::Hole { until: next.first_index });
            self.index = next.first_index;
        }
        Ok(())
    }

    /// Visits the frames of one segment, and says where they end.
    fn frames(
        &mut self,
        name: &SegmentName,
        header: SegmentHeader,
        veil: Option<&Veil>,
        mut bytes: Vec<u8>,
        next: Option<&SegmentName>,
    ) -> Result<usize, ReadError> {
        let (mut end, mut looked_again_at) = (HEADER_BYTES, None);
        let limit = next.map_or(u64::MAX, |next| next.first_index);
        loop {
            while let Some(frame) = Frame::at(&bytes, &header.id, end).filter(|frame| frame.index == self.index) {
                self.frame(name, veil, &frame)?;
                end = frame.end;
            }
            // A later segment proves all that is missing from this one.
            let proof = find_proof(&bytes, &header.id, end, self.index).map(|(_, header)| header.durable);
            let Some(durable) = next.map(|next| next.first_index).or(proof) else { return Ok(end) };
            // The writer may have written this frame, and then the proof, while the file was being read from front to
            // back. Whoever sees the proof sees this frame too, so a second look tells the one from the other.
            if next.is_none() && looked_again_at != Some(end) {
                looked_again_at = Some(end);
                match self.load(name)? {
                    Some(again) => bytes = again,
                    None => return Ok(end),
                }
                continue;
            }
            let index = self.index;
            match Frame::find(&bytes, &header.id, end, |found| found > index && found < limit) {
                Some(frame) => {
                    self.hole(name, end, frame.index);
                    (self.index, end) = (frame.index, frame.offset);
                }
                None => {
                    self.hole(name, end, durable);
                    self.index = self.index.max(durable);
                    return Ok(end);
                }
            }
        }
    }

    fn frame(&mut self, name: &SegmentName, veil: Option<&Veil>, frame: &Frame<'_>) -> Result<(), ReadError> {
        self.reading.durable = self.reading.durable.max(frame.durable);
        self.index = frame.index + 1;
        if frame.index >= self.from {
            let Ok(payload) = veil.map(|veil| veil.lift(frame.index, frame.payload.to_vec())).transpose() else {
                self.problem(name, frame.offset, frame.index, ProblemKind::NotAuthentic);
                return Ok(());
            };
            (self.visit)(frame.index, payload.as_deref().unwrap_or(frame.payload))
                .map_err(|cause| ReadError::Refused { index: frame.index, cause })?;
            self.reading.records += 1;
            self.reading.next_index = self.index;
        }
        Ok(())
    }

    fn hole(&mut self, name: &SegmentName, offset: usize, until: u64) {
        let index = self.index.max(self.from);
        if until > index {
            self.problem(name, offset, index, ProblemKind::Hole { until });
        }
    }

    fn problem(&mut self, name: &SegmentName, offset: usize, index: u64, kind: ProblemKind) {
        if self.reading.problems.len() < PROBLEMS_MAX {
            let (segment, offset) = (name.path.clone(), offset as u64);
            self.reading.problems.push(Problem { segment, offset, index, kind });
        } else {
            self.reading.problems_left_off += 1;
        }
    }

    /// The bytes of a segment; `None` after the problem that it is too long was noted.
    fn load(&mut self, name: &SegmentName) -> Result<Option<Vec<u8>>, ReadError> {
        match name.load(self.host) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(LoadError::TooLong(bytes)) => {
                self.problem(name, 0, name.first_index, ProblemKind::SegmentTooLong { bytes });
                Ok(None)
            }
            Err(LoadError::File(error)) if error.is_not_found() => Err(self.vanished()),
            Err(LoadError::File(error)) => Err(error.into()),
        }
    }

    fn is_gone(&self, name: &SegmentName) -> Result<bool, ReadError> {
        match self.host.open_read(&name.path, STEP) {
            Err(error) if error.is_not_found() => Ok(true),
            opened => Ok(opened.map(|_| false)?),
        }
    }

    fn vanished(&self) -> ReadError {
        ReadError::Vanished { folder: self.folder.to_owned(), index: self.index.max(self.from) }
    }
}
