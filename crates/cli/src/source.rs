//! Where records are read from: files and stdin, by their names and in their forms.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal as _, Read, Seek as _};
use std::path::{Path, PathBuf};

use host::Host;
use input::{Fault, Format, Place};
use keys::{Cipher, ScratchReader, ScratchWriter};
use record::{Limits, Record};

use crate::failure::Failure;

/// What a file of Parquet begins with.
const PARQUET: &[u8] = b"PAR1";

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
    pub record: Result<Box<Record>, Fault>,
}

/// The records of one source, one after the other.
pub struct Records {
    name: String,
    records: input::Records,
}

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
        let unreadable = |error| Failure::io("read", Path::new(&self.name), &error);
        if let Some(file) = self.parquet_file().map_err(unreadable)? {
            return Ok(Records { name: self.name.clone(), records: input::Records::parquet_file(file, limits) });
        }
        let bytes = input::unpacked(self.raw()?).map_err(unreadable)?;
        let records = input::Records::read(bytes, self.format, limits).map_err(unreadable)?;
        Ok(Records { name: self.name.clone(), records })
    }

    /// The file, where it is one of Parquet and not packed: it is read from its end.
    fn parquet_file(&self) -> io::Result<Option<File>> {
        let From::Path(path) = &self.from else { return Ok(None) };
        if self.format != Format::Parquet || !std::fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let mut file = File::open(path)?;
        let mut head = Vec::with_capacity(PARQUET.len());
        file.by_ref().take(PARQUET.len() as u64).read_to_end(&mut head)?;
        file.rewind()?;
        Ok(Some(file).filter(|_| head == PARQUET))
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
        Some("arrow" | "arrows" | "feather" | "ipc") => Ok(Format::Arrow),
        Some("parquet" | "pq") => Ok(Format::Parquet),
        _ => {
            let what = format!("the name of {} does not say what form its records have", path.display());
            Err(Failure::wrong_use(what).hint("say it with --format ndjson, json, cbor, arrow or parquet"))
        }
    }
}

impl Records {
    /// The next record; nothing at the end.
    pub fn read_next(&mut self) -> Result<Option<Item>, Failure> {
        let next = self.records.read_next();
        let next = next.map_err(|error| Failure::io("read on in", Path::new(&self.name), &error))?;
        Ok(next.map(|input::Item { place, record }| Item { at: self.at(place), record }))
    }

    fn at(&self, place: Place) -> String {
        format!("{}:{place}", self.name)
    }
}
