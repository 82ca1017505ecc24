//! An Arrow IPC stream, or a file of one (Apache Arrow, "Serialization and Interprocess Communication"), batch by batch.
//!
//! The stream comes from outside and is taken apart here as far as its messages: what a length claims is believed only as
//! far as there are bytes, and what the buffers of a message take is known before the library unpacks or copies any of
//! them. Within a message the library reads, which may refuse it or panic over it, and both are a fault. A file is a
//! stream behind eight bytes of magic, with an index behind its end that nobody needs who reads it from front to back.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::{CompressionType, Message, MessageHeader, RecordBatch as BatchHeader, root_as_message};
use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_schema::{DataType, Field};

/// What a file begins with, where a stream begins with its first message.
const MAGIC: [u8; 8] = *b"ARROW1\0\0";

/// Words between the magic of a file and its first message.
const PADDING_WORDS_MAX: usize = 32;

/// What stands before a message, since a length alone was not aligned.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// The end of a stream.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// Bytes of what stands in front of a message's body.
const HEADER_BYTES_MAX: u32 = 16 << 20;

/// Bytes of a message's body, as it comes and unpacked.
const BODY_BYTES_MAX: u64 = 256 << 20;

/// Bytes of the dictionaries of a stream, which stay while it is read.
const DICTIONARIES_BYTES_MAX: u64 = 512 << 20;

/// Fields of a schema, all that are nested counted.
const FIELDS_MAX: usize = 16_384;

/// Rows of a batch.
const ROWS_MAX: usize = 16 << 20;

/// The batches of a stream.
pub struct Batches {
    bytes: Box<dyn BufRead>,
    decoder: StreamDecoder,
    /// What the decoder has not read yet of the message it was given. It gives a batch without a body back when it sees
    /// the message behind it, of which it then has read nothing.
    pending: Buffer,
    begun: bool,
    schema_is_fine: bool,
    ended: bool,
    /// What all messages may still take, unpacked.
    left: u64,
    /// What each dictionary takes that is known so far, and all of them.
    dictionaries: BTreeMap<i64, u64>,
    dictionaries_bytes: u64,
}

/// Why there is no next batch.
pub enum Stop {
    /// The bytes cannot be read.
    Io(io::Error),
    /// They are no stream, from here on.
    Fault(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Stop::Fault("it ends inside a message".to_owned()),
            _ => Stop::Io(error),
        }
    }
}

fn fault<T>(what: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Fault(what.into()))
}

/// All messages together take more than they may.
fn over() -> Stop {
    Stop::Io(io::ErrorKind::FileTooLarge.into())
}

impl Batches {
    pub fn new(bytes: Box<dyn BufRead>) -> Self {
        Batches {
            bytes,
            decoder: StreamDecoder::new(),
            pending: Buffer::from(&[]),
            begun: false,
            schema_is_fine: false,
            ended: false,
            left: u64::MAX,
            dictionaries: BTreeMap::new(),
            dictionaries_bytes: 0,
        }
    }

    /// All messages together may take so many bytes, unpacked. More end in an error of kind
    /// [`io::ErrorKind::FileTooLarge`].
    pub fn within(&mut self, max: u64) {
        self.left = max;
    }

    /// The next batch; nothing at the end.
    pub fn next(&mut self) -> Result<Option<RecordBatch>, Stop> {
        loop {
            if self.pending.is_empty() {
                if self.ended {
                    return Ok(None);
                }
                self.pending = match self.message()? {
                    Some(message) => message,
                    None => {
                        self.ended = true;
                        // A message without a body is read once something follows it.
                        Buffer::from(&END)
                    }
                };
            }
            let (decoder, pending) = (&mut self.decoder, &mut self.pending);
            let decoded = lake::guarded(|| decoder.decode(pending));
            let batch = match decoded {
                Ok(Ok(batch)) => batch,
                Ok(Err(error)) => return fault(error.to_string()),
                Err(panic) => return fault(panic),
            };
            self.check_schema()?;
            if let Some(batch) = batch {
                if batch.num_rows() > ROWS_MAX {
                    return fault(format!("a batch has more rows than the limit of {ROWS_MAX}"));
                }
                return Ok(Some(batch));
            }
        }
    }

