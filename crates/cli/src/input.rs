//! Where records are read from, in which form, and how far one may be trusted to end.

mod cbor;
mod json;
mod lines;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal as _, Read, Seek as _};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use host::Host;
use keys::{Cipher, ScratchReader, ScratchWriter};
use record::{CborParser, JsonParser, Limits, Record};

use crate::failure::Failure;

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object a line
    Ndjson,
    /// One JSON object, an array of them, or several one after the other
    Json,
    /// A CBOR sequence
    Cbor,
}

/// A file or stdin, not opened yet.
pub struct Source {
    name: String,
    from: From,
    format: Format,
}

enum From {
    Stdin,
    Path(PathBuf),
    /// What came from a pipe, kept in a file without a name, encrypted.
    Spooled(File, Box<Cipher>),
}

/// One record, or what is wrong with what stands there.
pub struct Item {
    /// `file:line`, or `file: record n`.
    pub at: String,
    pub record: Result<Box<Record>, String>,
}

/// The records of one source, one after the other.
pub struct Records {
    name: String,
    reader: Reader,
}

enum Reader {
    Lines(lines::Lines, JsonParser),
    Json(json::Elements, JsonParser),
    Cbor(cbor::Items, CborParser),
}

/// A stretch of the input that should be one record: its number, and its bytes or why there are none.
type Piece<'a> = Option<(u64, Result<&'a [u8], String>)>;

/// The sources that arguments name. Each is there, and each has a known form.
pub fn sources(files: &[PathBuf], format: Option<Format>) -> Result<Vec<Source>, Failure> {
    if files.is_empty() {
        if io::stdin().is_terminal() {
            let failure = Failure::wrong_use("there is nothing to append: no file is named, and stdin is a terminal");
            return Err(failure.hint("name a file, or pipe records in, one JSON object a line"));
        }
        return Ok(vec![Source::stdin(format)]);
    }
    files.iter().map(|file| Source::of(file, format)).collect()
}

impl Source {
    fn stdin(format: Option<Format>) -> Source {
        Source { name: "stdin".to_owned(), from: From::Stdin, format: format.unwrap_or(Format::Ndjson) }
    }

    fn of(path: &Path, format: Option<Format>) -> Result<Source, Failure> {
        if path == Path::new("-") {
            return Ok(Source::stdin(format));
        }
        let found = std::fs::metadata(path).map_err(|error| Failure::io("read", path, &error))?;
        if found.is_dir() {
            return Err(Failure::wrong_use(format!("{} is a folder, not a file of records", path.display())));
        }
        let format = format.map_or_else(|| format_of(path), Ok)?;
        Ok(Source { name: path.display().to_string(), from: From::Path(path.to_owned()), format })
    }

    /// Makes sure that the source can be read twice: what can be read once only is copied aside.
    pub fn keep(&mut self, host: &Host) -> Result<(), Failure> {
        let regular = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|found| found.is_file());
        if matches!(&self.from, From::Path(path) if regular(path)) {
            return Ok(());
        }
        let aside = |error: io::Error| Failure::could_not(format!("cannot keep a copy of {}: {error}", self.name));
        // Encrypted whatever the trail is: what comes from a pipe should be left nowhere.
        let mut spool = ScratchWriter::new(host, BufWriter::new(tempfile::tempfile().map_err(aside)?));
        io::copy(&mut self.raw()?, &mut spool).map_err(aside)?;
        let (file, cipher) = spool.finish().map_err(aside)?;
        let file = file.into_inner().map_err(|error| aside(error.into_error()))?;
        self.from = From::Spooled(file, Box::new(cipher));
        Ok(())
    }

    fn raw(&self) -> Result<Box<dyn Read>, Failure> {
        Ok(match &self.from {
            From::Stdin => Box::new(io::stdin()),
            From::Path(path) => Box::new(File::open(path).map_err(|error| Failure::io("read", path, &error))?),
            From::Spooled(file, cipher) => {
                let again = |error| Failure::io("read", Path::new(&self.name), &error);
                let mut file = file.try_clone().map_err(again)?;
                file.rewind().map_err(again)?;
                Box::new(ScratchReader::new(Cipher::clone(cipher), BufReader::new(file)))
            }
        })
    }

    /// Opens the source at its beginning.
    pub fn open(&self, limits: Limits) -> Result<Records, Failure> {
        Records::read(self.name.clone(), self.raw()?, self.format, limits)
    }
}

