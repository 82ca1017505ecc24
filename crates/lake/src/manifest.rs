//! What the Delta log says of one data file, beyond what Delta itself asks for.
//!
//! It stands in the `tags` of the file's `add` action, so it is committed with the file in one entry and survives
//! whatever rewrites the log (checkpoints keep tags). The first and last index, the rows, the format and the key id
//! stand in the Parquet footer too, so that a file found alone still says what it is.

use std::collections::HashMap;

use chrono::DateTime;
use deltalake_core::kernel::Add;
use keys::KeyId;
use serde_json::Value;

/// The version of the file format that this crate writes.
pub const FORMAT: u32 = 1;

/// The key id of a file that is not encrypted.
pub const NO_KEY: &str = "none";

/// One data file, as the Delta log describes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Manifest {
    /// File name, relative to the table's folder.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Version of the file format, [`FORMAT`].
    pub format: u32,
    /// Which key the file is encrypted under, as 32 hexadecimal digits, or [`NO_KEY`].
    pub key_id: String,
    /// The lowest index in the file.
    pub first_index: u64,
    /// The highest index in the file. Indices between the two may stand in other files.
    pub last_index: u64,
    /// Rows in the file.
    pub rows: u64,
    /// SHA-256 of the file's bytes.
    pub sha256: [u8; 32],
    /// The lowest record id in the file, as text.
    pub min_id: String,
    /// The highest record id in the file, as text.
    pub max_id: String,
    /// The Delta statistics of the file, as this crate wrote them.
    pub stats: String,
}

/// Why an `add` action is not one of ours.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ManifestError {
    /// A tag is missing or cannot be read.
    #[error(
        "the log entry of file {path:?} has no usable tag {tag:?}; another tool wrote it, or _delta_log was changed: restore it from a copy"
    )]
    Tag {
        /// The file.
        path: String,
        /// The tag.
        tag: &'static str,
    },
    /// The path is not the name of a file in the table's folder that this crate gave.
    #[error(
        "the log names the file {path:?}, which is neither settle- nor rewrite-<20 digits>-<16 hexadecimal>.parquet; another tool wrote it, or _delta_log was changed: restore it from a copy"
    )]
    Path {
        /// The path.
        path: String,
    },
    /// The entry has a field that no entry of this crate has, and by which other engines read other rows.
    #[error(
        "the log entry of file {path:?} has {field} {found}; another tool wrote it, or _delta_log was changed: restore it from a copy"
    )]
    Field {
        /// The file.
        path: String,
        /// The field.
        field: &'static str,
        /// What stands there.
        found: String,
    },
    /// A format of a later version.
    #[error("file {path:?} has format {found}, this version reads up to {FORMAT}; use the version that wrote it")]
    Format {
        /// The file.
        path: String,
        /// Its format.
        found: u32,
    },
}

/// What the log says of the times in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The latest, in microseconds since 1970; none if no record has one.
    pub latest_us: Option<i64>,
    /// Records without one.
    pub missing: u64,
}

impl Manifest {
    /// The times in the file, by its statistics.
    pub fn times(&self) -> Times {
        let stats: Value = serde_json::from_str(&self.stats).unwrap_or_default();
        let latest = stats["maxValues"]["time"].as_str().and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        let missing = stats["nullCount"]["time"].as_u64();
        Times { latest_us: latest.map(|time| time.timestamp_micros()), missing: missing.unwrap_or(self.rows) }
    }

    /// The tags of the file's `add` action.
    pub(crate) fn tags(&self) -> HashMap<String, Option<String>> {
        [
            ("onrecord.format", self.format.to_string()),
            ("onrecord.key_id", self.key_id.clone()),
            ("onrecord.first_index", self.first_index.to_string()),
            ("onrecord.last_index", self.last_index.to_string()),
            ("onrecord.rows", self.rows.to_string()),
            ("onrecord.sha256", hex(&self.sha256)),
            ("onrecord.min_id", self.min_id.clone()),
            ("onrecord.max_id", self.max_id.clone()),
        ]
        .into_iter()
        .map(|(tag, value)| (tag.to_owned(), Some(value)))
        .collect()
    }