    /// The bytes of the next message, with what stands in front of it; nothing at the end.
    fn message(&mut self) -> Result<Option<Buffer>, Stop> {
        let Some(length) = self.length()? else { return Ok(None) };
        if length > HEADER_BYTES_MAX {
            return fault(format!("a message's header is longer than the limit of {HEADER_BYTES_MAX} bytes"));
        }
        let header = self.take(u64::from(length))?;
        let message = root_as_message(&header).map_err(|error| Stop::Fault(error.to_string()))?;
        let Some(body) = u64::try_from(message.bodyLength()).ok().filter(|length| *length <= BODY_BYTES_MAX) else {
            return fault(format!(
                "a message is longer than the limit of {BODY_BYTES_MAX} bytes; write smaller batches"
            ));
        };
        if body > self.left {
            return Err(over());
        }
        let body = self.take(body)?;
        self.account(&message, &body)?;
        let mut whole = MutableBuffer::new(8 + header.len() + body.len());
        whole.extend_from_slice(&CONTINUATION);
        whole.extend_from_slice(&length.to_le_bytes());
        whole.extend_from_slice(&header);
        whole.extend_from_slice(&body);
        Ok(Some(whole.into()))
    }

    /// Counts what a message takes before the library makes anything of it.
    fn account(&mut self, message: &Message<'_>, body: &[u8]) -> Result<(), Stop> {
        let dictionary = message.header_as_dictionary_batch();
        let batch = match message.header_type() {
            MessageHeader::RecordBatch => message.header_as_record_batch(),
            MessageHeader::DictionaryBatch => dictionary.and_then(|dictionary| dictionary.data()),
            _ => None,
        };
        let max = self.left.min(BODY_BYTES_MAX);
        let unpacked = batch.map_or(Ok(0), |batch| unpacked_bytes(&batch, body, max))?.max(body.len() as u64);
        self.left = self.left.checked_sub(unpacked).ok_or_else(over)?;
        if unpacked > BODY_BYTES_MAX {
            return fault(format!(
                "a batch unpacks to more than the limit of {BODY_BYTES_MAX} bytes; write smaller ones"
            ));
        }
        let Some(dictionary) = dictionary else { return Ok(()) };
        let known = self.dictionaries.entry(dictionary.id()).or_default();
        if !dictionary.isDelta() {
            self.dictionaries_bytes -= std::mem::take(known);
        }
        *known += unpacked;
        self.dictionaries_bytes += unpacked;
        if self.dictionaries_bytes > DICTIONARIES_BYTES_MAX {
            return fault(format!("its dictionaries take more than the limit of {DICTIONARIES_BYTES_MAX} bytes"));
        }
        Ok(())
    }

    /// The length of the next message's header; nothing at the end.
    fn length(&mut self) -> Result<Option<u32>, Stop> {
        let Some(mut word) = self.word()? else { return Ok(None) };
        if !std::mem::replace(&mut self.begun, true) && word == MAGIC[..4] {
            if self.word()?.is_none_or(|rest| rest != MAGIC[4..]) {
                return fault("it begins like an Arrow file, and is none");
            }
            word = self.behind_padding()?;
        }
        if word == CONTINUATION {
            let Some(length) = self.word()? else { return fault("it ends inside a message") };
            word = length;
        }
        Ok(Some(u32::from_le_bytes(word)).filter(|length| *length > 0))
    }

    /// The first word behind a file's magic. The format pads to 8 bytes, and writers to whatever they align by.
    fn behind_padding(&mut self) -> Result<[u8; 4], Stop> {
        for _ in 0..PADDING_WORDS_MAX {
            match self.word()? {
                Some([0, 0, 0, 0]) => {}
                Some(word) => return Ok(word),
                None => break,
            }
        }
        fault("there is nothing behind its first bytes")
    }

    /// Four bytes; nothing if there are none.
    fn word(&mut self) -> Result<Option<[u8; 4]>, Stop> {
        if self.bytes.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut word = [0; 4];
        self.bytes.read_exact(&mut word)?;
        Ok(Some(word))
    }

    /// So many bytes. Memory is taken as they come, and not as they are claimed.
    fn take(&mut self, length: u64) -> Result<Vec<u8>, Stop> {
        let mut bytes = Vec::new();
        self.bytes.by_ref().take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == length { Ok(bytes) } else { fault("it ends inside a message") }
    }

