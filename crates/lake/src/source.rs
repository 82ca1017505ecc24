//! The bytes of one data file, read at offsets through `host`.

use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use host::{DurableFile, FileError, Host};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use crate::writer::STEP;

/// Bytes asked for at a time where the length is not known before.
const BUFFER_BYTES: usize = 64 << 10;

/// An open data file. Cloning shares the handle.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    file: Arc<DurableFile>,
    bytes: u64,
}

impl Source {
    pub(crate) fn open(host: &Host, path: &Path) -> std::result::Result<Self, FileError> {
        Self::open_as(host, path, STEP)
    }

    /// As [`Source::open`], for a file that is no data file.
    pub(crate) fn open_as(host: &Host, path: &Path, step: &'static str) -> std::result::Result<Self, FileError> {
        let file = host.open_read(path, step)?;
        let bytes = file.len()?;
        Ok(Self { file: Arc::new(file), bytes })
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Source {
    type T = BufReader<Cursor>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::with_capacity(BUFFER_BYTES, Cursor { source: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // A footer can claim any length; no memory is taken for bytes that the file does not have.
        if start.checked_add(length as u64).is_none_or(|end| end > self.bytes) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of a file of {} bytes", self.bytes)));
        }
        let mut into = vec![0; length];
        let read = self.file.read_at(start, &mut into).map_err(|e| ParquetError::External(Box::new(e)))?;
        if read < length {
            return Err(ParquetError::EOF(format!("{length} bytes at {start}, found {read}")));
        }
        Ok(into.into())
    }
}

/// A place in a [`Source`].
pub(crate) struct Cursor {
    source: Source,
    at: u64,
}

impl Read for Cursor {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.source.file.read_at(self.at, into)?;
        self.at += read as u64;
        Ok(read)
    }
}
