//! One segment file: its name, its header, its bytes.

use std::path::{Path, PathBuf};

use host::{FileError, Host};
use keys::{KeyError, KeyId};

use crate::STEP;
use crate::bytes::{array_at, end_of_data, u16_at, u32_at, u64_at};
use crate::options::SEGMENT_FILE_BYTES_MAX;

pub(crate) type SegmentId = [u8; 16];

pub(crate) const HEADER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"onrecjnl";
const VERSION: u16 = 1;
const SUFFIX: &str = ".journal";
/// The key id of payloads that are not encrypted.
const KEY_NONE: [u8; 16] = [0; 16];

/// A segment by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentName {
    pub(crate) first_index: u64,
    pub(crate) path: PathBuf,
}

impl SegmentName {
    pub(crate) fn new(folder: &Path, first_index: u64) -> Self {
        Self { first_index, path: folder.join(format!("{first_index:020}{SUFFIX}")) }
    }

    fn of(path: PathBuf) -> Option<Self> {
        let digits = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
        let first_index = digits.parse().ok()?;
        let exact = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        exact.then_some(Self { first_index, path })
    }

    /// The file's name.
    pub(crate) fn file(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Every segment in `folder`, in order. Fixed width makes the order of names that of indices.
    pub(crate) fn list(host: &Host, folder: &Path) -> Result<Vec<SegmentName>, FileError> {
        Ok(host.list(folder, STEP)?.into_iter().filter_map(SegmentName::of).collect())
    }

    /// All bytes of the file.
    pub(crate) fn load(&self, host: &Host) -> Result<Vec<u8>, LoadError> {
        let file = host.open_read(&self.path, STEP)?;
        let len = file.len()?;
        if len > SEGMENT_FILE_BYTES_MAX {
            return Err(LoadError::TooLong(len));
        }
        let mut bytes = vec![0; len as usize];
        let read = file.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

#[derive(Debug)]
pub(crate) enum LoadError {
    File(FileError),
    /// The file is this many bytes long.
    TooLong(u64),
}

impl From<FileError> for LoadError {
    fn from(error: FileError) -> Self {
        LoadError::File(error)
    }
}

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) first_index: u64,
    pub(crate) id: SegmentId,
    /// The key that payloads are encrypted under, if they are.
    pub(crate) key_id: Option<KeyId>,
}

/// Why a segment's header cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It is cut off, not a journal's, or changed.
    #[error("its header is damaged; restore the file from a copy")]
    Damaged,
    /// A later program wrote it.
    #[error("it has format version {version} and this program reads version 1; use the program that wrote it")]
    Version {
        /// What the header says.
        version: u16,
    },
    /// It is encrypted, and its key cannot be had.
    #[error("it cannot be decrypted: {why}")]
    Key {
        /// The key that the header names.
        key_id: KeyId,
        /// Why there is none.
        why: String,
    },
    /// Its name and its header disagree.
    #[error("its header says that it begins at record {first_index}, and its name says otherwise; rename it back")]
    Misnamed {
        /// What the header says.
        first_index: u64,
    },
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.key_id.map_or(KEY_NONE, |id| id.0));
        bytes[32..40].copy_from_slice(&self.first_index.to_le_bytes());
        bytes[40..56].copy_from_slice(&self.id);
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header of the segment that is named for `first_index`.
    pub(crate) fn decode(bytes: &[u8], first_index: u64) -> Result<SegmentHeader, HeaderError> {
        let header = Self::parse(bytes).unwrap_or(Err(HeaderError::Damaged))?;
        if header.first_index != first_index {
            return Err(HeaderError::Misnamed { first_index: header.first_index });
        }
        Ok(header)
    }

    fn parse(bytes: &[u8]) -> Option<Result<SegmentHeader, HeaderError>> {
        let crc_holds = crc32c::crc32c(bytes.get(..60)?) == u32_at(bytes, 60)?;
        if &array_at(bytes, 0)? != MAGIC || !crc_holds {
            return Some(Err(HeaderError::Damaged));
        }
        let version = u16_at(bytes, 8)?;
        if version != VERSION {
            return Some(Err(HeaderError::Version { version }));
        }
        let key_id = Some(array_at(bytes, 16)?).filter(|id| *id != KEY_NONE).map(keys::Hex);
        Some(Ok(SegmentHeader { first_index: u64_at(bytes, 32)?, id: array_at(bytes, 40)?, key_id }))
    }
}

/// Whether a segment whose header is damaged can only be one that was being begun when the machine stopped: the header
/// is fsynced before the first frame is written, so there is nothing behind it.
pub(crate) fn was_being_begun(bytes: &[u8]) -> bool {
    end_of_data(bytes, 0) <= HEADER_BYTES
}

impl HeaderError {
    pub(crate) fn of_key(key_id: KeyId, error: &KeyError) -> Self {
        HeaderError::Key { key_id, why: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_twenty_digits_and_the_suffix_name_a_segment() {
        let name = |name: &str| SegmentName::of(PathBuf::from("/j").join(name)).map(|name| name.first_index);
        assert_eq!(name("00000000000000000042.journal"), Some(42));
        assert_eq!(name("18446744073709551615.journal"), Some(u64::MAX));
        for other in ["42.journal", "+0000000000000000042.journal", "99999999999999999999.journal", ".x", "a.tmp"] {
            assert_eq!(name(other), None, "{other}");
        }
        assert_eq!(SegmentName::new(Path::new("/j"), 42).path, Path::new("/j/00000000000000000042.journal"));
    }

    #[test]
    fn a_header_from_the_future_is_refused_by_name() {
        let reseal = |mut bytes: [u8; HEADER_BYTES]| {
            let crc = crc32c::crc32c(&bytes[..60]);
            bytes[60..].copy_from_slice(&crc.to_le_bytes());
            SegmentHeader::decode(&bytes, 5).unwrap_err()
        };
        let good = SegmentHeader { first_index: 5, id: [1; 16], key_id: None }.encode();
        let mut other = good;
        other[8] = 2;
        assert_eq!(reseal(other), HeaderError::Version { version: 2 });
        assert_eq!(SegmentHeader::decode(&good, 6), Err(HeaderError::Misnamed { first_index: 5 }));
    }

    proptest! {
        #[test]
        fn headers_come_back_and_a_flipped_bit_does_not(first_index: u64, id: SegmentId, key in prop::option::of(1u128..), bit in 0..HEADER_BYTES * 8) {
            let header = SegmentHeader { first_index, id, key_id: key.map(|key| keys::Hex(key.to_be_bytes())) };
            let mut bytes = header.encode();
            prop_assert_eq!(SegmentHeader::decode(&bytes, first_index), Ok(header));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(SegmentHeader::decode(&bytes, first_index), Err(HeaderError::Damaged));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = SegmentHeader::decode(&bytes, 0);
            let _ = was_being_begun(&bytes);
        }
    }
}
