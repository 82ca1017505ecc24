//! What a server refused for good, put aside in a file for a person to look at.

use std::path::PathBuf;

use host::{FileError, Host};

use crate::tip::hex;

/// Bytes of one file; what comes beyond is counted and declared, and not kept.
const BYTES_MAX: u64 = 64 << 20;
const STEP: &str = "rejected";

/// The file of one instance.
pub struct Rejected {
    host: Host,
    path: PathBuf,
}

impl Rejected {
    /// It is made when there is something to put in it.
    pub fn new(host: &Host, path: PathBuf) -> Rejected {
        Rejected { host: host.clone(), path }
    }

    /// Where it is.
    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// One line: the reason, and the record's parts as JSON.
    pub fn put(&self, seq: u64, why: &str, record: &record::Record) -> Result<(), FileError> {
        let mut line = serde_json::json!({ "seq": seq, "why": why, "id": record.id.map(|id| id.to_string()) });
        for part in record::Part::ALL {
            let json = record.parts.get(part).and_then(|canonical| record::part_to_json(part, canonical).ok());
            if let Some(json) = json.and_then(|json| serde_json::from_str(&json).ok()) {
                line[part.name()] = json;
            }
        }
        self.put_line(&line)
    }

    /// What is no record: the reason, and its bytes in hexadecimal.
    pub fn put_bytes(&self, seq: u64, why: &str, bytes: &[u8]) -> Result<(), FileError> {
        self.put_line(&serde_json::json!({ "seq": seq, "why": why, "bytes": hex(bytes) }))
    }

    fn put_line(&self, line: &serde_json::Value) -> Result<(), FileError> {
        let line = line.to_string() + "\n";
        let file = match self.host.open_rw(&self.path, STEP) {
            Err(error) if error.is_not_found() => self.host.create_new_with_mode(&self.path, STEP, 0o600)?,
            opened => opened?,
        };
        let at = file.len()?;
        if at + line.len() as u64 > BYTES_MAX { Ok(()) } else { file.write_at(at, line.as_bytes()) }
    }
}