    fn check_schema(&mut self) -> Result<(), Stop> {
        if self.schema_is_fine {
            return Ok(());
        }
        let Some(schema) = self.decoder.schema() else { return Ok(()) };
        let fields: usize = schema.fields().iter().map(|field| fields_of(field)).sum();
        if fields > FIELDS_MAX {
            return fault(format!("its schema has {fields} fields, and the limit is {FIELDS_MAX}"));
        }
        self.schema_is_fine = true;
        Ok(())
    }
}

/// How many fields a field is, with those inside.
fn fields_of(field: &Field) -> usize {
    let inside = match field.data_type() {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => fields_of(item),
        DataType::Struct(fields) => fields.iter().map(|field| fields_of(field)).sum(),
        DataType::RunEndEncoded(_, values) => fields_of(values),
        _ => 0,
    };
    1 + inside
}

/// What the buffers of a batch take once they are unpacked: more than `max` where it is more, but then not how much.
///
/// # Errors
/// A buffer is not within the body, or one part of it is in several, each of which the library may copy; or a
/// compressed one is not as long as it says, which the library believes of LZ4.
fn unpacked_bytes(batch: &BatchHeader<'_>, body: &[u8], max: u64) -> Result<u64, Stop> {
    let codec = batch.compression().map(|compression| compression.codec());
    let (mut packed, mut unpacked) = (0u64, 0u64);
    for buffer in batch.buffers().into_iter().flatten() {
        let bytes = usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
        let bytes = bytes.and_then(|(at, length)| body.get(at..at.checked_add(length)?));
        let Some(bytes) = bytes else { return fault("a buffer is not within its message") };
        packed = packed.saturating_add(bytes.len() as u64);
        if packed > body.len() as u64 {
            return fault("its buffers overlap");
        }
        let claimed = match bytes.split_first_chunk::<8>() {
            Some((claimed, rest)) if codec.is_some() => (i64::from_le_bytes(*claimed), rest),
            _ => continue,
        };
        let (length, bytes) = match claimed {
            // This one is not compressed.
            (-1, _) => continue,
            (length, bytes) => match u64::try_from(length) {
                Ok(length) => (length, bytes),
                Err(_) => return fault("a buffer unpacks to less than nothing"),
            },
        };
        unpacked = unpacked.saturating_add(length);
        if unpacked > max {
            break;
        }
        if codec == Some(CompressionType::LZ4_FRAME) && length > 0 && unpacked_lz4(bytes, length) != Some(length) {
            return fault("a compressed buffer is not as long as it says");
        }
    }
    Ok(unpacked)
}