    /// The manifest that an `add` action carries.
    pub(crate) fn read(add: Add) -> Result<Self, ManifestError> {
        if NameOf::read(&add.path).is_none() {
            return Err(ManifestError::Path { path: add.path });
        }
        // Each of these makes another engine read other values or rows than stand in the file.
        let foreign = [
            ("partitionValues", (!add.partition_values.is_empty()).then(|| format!("{:?}", add.partition_values))),
            ("deletionVector", add.deletion_vector.as_ref().map(|vector| format!("{vector:?}"))),
            ("baseRowId", add.base_row_id.map(|id| id.to_string())),
            ("defaultRowCommitVersion", add.default_row_commit_version.map(|version| version.to_string())),
            ("clusteringProvider", add.clustering_provider),
        ];
        for (field, found) in foreign {
            if let Some(found) = found {
                return Err(ManifestError::Field { path: add.path, field, found });
            }
        }
        let (path, stats, tags) = (add.path, add.stats, add.tags.unwrap_or_default());
        let tag = |tag: &'static str| {
            let value = tags.get(tag).cloned().flatten();
            value.ok_or_else(|| ManifestError::Tag { path: path.clone(), tag })
        };
        let number = |name: &'static str| {
            let no = |_| ManifestError::Tag { path: path.clone(), tag: name };
            tag(name)?.parse::<u64>().map_err(no)
        };
        let unusable = |tag| ManifestError::Tag { path: path.clone(), tag };
        let key_id = tag("onrecord.key_id")?;
        if key_id != NO_KEY && KeyId::read(&key_id).is_none() {
            return Err(unusable("onrecord.key_id"));
        }
        let format = u32::try_from(number("onrecord.format")?).unwrap_or(u32::MAX);
        if format > FORMAT {
            return Err(ManifestError::Format { path, found: format });
        }
        Ok(Self {
            format,
            key_id,
            first_index: number("onrecord.first_index")?,
            last_index: number("onrecord.last_index")?,
            rows: number("onrecord.rows")?,
            sha256: unhex(&tag("onrecord.sha256")?).ok_or_else(|| unusable("onrecord.sha256"))?,
            min_id: tag("onrecord.min_id")?,
            max_id: tag("onrecord.max_id")?,
            bytes: u64::try_from(add.size).map_err(|_| unusable("size"))?,
            stats: stats.unwrap_or_default(),
            path,
        })
    }
}

/// The name of a data file that a settle writes at that watermark: its records are from there on.
pub(crate) fn settle_name(watermark: u64, random: u64) -> String {
    format!("settle-{watermark:020}-{random:016x}.parquet")
}

/// The name of a data file that a rewrite writes at that watermark: its records are below.
pub(crate) fn rewrite_name(watermark: u64, random: u64) -> String {
    format!("rewrite-{watermark:020}-{random:016x}.parquet")
}

/// What a data file's name says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameOf {
    /// Whether a rewrite wrote it, and not a settle.
    pub rewrite: bool,
    /// The watermark at which it was written.
    pub watermark: u64,
}

impl NameOf {
    /// What `name` says, if it is exactly as [`settle_name`] or [`rewrite_name`] make it.
    pub(crate) fn read(name: &str) -> Option<Self> {
        let (by, rest) = name.strip_suffix(".parquet")?.split_once('-')?;
        let (watermark, random) = rest.split_once('-')?;
        let digits = watermark.len() == 20 && watermark.bytes().all(|b| b.is_ascii_digit());
        let hexadecimal = random.len() == 16 && random.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !(matches!(by, "settle" | "rewrite") && digits && hexadecimal) {
            return None;
        }
        Some(Self { rewrite: by == "rewrite", watermark: watermark.parse().ok()? })
    }

    /// Whether every record of the file is below `watermark`, if the settle or rewrite that wrote it was committed at
    /// or before it.
    pub(crate) fn is_below(self, watermark: u64) -> bool {
        if self.rewrite { self.watermark <= watermark } else { self.watermark < watermark }
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}
