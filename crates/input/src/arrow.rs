//! An Arrow IPC stream, or a file of one (Apache Arrow, "Serialization and Interprocess Communication"), batch by batch.
//!
//! The stream comes from outside and is taken apart here as far as its messages: what a length claims is believed only as
//! far as there are bytes, and what a compressed buffer claims is added up before any of it is unpacked. Within a message
//! the library reads, which may refuse it or panic over it, and both are a fault. A file is a stream behind eight bytes
//! of magic, with an index behind its end that nobody needs who reads it from front to back.

use std::io::{self, BufRead, Read};

use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::{Message, MessageHeader, RecordBatch as BatchHeader, root_as_message};
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

/// Fields of a schema, all that are nested counted.
const FIELDS_MAX: usize = 16_384;

/// Rows of a batch.
const ROWS_MAX: usize = 16 << 20;

/// The batches of a stream.
pub struct Batches {
    bytes: Box<dyn BufRead>,
    decoder: StreamDecoder,
    begun: bool,
    schema_is_fine: bool,
    ended: bool,
    body_max: u64,
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

impl Batches {
    pub fn new(bytes: Box<dyn BufRead>) -> Self {
        Batches {
            bytes,
            decoder: StreamDecoder::new(),
            begun: false,
            schema_is_fine: false,
            ended: false,
            body_max: BODY_BYTES_MAX,
        }
    }

    /// A message may have so many bytes, as it comes and unpacked, if that is less than usual.
    pub fn within(&mut self, max: u64) {
        self.body_max = self.body_max.min(max);
    }

    /// The next batch; nothing at the end.
    pub fn next(&mut self) -> Result<Option<RecordBatch>, Stop> {
        while !self.ended {
            let mut message = match self.message()? {
                Some(message) => message,
                None => {
                    self.ended = true;
                    // A message without a body is read once something follows it.
                    Buffer::from(&END)
                }
            };
            let decoder = &mut self.decoder;
            let decoded = lake::guarded(|| decoder.decode(&mut message));
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
        Ok(None)
    }

    /// The bytes of the next message, with what stands in front of it; nothing at the end.
    fn message(&mut self) -> Result<Option<Buffer>, Stop> {
        let Some(length) = self.length()? else { return Ok(None) };
        if length > HEADER_BYTES_MAX {
            return fault(format!("a message's header is longer than the limit of {HEADER_BYTES_MAX} bytes"));
        }
        let header = self.take(u64::from(length))?;
        let message = root_as_message(&header).map_err(|error| Stop::Fault(error.to_string()))?;
        let Some(body) = u64::try_from(message.bodyLength()).ok().filter(|length| *length <= self.body_max) else {
            return fault(format!(
                "a message is longer than the limit of {} bytes; write smaller batches",
                self.body_max
            ));
        };
        let body = self.take(body)?;
        unpacks_within(&message, &body, self.body_max)?;
        let mut whole = MutableBuffer::new(8 + header.len() + body.len());
        whole.extend_from_slice(&CONTINUATION);
        whole.extend_from_slice(&length.to_le_bytes());
        whole.extend_from_slice(&header);
        whole.extend_from_slice(&body);
        Ok(Some(whole.into()))
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

/// Whether what the compressed buffers of a message say that they unpack to is within the limit. The library takes their
/// word for it.
fn unpacks_within(message: &Message<'_>, body: &[u8], max: u64) -> Result<(), Stop> {
    let batch: Option<BatchHeader<'_>> = match message.header_type() {
        MessageHeader::RecordBatch => message.header_as_record_batch(),
        MessageHeader::DictionaryBatch => message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data()),
        _ => None,
    };
    let Some(batch) = batch.filter(|batch| batch.compression().is_some()) else { return Ok(()) };
    let mut total = 0u64;
    for buffer in batch.buffers().into_iter().flatten() {
        let claimed = usize::try_from(buffer.offset()).ok().and_then(|at| body.get(at..)?.first_chunk::<8>());
        // -1 says that this one is not compressed. Where there is no length, there is nothing to unpack.
        let claimed = claimed.map_or(0, |claimed| i64::from_le_bytes(*claimed));
        if claimed < -1 && buffer.length() > 0 {
            return fault("a buffer unpacks to less than nothing");
        }
        total = total.saturating_add(u64::try_from(claimed).unwrap_or(0));
        if total > max {
            return fault(format!("a batch unpacks to more than the limit of {max} bytes; write smaller ones"));
        }
    }
    Ok(())
}
