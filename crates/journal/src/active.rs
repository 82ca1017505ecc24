//! The segment that is being written.

use std::path::Path;

use host::{DurableFile, FileError, Host};

use crate::frame;
use crate::segment::{HEADER_BYTES, SegmentHeader, SegmentName};
use crate::shelf::Shelved;
use crate::veil::Veil;
use crate::{Options, STEP};

/// The one file the committer appends to.
#[derive(Debug)]
pub(crate) struct ActiveSegment {
    file: DurableFile,
    header: SegmentHeader,
    /// What encrypts its payloads, if they are to be.
    veil: Option<Veil>,
    /// Where the next frame goes.
    end: u64,
    allocated: u64,
    options: Options,
}

impl ActiveSegment {
    /// Begins a segment for records from `first_index` on. When it returns, header and folder entry are durable, so
    /// the existence of a frame, or of the next segment, proves that this header was once whole.
    ///
    /// A file of that name is an error: a running journal knows its segments, so another writer made it (I6).
    pub(crate) fn begin(host: &Host, folder: &Path, first_index: u64, options: &Options) -> Result<Self, FileError> {
        let file = host.create_new(SegmentName::new(folder, first_index).path, STEP)?;
        Self::begin_in(file, host, folder, first_index, options)
    }

    /// As [`ActiveSegment::begin`], in the place of a segment that recovery found to hold no frames.
    pub(crate) fn begin_anew(
        host: &Host,
        folder: &Path,
        first_index: u64,
        options: &Options,
    ) -> Result<Self, FileError> {
        let file = host.open_rw(SegmentName::new(folder, first_index).path, STEP)?;
        file.set_len(0)?;
        Self::begin_in(file, host, folder, first_index, options)
    }

    fn begin_in(
        file: DurableFile,
        host: &Host,
        folder: &Path,
        first_index: u64,
        options: &Options,
    ) -> Result<Self, FileError> {
        // Durable before anything that is encrypted under it.
        let key = Veil::make(options.keys.as_ref(), &SegmentName::new(folder, first_index))?;
        let header = SegmentHeader { first_index, id: host.random(), key_id: key.as_ref().map(|key| key.id()) };
        let veil = key.map(|key| Veil::new(&key, &header));
        let allocated = options.allocate_bytes;
        file.allocate(0, allocated)?;
        file.write_at(0, &header.encode())?;
        file.sync_all()?;
        host.sync_dir(folder, STEP)?;
        Ok(Self { file, header, veil, end: HEADER_BYTES as u64, allocated, options: options.clone() })
    }

    /// Writes a group of frames and fsyncs it: durable when it returns. Any error is fatal to the journal.
    pub(crate) fn append(&mut self, group: &mut [u8], durable: u64) -> Result<(), FileError> {
        frame::seal(group, &self.header.id, durable, self.veil.as_ref());
        let end = self.end + group.len() as u64;
        if end > self.allocated {
            self.reserve(end)?;
        }
        self.file.write_at(self.end, group)?;
        self.file.sync_data()?;
        self.end = end;
        Ok(())
    }

    /// Reserves space up to `end` and some more: as much again as there is, within the size of a segment. So a busy
    /// segment asks for space a few times in all, and an idle one holds little.
    fn reserve(&mut self, end: u64) -> Result<(), FileError> {
        let doubled = (2 * self.allocated).min(self.options.segment_bytes);
        let allocated = end.max(doubled).next_multiple_of(self.options.allocate_bytes);
        self.file.allocate(self.allocated, allocated - self.allocated)?;
        self.allocated = allocated;
        Ok(())
    }

    /// Gives back the space that was reserved and not used, for a journal at rest. Frames are durable with it or
    /// without.
    pub(crate) fn give_back(&self) -> Result<(), FileError> {
        self.file.set_len(self.end)
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
