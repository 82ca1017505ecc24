//! C2SP tlog-tiles entry bundles: the log's entries, 256 to a bundle, each after its length.

use crate::tile::{self, TileError, TilePath, TilePathError};
use crate::{Tile, tile::ENTRIES};
use std::fmt;
use std::str::FromStr;

/// The coordinates of an entry bundle: those of the level-0 tile that holds its leaf hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bundle {
    index: u64,
    width: u16,
}

/// Why entries do not make a bundle, or bytes are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// A bundle holds 1 to 256 entries.
    #[error("a bundle holds 1 to 256 entries, not {entries}")]
    Count {
        /// Entries given.
        entries: usize,
    },
    /// An entry's length is a 16-bit number.
    #[error("entry {position} of the bundle has {bytes} bytes; 65535 fit")]
    EntryTooLong {
        /// Which entry of the bundle, from 0.
        position: usize,
        /// Its bytes.
        bytes: usize,
    },
    /// The bytes end within an entry or its length.
    #[error("the bundle ends within entry {position}")]
    Truncated {
        /// Which entry of the bundle, from 0.
        position: usize,
    },
    /// Bytes follow the last entry.
    #[error("{bytes} bytes follow the {entries} entries of the bundle")]
    Trailing {
        /// Entries that were to be there.
        entries: u16,
        /// Bytes left over.
        bytes: usize,
    },
}

impl Bundle {
    /// Bundle `index` with `width` entries (1 to 256).
    pub fn new(index: u64, width: u16) -> Result<Self, TileError> {
        Tile::new(0, index, width).map(|_| Self { index, width })
    }

    /// For callers that have checked `width`.
    pub(crate) fn from_parts(index: u64, width: u16) -> Self {
        Self { index, width }
    }

    /// Bundle `index` as a log of `size` entries has it; `None` when it has none there.
    pub fn in_log(index: u64, size: u64) -> Option<Self> {
        Tile::in_tree(0, index, size).map(|tile| Self { index, width: tile.width() })
    }

    /// The bundles that a log of `to` entries has and one of `from` had not, or had shorter.
    pub fn changed(from: u64, to: u64) -> impl Iterator<Item = Self> {
        tile::changed_indices(from, to).filter_map(move |index| Self::in_log(index, to))
    }

    /// Which bundle, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Entries in it, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// The index in the log of its first entry; `None` past 2^64 - 1.
    pub fn first_entry(&self) -> Option<u64> {
        self.index.checked_mul(u64::from(Tile::FULL_WIDTH))
    }

    /// The level-0 tile with the leaf hashes of these entries.
    pub fn leaf_tile(&self) -> Option<Tile> {
        Tile::new(0, self.index, self.width).ok()
    }
}

impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{ENTRIES}/")?;
        tile::fmt_index(f, self.index, self.width)
    }
}

impl FromStr for Bundle {
    type Err = TilePathError;

    fn from_str(path: &str) -> Result<Self, TilePathError> {
        match path.parse()? {
            TilePath::Entries(bundle) => Ok(bundle),
            TilePath::Hashes(_) => Err(TilePathError::Shape { path: path.to_owned() }),
        }
    }
}

/// Contents of a bundle: each entry after its length as a 16-bit big-endian number.
pub fn encode_entries<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, BundleError> {
    if entries.is_empty() || entries.len() > usize::from(Tile::FULL_WIDTH) {
        return Err(BundleError::Count { entries: entries.len() });
    }
    let mut bytes = Vec::new();
    for (position, entry) in entries.iter().enumerate() {
        let entry = entry.as_ref();
        let length =
            u16::try_from(entry.len()).map_err(|_| BundleError::EntryTooLong { position, bytes: entry.len() })?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// The entries of a bundle that is to hold exactly `width` of them, borrowed from its contents.
pub fn decode_entries(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, BundleError> {
    if width == 0 || width > Tile::FULL_WIDTH {
        return Err(BundleError::Count { entries: width.into() });
    }
    let mut rest = bytes;
    let mut entries = Vec::with_capacity(width.into());
    for position in 0..usize::from(width) {
        let truncated = BundleError::Truncated { position };
        let Some((length, after)) = rest.split_first_chunk::<2>() else { return Err(truncated) };
        let Some((entry, after)) = after.split_at_checked(u16::from_be_bytes(*length).into()) else {
            return Err(truncated);
        };
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(BundleError::Trailing { entries: width, bytes: rest.len() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_entry_is_34_bytes() {
        let bytes = encode_entries(&[[7u8; 32]]).unwrap();
        assert_eq!(bytes.len(), 34);
        assert_eq!(bytes[..2], [0, 32]);
        assert_eq!(decode_entries(&bytes, 1).unwrap(), [[7u8; 32]]);
    }

    #[test]
    fn refuses_each_fault_by_name() {
        assert_eq!(encode_entries::<&[u8]>(&[]), Err(BundleError::Count { entries: 0 }));
        assert_eq!(encode_entries(&vec![[0u8]; 257]), Err(BundleError::Count { entries: 257 }));
        let long = vec![0u8; 65536];
        assert_eq!(encode_entries(&[&long]), Err(BundleError::EntryTooLong { position: 0, bytes: 65536 }));
        assert_eq!(encode_entries(&[&long[1..]]).unwrap().len(), 65537);
        let bytes = encode_entries(&[b"ab".as_slice(), b""]).unwrap();
        assert_eq!(decode_entries(&bytes, 2).unwrap(), [b"ab".as_slice(), b""]);
        assert_eq!(decode_entries(&bytes, 1), Err(BundleError::Trailing { entries: 1, bytes: 2 }));
        assert_eq!(decode_entries(&bytes, 3), Err(BundleError::Truncated { position: 2 }));
        assert_eq!(decode_entries(&bytes[..3], 2), Err(BundleError::Truncated { position: 0 }));
        assert_eq!(decode_entries(&bytes, 0), Err(BundleError::Count { entries: 0 }));
    }

    #[test]
    fn a_bundle_path_is_no_tile_path() {
        assert!("tile/entries/000".parse::<Tile>().is_err());
        assert!("tile/0/000".parse::<Bundle>().is_err());
        assert_eq!("tile/entries/x001/000.p/3".parse::<Bundle>().unwrap().to_string(), "tile/entries/x001/000.p/3");
        assert_eq!(Bundle::changed(255, 257).map(|b| b.width()).collect::<Vec<_>>(), [256, 1]);
    }
}
