//! The tour's files: its data, and copies of what it makes.

use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;

use super::applicant::Applicant;
use crate::failure::Failure;
use crate::session::Session;

/// 950 records; `demo/german_credit/README.md` says whence.
const RECORDS: &[u8] = include_bytes!("../../../../demo/german_credit/records.ndjson.gz");

/// Records in the first half.
const FIRST: usize = 500;

const STEP: &str = "demo";

fn records() -> Result<String, Failure> {
    let mut text = String::new();
    let unpacked = GzDecoder::new(RECORDS).read_to_string(&mut text);
    unpacked.map_err(|error| Failure::could_not(format!("the demo's data cannot be unpacked: {error}")))?;
    Ok(text)
}

/// Writes the records as two files, as if they came on different days.
pub fn write(session: &Session) -> Result<[&'static str; 2], Failure> {
    const FILES: [&str; 2] = ["data/march-1.ndjson", "data/march-2.ndjson"];
    let text = records()?;
    let lines: Vec<&str> = text.lines().collect();
    let (first, second) = lines.split_at(FIRST.min(lines.len()));
    session.host.create_dir_all("data", STEP)?;
    for (file, half) in FILES.iter().zip([first, second]) {
        session.host.replace(file, (half.join("\n") + "\n").as_bytes(), STEP, None)?;
    }
    Ok(FILES)
}

/// Writes all records with one applicant's amount changed.
pub fn write_changed(session: &Session, file: &str, applicant: &Applicant, amount: f64) -> Result<(), Failure> {
    let id = applicant.id.to_string();
    let mut changed = String::new();
    for line in records()?.lines() {
        let malformed = |error| Failure::could_not(format!("the demo's data is malformed: {error}"));
        if line.contains(&format!("\"id\":\"{id}\"")) {
            let mut record: serde_json::Value = serde_json::from_str(line).map_err(malformed)?;
            record["inputs"]["credit_amount"] = amount.into();
            changed += &record.to_string();
        } else {
            changed += line;
        }
        changed.push('\n');
    }
    session.host.replace(file, changed.as_bytes(), STEP, None)?;
    Ok(())
}

/// Copies a folder and what is in it. Sockets stay behind.
pub fn copy_folder(session: &Session, from: &Path, to: &Path) -> Result<(), Failure> {
    session.host.create_dir_all(to, STEP)?;
    for path in session.host.list(from, STEP)? {
        let Some(name) = path.file_name() else { continue };
        let found = std::fs::metadata(&path).map_err(|error| Failure::io("read", &path, &error))?;
        if found.is_dir() {
            copy_folder(session, &path, &to.join(name))?;
        } else if found.is_file() {
            copy_file(session, &path, &to.join(name))?;
        }
    }
    Ok(())
}

/// Copies a file.
pub fn copy_file(session: &Session, from: &Path, to: &Path) -> Result<(), Failure> {
    session.detail(|| format!("copying {} to {}", from.display(), to.display()));
    std::fs::copy(from, to).map(drop).map_err(|error| Failure::io("copy", from, &error))
}
