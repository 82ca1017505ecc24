//! Opening: what is on disk is read, judged, cut and made durable.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use host::{FileError, Host};
use keys::Keyring;

use crate::active::ActiveSegment;
use crate::bytes::end_of_data;
use crate::frame::{Frame, find_proof};
use crate::options::SEGMENT_FILE_BYTES_MAX;
use crate::segment::{HEADER_BYTES, HeaderError, LoadError, SegmentHeader, SegmentName, was_being_begun};
use crate::shelf::{Shelf, Shelved};
use crate::veil::Veil;
use crate::{Options, OptionsError, STEP, VisitError};

/// What an opening found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The index that the next record gets; all below it are here or settled elsewhere.
    pub next_index: u64,
    /// How many records were visited.
    pub records: u64,
    /// How many bytes their payloads have.
    pub bytes: u64,
    /// How many segments were read.
    pub segments: usize,
    /// What was cut off, if anything was.
    pub torn_tail: Option<TornTail>,
    /// Damage among records below the floor, which is no loss: how many bytes were passed over.
    pub damaged_bytes_below_floor: u64,
}

/// Bytes at the end of the last segment that no one was ever told were durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub segment: PathBuf,
    /// Where in it they began.
    pub offset: u64,
    /// How many there were, trailing zeros not counted.
    pub bytes: u64,
    /// The first record of which they may have been part; it is the next one to be written.
    pub first_index: u64,
}

/// Why a record that is not there was acknowledged all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A later frame was written when more than that record was known to be durable.
    Frame {
        /// Where it is in the same segment.
        offset: u64,
        /// How many records it says were durable.
        durable: u64,
    },
    /// A later segment exists, and one is begun only when all before it is durable.
    Segment {
        /// Its first record.
        first_index: u64,
    },
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::Frame { offset, durable } => {
                write!(f, "the frame at byte {offset} was written when {durable} records were durable")
            }
            Proof::Segment { first_index } => write!(f, "a later segment begins at record {first_index}"),
        }
    }
}

