//! The segment that is being written.

use std::path::Path;

use host::{DurableFile, FileError, Host};

use crate::STEP;
use crate::frame;
use crate::segment::{HEADER_BYTES, SegmentHeader, SegmentName};
use crate::shelf::Shelved;

/// The one file the committer appends to.
#[derive(Debug)]
pub(crate) struct ActiveSegment {
    file: DurableFile,
    header: SegmentHeader,
    /// Where the next frame goes.
    end: u64,
    allocated: u64,
    allocate_bytes: u64,
}

impl ActiveSegment {
    /// Begins a segment for records from `first_index` on. When it returns, header and folder entry are durable, so
    /// the existence of a frame, or of the next segment, proves that this header was once whole.
    ///
    /// A file of that name is an error: a running journal knows its segments, so another writer made it (I6).
    pub(crate) fn begin(host: &Host, folder: &Path, first_index: u64, allocate_bytes: u64) -> Result<Self, FileError> {
        let file = host.create_new(SegmentName::new(folder, first_index).path, STEP)?;
        Self::begin_in(file, host, folder, first_index, allocate_bytes)
    }

    /// As [`ActiveSegment::begin`], in the place of a segment that recovery found to hold no frames.
    pub(crate) fn begin_anew(
        host: &Host,
        folder: &Path,
        first_index: u64,
        allocate_bytes: u64,
    ) -> Result<Self, FileError> {
        let file = host.open_rw(SegmentName::new(folder, first_index).path, STEP)?;
        file.set_len(0)?;
        Self::begin_in(file, host, folder, first_index, allocate_bytes)
    }

    fn begin_in(
        file: DurableFile,
        host: &Host,
        folder: &Path,
        first_index: u64,
        allocate_bytes: u64,
    ) -> Result<Self, FileError> {
        let header = SegmentHeader { first_index, id: host.random() };
        file.allocate(0, allocate_bytes)?;
        file.write_at(0, &header.encode())?;
        file.sync_all()?;
        host.sync_dir(folder, STEP)?;
        Ok(Self { file, header, end: HEADER_BYTES as u64, allocated: allocate_bytes, allocate_bytes })
    }

    /// Writes a group of frames and fsyncs it: durable when it returns. Any error is fatal to the journal.
    pub(crate) fn append(&mut self, group: &mut [u8], durable: u64) -> Result<(), FileError> {
        frame::seal(group, &self.header.id, durable);
        let end = self.end + group.len() as u64;
        if end > self.allocated {
            let allocated = end.next_multiple_of(self.allocate_bytes);
            self.file.allocate(self.allocated, allocated - self.allocated)?;
            self.allocated = allocated;
        }
        self.file.write_at(self.end, group)?;
        self.file.sync_data()?;
        self.end = end;
        Ok(())
    }

    pub(crate) fn has_frames(&self) -> bool {
        self.end > HEADER_BYTES as u64
    }

    /// Header and frames, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.end
    }

    pub(crate) fn shelved(&self) -> Shelved {
        Shelved { first_index: self.header.first_index, path: self.file.path().to_owned(), bytes: self.end }
    }
}