/// How many bytes an LZ4 frame unpacks to, counted as far as there are more than `max`; nothing if it is none.
fn unpacked_lz4(frame: &[u8], max: u64) -> Option<u64> {
    let count =
        || io::copy(&mut lz4_flex::frame::FrameDecoder::new(frame).take(max.saturating_add(1)), &mut io::sink());
    lake::guarded(count).ok()?.ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
    use arrow_array::types::Int32Type;
    use arrow_array::{ArrayRef, DictionaryArray, Int64Array, NullArray};

    use super::*;

    fn column(name: &str, values: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable([(name, values, true)]).unwrap()
    }

    fn numbers(count: i64) -> RecordBatch {
        column("n", Arc::new(Int64Array::from_iter_values(0..count)) as ArrayRef)
    }

    fn stream(batches: &[RecordBatch], compression: Option<CompressionType>) -> Vec<u8> {
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.into_inner().unwrap()
    }

    fn read_within(bytes: Vec<u8>, max: u64) -> (Vec<RecordBatch>, Option<String>) {
        let mut batches = Batches::new(Box::new(io::Cursor::new(bytes)));
        batches.within(max);
        let mut found = Vec::new();
        loop {
            match batches.next() {
                Ok(Some(batch)) => found.push(batch),
                Ok(None) => return (found, None),
                Err(Stop::Fault(why)) => return (found, Some(why)),
                Err(Stop::Io(error)) => return (found, Some(error.kind().to_string())),
            }
        }
    }

    fn read(bytes: Vec<u8>) -> (Vec<RecordBatch>, Option<String>) {
        read_within(bytes, u64::MAX)
    }

    #[test]
    fn a_batch_without_bytes_takes_no_other_with_it() {
        let nulls = |rows| column("nothing", Arc::new(NullArray::new(rows)));
        for batches in [
            vec![numbers(0), numbers(3)],
            vec![numbers(0), numbers(0), numbers(3), numbers(0), numbers(0)],
            vec![nulls(2), nulls(3)],
            vec![nulls(2)],
        ] {
            assert_eq!(read(stream(&batches, None)), (batches, None));
        }
        let both = |rows: usize, numbers: Option<i64>| {
            let values: ArrayRef = Arc::new(Int64Array::from(vec![numbers; rows]));
            let nothing: ArrayRef = Arc::new(NullArray::new(rows));
            RecordBatch::try_from_iter_with_nullable([("nothing", nothing, true), ("n", values, true)])
        };
        let batches = [both(0, None).unwrap(), both(3, Some(7)).unwrap()];
        assert_eq!(read(stream(&batches, None)).0, batches);
    }

    /// I12: the library unpacks LZ4 to its end, whatever length the buffer claims.
    #[test]
    fn a_compressed_buffer_is_as_long_as_it_says() {
        let zeros = column("n", Arc::new(Int64Array::from(vec![0; 100_000])));
        let claimed = 800_000u64.to_le_bytes();
        let lies = [8u64, 799_999, i64::MIN as u64, 800_001];
        // What zstd has room for is what it claims: more than there is does no harm.
        for (compression, lies) in [(CompressionType::LZ4_FRAME, &lies[..]), (CompressionType::ZSTD, &lies[..3])] {
            let whole = stream(std::slice::from_ref(&zeros), Some(compression));
            assert_eq!(read(whole.clone()).0, std::slice::from_ref(&zeros));
            let at = whole.windows(8).rposition(|window| window == claimed).unwrap();
            for lie in lies {
                let mut lying = whole.clone();
                lying[at..at + 8].copy_from_slice(&lie.to_le_bytes());
                let (found, why) = read(lying);
                assert!(found.is_empty() && why.is_some(), "{compression:?} {lie}: {why:?}");
                let ours = why.as_deref() == Some("a compressed buffer is not as long as it says");
                assert!(ours || compression == CompressionType::ZSTD || *lie > i64::MAX as u64, "{lie}: {why:?}");
            }
            let (found, why) = read_within(whole, 700_000);
            assert_eq!((found.len(), why), (0, Some(io::ErrorKind::FileTooLarge.to_string())));
        }
    }

    /// I12: each buffer of a message may be copied, so a few bytes that many columns share would be many.
    #[test]
    fn no_bytes_of_a_message_are_two_buffers() {
        let values = || Arc::new(Int64Array::from_iter_values(0..100)) as ArrayRef;
        let batch = RecordBatch::try_from_iter([("a", values()), ("b", values()), ("c", values())]).unwrap();
        let whole = stream(&[batch], None);
        assert_eq!(read(whole.clone()).0.len(), 1);
        let length = 800i64.to_le_bytes();
        let lengths: Vec<usize> = (0..whole.len() - 8).filter(|at| whole[*at..*at + 8] == length).collect();
        assert_eq!(lengths.len(), 3, "one of each column's values");
        let mut shared = whole;
        for at in lengths {
            shared[at - 8..at].copy_from_slice(&0i64.to_le_bytes());
            shared[at..at + 8].copy_from_slice(&1_200i64.to_le_bytes());
        }
        assert_eq!(read(shared), (vec![], Some("its buffers overlap".to_owned())));
    }

    /// I12: what all messages take is counted, those of dictionaries with them.
    #[test]
    fn the_limit_is_one_for_all_messages() {
        let batches = vec![numbers(1_000); 10];
        let bytes = stream(&batches, None);
        let max = bytes.len() as u64;
        assert_eq!(read_within(bytes.clone(), max), (batches, None));
        let (found, why) = read_within(bytes, 40_000);
        assert!((1..10).contains(&found.len()), "{}", found.len());
        assert_eq!(why, Some(io::ErrorKind::FileTooLarge.to_string()));
        let texts: Vec<String> = (0..10).map(|n| format!("{n}").repeat(10_000)).collect();
        let columns = texts.iter().map(|text| {
            let said: DictionaryArray<Int32Type> = [Some(text.as_str())].into_iter().collect();
            (text[..1].to_owned(), Arc::new(said) as ArrayRef)
        });
        let bytes = stream(&[RecordBatch::try_from_iter(columns).unwrap()], Some(CompressionType::LZ4_FRAME));
        assert_eq!(read_within(bytes.clone(), 200_000).1, None);
        assert_eq!(read_within(bytes, 50_000).1, Some(io::ErrorKind::FileTooLarge.to_string()));
    }
}