/// A journal was not opened. Nothing on disk was changed, except by [`OpenError::File`] and [`OpenError::Thread`],
/// which leave a journal that opens as before.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// An acknowledged record is missing or damaged (T1, T3).
    #[error(
        "{}, byte {offset}: record {index} was acknowledged and is gone or damaged, for {proof}; \
         restore the file from a copy, and do not remove it", segment.display()
    )]
    Hole {
        /// The file.
        segment: PathBuf,
        /// Where in it the record should be.
        offset: u64,
        /// The first record that is missing.
        index: u64,
        /// How it is known.
        proof: Proof,
    },
    /// Fewer records are here than the caller knows to have been acknowledged (T3).
    #[error(
        "the journal in {} ends at record {found}, and at least {acknowledged} were acknowledged; \
         restore the folder from a newer copy", folder.display()
    )]
    Short {
        /// The journal.
        folder: PathBuf,
        /// How many records there are.
        found: u64,
        /// How many the caller knows of.
        acknowledged: u64,
    },
    /// Two segments claim the same record.
    #[error(
        "{} begins at record {first_index}, and the segment before it goes on to {expected}; \
         look for a second writer or a file restored to the wrong place", segment.display()
    )]
    Overlap {
        /// The later file.
        segment: PathBuf,
        /// Its first record.
        first_index: u64,
        /// Where it should begin.
        expected: u64,
    },
    /// A segment's header cannot be used.
    #[error("{}: {cause}", segment.display())]
    Header {
        /// The file.
        segment: PathBuf,
        /// Why.
        cause: HeaderError,
    },
    /// A file is longer than any segment.
    #[error("{} is {bytes} bytes long, and no segment is over {SEGMENT_FILE_BYTES_MAX}", segment.display())]
    SegmentTooLong {
        /// The file.
        segment: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// A payload is not what was encrypted under the segment's key (T1).
    #[error("{}, record {index}: it was changed after it was encrypted; restore the file from a copy", segment.display())]
    NotAuthentic {
        /// The file.
        segment: PathBuf,
        /// The record.
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
    /// An option is outside its limits.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The machine refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The committer thread could not be started.
    #[error("cannot start the journal's thread: {0}; raise the limit on threads")]
    Thread(io::Error),
}

/// A journal ready to be written.
pub(crate) struct Recovered {
    pub(crate) report: Recovery,
    pub(crate) active: ActiveSegment,
    pub(crate) shelf: Shelf,
}

/// Reads everything from `floor` on, judges it, and only then changes anything.
pub(crate) fn recover(
    host: &Host,
    folder: &Path,
    floor: u64,
    acknowledged_at_least: u64,
    options: &Options,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
) -> Result<Recovered, OpenError> {
    let names = SegmentName::list(host, folder)?;
    let start = first_needed(&names, floor)?;
    let mut scan = Scan::new(floor, start.map_or(floor, |start| names[start].first_index));
    let mut shelved: Vec<Shelved> = Vec::with_capacity(names.len() + 1);
    let mut last = None;
    for (position, name) in names.iter().enumerate() {
        if start.is_some_and(|start| position < start) {
            // Every record in it is settled; the caller will release it. Its length is not worth reading it for.
            shelved.push(Shelved { first_index: name.first_index, path: name.path.clone(), bytes: 0 });
            continue;
        }
        let ending = scan.segment(host, name, names.get(position + 1), options.keys.as_ref(), &mut visit)?;
        shelved.push(Shelved { first_index: name.first_index, path: name.path.clone(), bytes: ending.end as u64 });
        last = Some((name, ending));
    }
    let mut report = scan.report;
    report.next_index = report.next_index.max(floor);
    if report.next_index < acknowledged_at_least {
        let folder = folder.to_owned();
        return Err(OpenError::Short { folder, found: report.next_index, acknowledged: acknowledged_at_least });
    }
    if let Some((name, ending)) = &last {
        report.torn_tail = ending.torn_tail(&name.path, scan.index);
        ending.make_durable(host, &name.path)?;
    }
    let (active, shelved) = begin_writing(host, folder, report.next_index, options, shelved)?;
    Ok(Recovered { report, active, shelf: Shelf::new(shelved) })
}

/// The position of the segment that holds record `floor` or would hold it, or `None` when there are no segments.
fn first_needed(names: &[SegmentName], floor: u64) -> Result<Option<usize>, OpenError> {
    match (names.iter().rposition(|name| name.first_index <= floor), names.first()) {
        (None, Some(first)) => Err(OpenError::Hole {
            segment: first.path.clone(),
            offset: 0,
            index: floor,
            proof: Proof::Segment { first_index: first.first_index },
        }),
        (start, _) => Ok(start),
    }
}

/// Begins the segment that will be written: a new one, or the last one if it came to hold nothing.
fn begin_writing(
    host: &Host,
    folder: &Path,
    next_index: u64,
    options: &Options,
    mut shelved: Vec<Shelved>,
) -> Result<(ActiveSegment, Vec<Shelved>), FileError> {
    let active = if shelved.pop_if(|last| last.first_index == next_index).is_some() {
        ActiveSegment::begin_anew(host, folder, next_index, options)?
    } else {
        ActiveSegment::begin(host, folder, next_index, options)?
    };
    shelved.push(active.shelved());
    Ok((active, shelved))
}

/// Reading in order, segment after segment.
struct Scan {
    floor: u64,
    /// The record that comes next.
    index: u64,
    report: Recovery,
}

/// How one segment ends.
struct Ending {
    bytes: Vec<u8>,
    /// Where the whole frames end.
    end: usize,
    /// The first frame that nothing proves to be durable: those of the last group, or all that a recovery kept.
    unproven: usize,
    /// Where anything but zeros ends.
    end_of_data: usize,
}

impl Scan {
    fn new(floor: u64, index: u64) -> Self {
        let report = Recovery {
            next_index: index,
            records: 0,
            bytes: 0,
            segments: 0,
            torn_tail: None,
            damaged_bytes_below_floor: 0,
        };
        Self { floor, index, report }
    }

    /// Reads one segment to the end of its whole frames, and refuses if an acknowledged record is missing there.
    fn segment(
        &mut self,
        host: &Host,
        name: &SegmentName,
        next: Option<&SegmentName>,
        keys: Option<&Keyring>,
        visit: &mut impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
    ) -> Result<Ending, OpenError> {
        let bytes = load(host, name)?;
        self.report.segments += 1;
        if name.first_index < self.index {
            let (segment, first_index) = (name.path.clone(), name.first_index);
            return Err(OpenError::Overlap { segment, first_index, expected: self.index });
        }
        self.index = name.first_index;
        let ending = match SegmentHeader::decode(&bytes, name.first_index) {
            Ok(header) => self.frames(bytes, name, &header, keys, visit)?,
            Err(HeaderError::Damaged) if next.is_none() && was_being_begun(&bytes) => Ending::of_nothing(bytes),
            Err(cause) => return Err(OpenError::Header { segment: name.path.clone(), cause }),
        };
        self.report.next_index = self.index;
        match self.proof_of_loss(&ending, name, next) {
            None => Ok(ending),
            Some(proof) => Err(OpenError::Hole {
                segment: name.path.clone(),
                offset: ending.end as u64,
                index: self.index.max(self.floor),
                proof,
            }),
        }
    }

    /// Visits frames up to the first that does not parse.
    fn frames(
        &mut self,
        bytes: Vec<u8>,
        name: &SegmentName,
        header: &SegmentHeader,
        keys: Option<&Keyring>,
        visit: &mut impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
    ) -> Result<Ending, OpenError> {
        let (mut end, mut unproven, mut durable) = (HEADER_BYTES, HEADER_BYTES, 0);
        let mut payloads = Payloads { keys, name, header, veil: None };
        while let Some(frame) = self.next_frame(&bytes, header, end) {
            if frame.durable > durable {
                (durable, unproven) = (frame.durable, frame.offset);
            }
            if frame.index >= self.floor {
                let payload = payloads.of(&frame)?;
                visit(frame.index, &payload).map_err(|cause| OpenError::Refused { index: frame.index, cause })?;
                self.report.records += 1;
                self.report.bytes += frame.payload.len() as u64;
            }
            (self.index, end) = (frame.index + 1, frame.end);
        }
        let end_of_data = end_of_data(&bytes, end);
        Ok(Ending { bytes, end, unproven, end_of_data })
    }

    /// The frame at `end`; below the floor, where records may be damaged, the next one that is whole.
    fn next_frame<'a>(&mut self, bytes: &'a [u8], header: &SegmentHeader, end: usize) -> Option<Frame<'a>> {
        let next = Frame::at(bytes, &header.id, end).filter(|frame| frame.index == self.index);
        if next.is_some() || self.index >= self.floor {
            return next;
        }
        let after_damage = Frame::find(bytes, &header.id, end, |index| index > self.index && index <= self.floor)?;
        self.report.damaged_bytes_below_floor += (after_damage.offset - end) as u64;
        Some(after_damage)
    }

    /// Whether the record at which the segment ends was acknowledged all the same.
    fn proof_of_loss(&self, ending: &Ending, name: &SegmentName, next: Option<&SegmentName>) -> Option<Proof> {
        let needed = self.index.max(self.floor);
        if let Some(next) = next {
            let first_index = next.first_index;
            return (first_index > needed).then_some(Proof::Segment { first_index });
        }
        let header = SegmentHeader::decode(&ending.bytes, name.first_index).ok()?;
        let (offset, found) = find_proof(&ending.bytes, &header.id, ending.end, needed)?;
        Some(Proof::Frame { offset: offset as u64, durable: found.durable })
    }
}

