//! How the columns of one file are encoded. Every setting of the Parquet writer is set here, on purpose; where the
//! best one depends on the data, the data is asked.

use std::collections::HashSet;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use keys::DataKey;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::columns::{Column, ColumnType, FIXED};
use crate::layout::slot;
use crate::veil;

/// Rows of a row group: what a reader must skip or take as one, and what the writer holds in memory, encoded.
/// Small in tests, so that a few records fill several, as the pages below.
pub(crate) const GROUP_ROWS: usize = if cfg!(test) { 16 } else { 131_072 };

/// Encoded bytes after which a row group is closed whatever its rows, so that large records do not fill the memory.
const GROUP_BYTES: usize = 64 << 20;

/// Rows of a page: a point look-up decodes one page of each column, so a page is small; and the page index has one
/// entry for each, so it is not tiny.
const PAGE_ROWS: usize = if cfg!(test) { 5 } else { 4_096 };

/// Values encoded between two looks at whether the page is full.
const WRITE_VALUES: usize = if cfg!(test) { 5 } else { 1_024 };

/// Bytes of a page, where rows are large.
const PAGE_BYTES: usize = 256 << 10;

/// A dictionary larger than this is given up for the column's plain encoding.
const DICTIONARY_BYTES: usize = 256 << 10;

/// Columns that records are looked up by one at a time.
pub(crate) const BLOOM_COLUMNS: [&str; 4] = ["id", "subject.id", "subject.case", "trace.trace_id"];

/// One look-up in a hundred reads a file in vain; each halving costs 1.4 bits a record and column.
pub(crate) const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// Level 3 is where zstd's curve bends for these columns: level 9 takes four times as long for 1 to 2 % less.
const ZSTD_LEVEL: i32 = 3;

/// Values looked at to decide how a column is encoded.
const SAMPLE_VALUES: usize = 16_384;

/// The writer's settings for a file with these columns, whose first rows are `batches`, and which is encrypted under `key`
/// if there is one.
pub(crate) fn properties(
    columns: &[&Column],
    batches: &[RecordBatch],
    key: Option<&DataKey>,
) -> Result<WriterProperties, ParquetError> {
    let time_ns = columns.iter().position(|c| *c.name == *FIXED[slot::TIME_NS].0);
    let mut builder = WriterProperties::builder()
        // Version 1 pages are what every engine reads; the encodings below do not depend on it.
        .set_writer_version(WriterVersion::PARQUET_1_0)
        // Fixed, so that the bytes of a file do not change with the version of a library.
        .set_created_by("onrecord".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_max_row_group_bytes(Some(GROUP_BYTES))
        .set_write_batch_size(WRITE_VALUES)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        // Page statistics go to the page index, where pruning looks for them, and not into page headers as well.
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_write_page_header_statistics(false)
        .set_offset_index_disabled(false)
        // 64 bytes tell texts apart well enough; the bounds stay true, only wider.
        .set_statistics_truncate_length(Some(64))
        .set_column_index_truncate_length(Some(64))
        // Arrow types are Parquet types here, one to one.
        .set_coerce_types(false);
    // Leaves and columns are the same number up to here, since no list comes before `time_ns`.
    if let Some(leaf) = time_ns {
        let by_time = SortingColumn { column_idx: leaf as i32, descending: false, nulls_first: false };
        builder = builder.set_sorting_columns(Some(vec![by_time]));
    }
    for column in columns {
        builder = encode(builder, column, &Sample::of(column, batches));
        // In an encrypted file the library's would be the one thing in clear.
        if key.is_none() && BLOOM_COLUMNS.contains(&&*column.name) {
            builder = builder
                .set_column_bloom_filter_fpp(path(column), BLOOM_FALSE_POSITIVES)
                .set_column_bloom_filter_max_ndv(path(column), GROUP_ROWS as u64);
        }
    }
    if let Some(key) = key {
        builder = builder.with_file_encryption_properties(veil::encryption(key)?);
    }
    Ok(builder.build())
}

/// A column's name may hold dots, so its path is one step and never split.
fn path(column: &Column) -> ColumnPath {
    let mut steps = vec![column.name.to_string()];
    if matches!(column.kind, ColumnType::Nums | ColumnType::Strs) {
        steps.extend(["list".to_owned(), "element".to_owned()]);
    }
    ColumnPath::new(steps)
}

fn encode(builder: WriterPropertiesBuilder, column: &Column, sample: &Sample) -> WriterPropertiesBuilder {
    let dictionary = sample.repeats();
    // With a dictionary this is what the pages fall back to once it is full.
    let encoding = match column.kind {
        // The bytes of equal weight stand together: exponents and, of a widened `f32`, zeros, which zstd takes away.
        ColumnType::Num | ColumnType::Nums => Encoding::BYTE_STREAM_SPLIT,
        // Indices, sequences and times grow by small steps.
        ColumnType::Int | ColumnType::Time => Encoding::DELTA_BINARY_PACKED,
        // Ids made one after another begin alike; texts sorted by time often do.
        ColumnType::Str if sample.shares_prefixes => Encoding::DELTA_BYTE_ARRAY,
        // Lengths apart from bytes: one run for the fixed-length ones, and zstd sees text next to text.
        ColumnType::Str | ColumnType::Strs | ColumnType::Bytes => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        ColumnType::Bool => Encoding::PLAIN,
    };
    builder.set_column_dictionary_enabled(path(column), dictionary).set_column_encoding(path(column), encoding)
}

/// What the first values of a column look like.
struct Sample {
    values: usize,
    distinct: usize,
    shares_prefixes: bool,
}

impl Sample {
    fn of(column: &Column, batches: &[RecordBatch]) -> Self {
        let mut seen: HashSet<u64> = HashSet::new();
        let (mut values, mut shared, mut bytes) = (0, 0, 0);
        let mut last = String::new();
        for batch in batches {
            let Some(array) = batch.column_by_name(&column.name) else { continue };
            for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
                if values == SAMPLE_VALUES {
                    break;
                }
                values += 1;
                let value = match column.kind {
                    ColumnType::Num => array.as_primitive::<Float64Type>().value(row).to_bits(),
                    ColumnType::Int => array.as_primitive::<Int64Type>().value(row) as u64,
                    ColumnType::Str => {
                        let text = array.as_string::<i32>().value(row);
                        shared += text.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count();
                        bytes += text.len();
                        text.clone_into(&mut last);
                        hash(text.as_bytes())
                    }
                    ColumnType::Bytes => hash(array.as_binary::<i32>().value(row)),
                    // Profiles are a handful of lists, time and again.
                    ColumnType::Strs => 0,
                    // `time` repeats as little as `time_ns`; lists of numbers are embeddings; a bit needs no dictionary.
                    ColumnType::Time | ColumnType::Nums | ColumnType::Bool => values as u64,
                };
                seen.insert(value);
            }
        }
        Self { values, distinct: seen.len(), shares_prefixes: shared * 8 >= bytes && shared > 0 }
    }

    /// Whether values repeat often enough that naming them once pays for the dictionary.
    fn repeats(&self) -> bool {
        self.values > 0 && self.distinct * 3 <= self.values
    }
}

/// FNV-1a: good enough to count with, and the same on every machine.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}
