//! Whether a record is the one that was sealed, and what of it was erased on whose word.

use record::Part;
use trail::{Declared, Found, Proof, ProofError, Snapshot};

use crate::case_file::CaseFile;
use crate::fields::hex;
use crate::number;
use crate::sheet::{Block, Cell, Row, Tone, row};
use crate::text::plain;

/// What the log says of a record.
pub enum Sealed {
    /// It is under the last checkpoint, and its inclusion was checked.
    Yes(Box<Proof>),
    /// It is newer than the last checkpoint, which covers so many.
    NotYet(u64),
    /// It is not what was sealed, or that could not be found out.
    No(String),
}

impl Sealed {
    /// Recomputes the digest up to the signed root.
    pub fn of(snapshot: &Snapshot, found: &Found) -> Sealed {
        match snapshot.prove(found) {
            Ok(proof) => Sealed::Yes(Box::new(proof)),
            Err(ProofError::NotSealed { sealed, .. }) => Sealed::NotYet(sealed),
            Err(error) => Sealed::No(error.to_string()),
        }
    }

    pub fn cell(&self) -> Cell {
        match self {
            Sealed::Yes(proof) => {
                let size = number::count(proof.checkpoint.checkpoint().size());
                Cell::verdict(Tone::Good, "sealed", format!("under the checkpoint of {size} records"))
            }
            Sealed::NotYet(size) => {
                let covers = format!(": the last checkpoint covers {} records", number::count(*size));
                Cell::verdict(Tone::Warn, "not sealed yet", covers)
            }
            Sealed::No(reason) => Cell::verdict(Tone::Bad, "INVALID", format!(": {}", plain(reason))),
        }
    }
}

pub fn blocks(case: &CaseFile) -> Vec<Block> {
    let CaseFile { snapshot, found, sealed, .. } = case;
    let mut rows = vec![row("state", sealed.cell())];
    if let Sealed::Yes(proof) = sealed {
        let path = proof.proof.path.len();
        rows.push(row("checked", format!("digest recomputed; inclusion ({path} hashes) up to the signed root")));
        rows.push(row("root", hex(proof.checkpoint.checkpoint().root().as_bytes())));
    }
    rows.push(row("digest", found.digest.to_string()));
    rows.push(row("log", plain(&snapshot.settings().origin)));
    let place = match &found.place {
        Some((file, row)) => {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            format!("row {} of lake/{}", number::count(*row), plain(&name))
        }
        None => "journal".to_owned(),
    };
    rows.push(row("place", place));
    let mut blocks = vec![Block::Rows(rows)];
    if let (true, Sealed::Yes(proof)) = (case.with_proof, sealed) {
        let caption = "Proof of inclusion (C2SP tlog-proof)".to_owned();
        blocks.push(Block::Verbatim { caption, text: proof.proof.to_string() });
    }
    blocks
}

/// What was erased, by which records, on whose word.
pub fn erasures(case: &CaseFile) -> Vec<Row> {
    let gone: Vec<&str> = case.found.stored.erased().map(Part::name).collect();
    if gone.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![row("parts", gone.join(", "))];
    for Declared { index, erasure } in &case.declared {
        let parts: Vec<String> = erasure.parts.iter().map(|part| plain(part)).collect();
        let says = format!("{}, by {}: {}", plain(&erasure.basis), plain(&erasure.by), parts.join(", "));
        rows.push(row(format!("record {}", number::count(*index)), says));
    }
    rows.push(row("verdict", verdict(case)));
    rows
}

/// The verdict on what was erased.
pub fn verdict(case: &CaseFile) -> Cell {
    if case.undeclared() {
        Cell::verdict(Tone::Bad, "INVALID", ": no record declares what is gone (T20); run verify")
    } else {
        Cell::verdict(Tone::Warn, "ERASED", ", as declared; its approvals were not checked")
    }
}