/// The payloads of one segment. Its key is looked for only if one is wanted.
struct Payloads<'a> {
    keys: Option<&'a Keyring>,
    name: &'a SegmentName,
    header: &'a SegmentHeader,
    veil: Option<Veil>,
}

impl Payloads<'_> {
    fn of<'f>(&mut self, frame: &Frame<'f>) -> Result<Cow<'f, [u8]>, OpenError> {
        if self.header.key_id.is_none() {
            return Ok(Cow::Borrowed(frame.payload));
        }
        if self.veil.is_none() {
            let of = Veil::of(self.keys, self.name, self.header);
            self.veil = of.map_err(|cause| OpenError::Header { segment: self.name.path.clone(), cause })?;
        }
        let changed = || OpenError::NotAuthentic { segment: self.name.path.clone(), index: frame.index };
        let veil = self.veil.as_ref().ok_or_else(changed)?;
        veil.lift(frame.index, frame.payload.to_vec()).map(Cow::Owned).map_err(|_| changed())
    }
}

fn load(host: &Host, name: &SegmentName) -> Result<Vec<u8>, OpenError> {
    name.load(host).map_err(|error| match error {
        LoadError::File(error) => OpenError::File(error),
        LoadError::TooLong(bytes) => OpenError::SegmentTooLong { segment: name.path.clone(), bytes },
    })
}

impl Ending {
    fn of_nothing(bytes: Vec<u8>) -> Self {
        Ending { bytes, end: HEADER_BYTES, unproven: HEADER_BYTES, end_of_data: HEADER_BYTES }
    }

    fn torn_tail(&self, segment: &Path, first_index: u64) -> Option<TornTail> {
        let bytes = (self.end_of_data - self.end) as u64;
        let segment = segment.to_owned();
        (bytes > 0).then_some(TornTail { segment, offset: self.end as u64, bytes, first_index })
    }

    /// Cuts the torn tail and makes what is kept durable.
    ///
    /// The last frames may be in the kernel's memory alone. If an earlier fsync of them failed, their pages are marked
    /// clean and an fsync now would say "done" and do nothing; so they are written anew first.
    fn make_durable(&self, host: &Host, segment: &Path) -> Result<(), FileError> {
        if self.end == HEADER_BYTES {
            // No frames: the segment is begun anew, or all that it held is settled and below the floor.
            return Ok(());
        }
        let file = host.open_rw(segment, STEP)?;
        if self.end_of_data > self.end {
            file.set_len(self.end as u64)?;
        }
        file.write_at(self.unproven as u64, &self.bytes[self.unproven..self.end])?;
        file.sync_all()
    }
}
