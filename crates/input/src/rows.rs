//! Rows of batches, one after the other, each as the CBOR that a record is made of.

use std::fs::File;
use std::io::{self, BufRead, Read as _};

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::reader::ChunkReader;

use crate::arrow::{Batches, Stop};
use crate::row::{self, Cost};
use crate::{Fault, too_long};

/// Bytes of Parquet that does not come from a file, which is read from its end.
const PARQUET_BYTES_MAX: u64 = 256 << 20;

/// Rows of Parquet that are decoded at a time: few, for each may be of the largest size.
const PARQUET_ROWS: usize = 256;

/// The rows of a stream or a file.
pub struct Rows {
    from: From,
    batch: Option<RecordBatch>,
    /// The next row of the batch.
    at: usize,
    number: u64,
    /// What a row may take, and what is left for all of them.
    row_max: u64,
    left: u64,
    out: Vec<u8>,
}

/// A row: its number, from 1, and its bytes or why there are none.
pub type Row<'a> = (u64, Result<&'a [u8], Fault>);

enum From {
    Ipc(Box<Batches>),
    Parquet(Box<ParquetRecordBatchReader>),
    /// It cannot be read at all.
    Broken(String),
    Ended,
}

impl Rows {
    fn of(from: From, row_max: usize) -> Rows {
        Rows { from, batch: None, at: 0, number: 0, row_max: row_max as u64, left: u64::MAX, out: Vec::new() }
    }

    pub fn arrow(bytes: Box<dyn BufRead>, row_max: usize) -> Rows {
        Rows::of(From::Ipc(Box::new(Batches::new(bytes))), row_max)
    }

    /// Of Parquet that comes from elsewhere than a file: all of it is in memory.
    pub fn parquet(bytes: Box<dyn BufRead>, row_max: usize) -> io::Result<Rows> {
        let mut all = Vec::new();
        bytes.take(PARQUET_BYTES_MAX + 1).read_to_end(&mut all)?;
        if all.len() as u64 > PARQUET_BYTES_MAX {
            let what = too_long("Parquet that is no plain file", PARQUET_BYTES_MAX as usize);
            return Err(io::Error::other(format!("{what}; put it in a file")));
        }
        Ok(Rows::of_parquet(Bytes::from(all), row_max))
    }

    pub fn parquet_file(file: File, row_max: usize) -> Rows {
        Rows::of_parquet(file, row_max)
    }

    fn of_parquet<R: ChunkReader + 'static>(from: R, row_max: usize) -> Rows {
        let open = || ParquetRecordBatchReaderBuilder::try_new(from)?.with_batch_size(PARQUET_ROWS).build();
        let from = match lake::guarded(open) {
            Ok(Ok(reader)) => From::Parquet(Box::new(reader)),
            Ok(Err(error)) => From::Broken(error.to_string()),
            Err(panic) => From::Broken(panic),
        };
        Rows::of(from, row_max)
    }

    /// All rows together may take so much, and so may the messages that they come in.
    pub fn within(&mut self, max: u64) {
        self.left = max;
        if let From::Ipc(batches) = &mut self.from {
            batches.within(max);
        }
    }

    /// The next row. An error is one of the bytes, or that the rows take more than they may.
    pub fn next(&mut self) -> io::Result<Option<Row<'_>>> {
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|batch| self.at < batch.num_rows()) {
                let row = self.at;
                self.at += 1;
                self.number += 1;
                self.out.clear();
                let mut cost = Cost::within(self.row_max);
                let written = lake::guarded(|| row::write(batch, row, &mut self.out, &mut cost));
                self.left = self.left.checked_sub(cost.spent()).ok_or(io::ErrorKind::FileTooLarge)?;
                return Ok(Some((
                    self.number,
                    match written {
                        Ok(Ok(())) => Ok(self.out.as_slice()),
                        Ok(Err(unfit)) => Err(unfit.into()),
                        Err(panic) => Err(Fault::of(format!("it cannot be read: {panic}"))),
                    },
                )));
            }
            (self.batch, self.at) = (None, 0);
            match self.next_batch() {
                Ok(Some(batch)) => self.batch = Some(batch),
                Ok(None) => return Ok(None),
                Err(Stop::Io(error)) => return Err(error),
                Err(Stop::Fault(why)) => {
                    self.from = From::Ended;
                    self.number += 1;
                    let what = format!("{why}; nothing from here on can be read");
                    return Ok(Some((self.number, Err(Fault::of(what)))));
                }
            }
        }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, Stop> {
        match &mut self.from {
            From::Ipc(batches) => batches.next().map_err(|stop| match stop {
                Stop::Fault(why) => Stop::Fault(format!("not a valid Arrow stream: {why}")),
                io => io,
            }),
            From::Parquet(reader) => match lake::guarded(|| reader.next().transpose()) {
                Ok(Ok(batch)) => Ok(batch),
                Ok(Err(error)) => Err(Stop::Fault(format!("not valid Parquet: {error}"))),
                Err(panic) => Err(Stop::Fault(format!("not valid Parquet: {panic}"))),
            },
            From::Broken(why) => Err(Stop::Fault(format!("not valid Parquet: {why}"))),
            From::Ended => Ok(None),
        }
    }
}