/// The form that a file's name says.
fn format_of(path: &Path) -> Result<Format, Failure> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let inner = name.strip_suffix(".gz").unwrap_or(&name);
    match inner.rsplit_once('.').map(|(_, suffix)| suffix) {
        Some("ndjson" | "jsonl") => Ok(Format::Ndjson),
        Some("json") => Ok(Format::Json),
        Some("cbor" | "cborseq") => Ok(Format::Cbor),
        Some("parquet" | "arrow" | "arrows" | "feather" | "ipc") => {
            let what = format!("{} looks like Parquet or Arrow, which this version does not read", path.display());
            Err(Failure::wrong_use(what).hint("convert it to NDJSON, one record a line"))
        }
        _ => {
            let what = format!("the name of {} does not say what form its records have", path.display());
            Err(Failure::wrong_use(what).hint("say it with --format ndjson, json or cbor"))
        }
    }
}

/// The bytes, unpacked if they are gzip: no JSON and no CBOR begins like it.
fn unpacked(mut raw: Box<dyn Read>) -> io::Result<Box<dyn BufRead>> {
    // Read to two bytes or the end: a pipe may give the first one alone.
    let mut head = Vec::with_capacity(2);
    raw.by_ref().take(2).read_to_end(&mut head)?;
    let packed = head == [0x1f, 0x8b];
    let bytes = BufReader::with_capacity(256 << 10, io::Cursor::new(head).chain(raw));
    if packed {
        return Ok(Box::new(BufReader::with_capacity(256 << 10, MultiGzDecoder::new(bytes))));
    }
    Ok(Box::new(bytes))
}

impl Records {
    /// The records in some bytes, which may be packed. `name` is for messages.
    pub fn read(name: String, raw: Box<dyn Read>, format: Format, limits: Limits) -> Result<Records, Failure> {
        let bytes = unpacked(raw).map_err(|error| Failure::io("read", Path::new(&name), &error))?;
        let max = limits.text_bytes();
        let reader = match format {
            Format::Ndjson => Reader::Lines(lines::Lines::new(bytes, max), JsonParser::new(limits)),
            Format::Json => Reader::Json(json::Elements::new(bytes, max), JsonParser::new(limits)),
            Format::Cbor => Reader::Cbor(cbor::Items::new(bytes, max), CborParser::new(limits)),
        };
        Ok(Records { name, reader })
    }

    /// The next record; nothing at the end.
    pub fn read_next(&mut self) -> Result<Option<Item>, Failure> {
        let Records { name, reader } = self;
        let unreadable = |error: io::Error| Failure::io("read on in", Path::new(name), &error);
        Ok(match reader {
            Reader::Lines(lines, parser) => {
                let piece = lines.next().map_err(unreadable)?;
                piece.map(|(line, bytes)| {
                    // The line is the file's; of the parser's own only the column says anything.
                    let record = parsed(parser, bytes).map_err(|why| why.replace(" at line 1 column ", " at column "));
                    Item { at: format!("{name}:{line}"), record }
                })
            }
            Reader::Json(elements, parser) => {
                let piece = elements.next().map_err(unreadable)?;
                piece.map(|(line, bytes)| Item { at: format!("{name}:{line}"), record: parsed(parser, bytes) })
            }
            Reader::Cbor(items, parser) => {
                let piece = items.next().map_err(unreadable)?;
                piece.map(|(number, bytes)| {
                    let record = bytes.and_then(|bytes| parser.parse(bytes).map_err(|error| error.to_string()));
                    Item { at: format!("{name}: record {number}"), record: record.map(Box::new) }
                })
            }
        })
    }
}

fn parsed(parser: &mut JsonParser, bytes: Result<&[u8], String>) -> Result<Box<Record>, String> {
    let bytes = bytes?;
    parser.parse(bytes).map(Box::new).map_err(|error| {
        let why = error.to_string();
        let object = bytes.trim_ascii_start().starts_with(b"{");
        match why.strip_prefix("record: not valid JSON: ") {
            Some(why) if !object => format!("not a JSON object ({why})"),
            _ => why,
        }
    })
}

fn too_long(what: &str, max: usize) -> String {
    format!("{what} is longer than the limit of {max} bytes")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Gives one byte at a time.
    struct Trickle(io::Cursor<Vec<u8>>);

    impl Read for Trickle {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = into.len().min(1);
            self.0.read(&mut into[..most])
        }
    }

    #[test]
    fn what_is_packed_is_seen_however_its_bytes_come() {
        let line = br#"{"kind":"config","context":{"a":1}}"#;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(line).unwrap();
        for bytes in [line.to_vec(), packer.finish().unwrap()] {
            let raw = Box::new(Trickle(io::Cursor::new(bytes)));
            let mut records = Records::read("pipe".into(), raw, Format::Ndjson, Limits::DEFAULT).unwrap();
            assert!(records.read_next().unwrap().unwrap().record.is_ok());
            assert!(records.read_next().unwrap().is_none());
        }
    }
}
