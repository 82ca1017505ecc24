//! The certificate of a sample: everything that whoever checks it needs beside the trail.

use serde::{Deserialize, Serialize};

/// The format, first in every certificate.
pub(super) const FORMAT: &str = "onrecord/sample/v1";

/// What made it.
pub(super) const SOFTWARE: &str = concat!("onrecord ", env!("CARGO_PKG_VERSION"));

/// Bytes of a certificate at most: twice what the largest sample takes.
pub const CERTIFICATE_BYTES_MAX: u64 = 8 << 20;

/// What was drawn, and from what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// `onrecord/sample/v1`.
    pub format: String,
    /// The software that drew.
    pub software: String,
    /// When, RFC 3339: `now` in the filter, and spans before it, are meant at that time.
    pub time: String,
    /// The pinned checkpoint, a signed note.
    pub checkpoint: String,
    /// What the auditor said.
    pub nonce: String,
    /// What makes a record one of the population: an SQL predicate over `events`.
    pub filter: String,
    /// Records that were asked for.
    pub n: u64,
    /// Records of the population.
    pub population: u64,
    /// Records under the checkpoint that are not of the population.
    pub excluded: u64,
    /// Those of them of which something was erased, so that the filter may not have seen them as they were.
    pub erased: u64,
    /// The highest hash of the sample: every record of the population whose hash is not above it is in the sample.
    pub threshold: Option<String>,
    /// The sample, by hash.
    pub chosen: Vec<Chosen>,
}

/// A record of the sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// Its place in the trail.
    pub index: u64,
    /// Its id.
    pub id: String,
    /// SHA-256("onrecord/sample/v1" ‖ 00 ‖ root ‖ nonce ‖ id), hexadecimal.
    pub hash: String,
    /// Its digest, which is under the checkpoint, hexadecimal.
    pub digest: String,
}

impl Certificate {
    /// Reads a certificate.
    pub fn read(bytes: &[u8]) -> Result<Certificate, String> {
        let certificate: Certificate = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if certificate.format != FORMAT {
            return Err(format!("its format is {:?}, and this software reads {FORMAT:?}", certificate.format));
        }
        Ok(certificate)
    }

    /// Whether bytes look like one, and not like a proof, which is no JSON.
    pub fn is_like(bytes: &[u8]) -> bool {
        bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
    }

    /// The certificate as it is handed over.
    pub fn to_json(&self) -> String {
        // Texts and numbers cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
