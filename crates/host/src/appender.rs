//! Writing a file from front to back.

use std::io;

use crate::{DurableFile, FileError};

/// An [`io::Write`] over a [`DurableFile`], for encoders that want one. It holds no buffer: wrap it if the writes are
/// small. `flush` does nothing; only [`Appender::finish`] makes the bytes durable.
#[derive(Debug)]
pub struct Appender {
    file: DurableFile,
    position: u64,
}

impl Appender {
    pub(crate) fn new(file: DurableFile, position: u64) -> Self {
        Self { file, position }
    }

    /// The offset where the next byte goes.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Fsyncs the file and hands it back. The bytes are durable when it returns; the folder entry is not, see
    /// [`crate::Host::sync_dir`].
    ///
    /// # Errors
    /// As [`DurableFile::sync_all`]: **fatal**.
    pub fn finish(self) -> Result<DurableFile, FileError> {
        self.file.sync_all()?;
        Ok(self.file)
    }
}

impl io::Write for Appender {
    /// Writes all of `bytes` or fails; on an error the position stays, and part of them may be in the file.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.position, bytes)?;
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
