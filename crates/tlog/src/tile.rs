//! C2SP tlog-tiles coordinates, paths and contents.
//!
//! Tile N of level L holds up to 256 hashes, each over 256^L leaves; the full tile spans 256^(L+1) leaves. Only the
//! rightmost tile of a level can be partial, and a partial tile is never hashed into the level above.

use crate::bundle::Bundle;
use crate::decimal;
use crate::hash::{Hash, HashError};
use std::fmt;
use std::str::FromStr;

/// The coordinates of a tile of hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    level: u8,
    index: u64,
    width: u16,
}

/// A path below a log's prefix that names a static resource of its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TilePath {
    /// `tile/<L>/<N>[.p/<W>]`
    Hashes(Tile),
    /// `tile/entries/<N>[.p/<W>]`
    Entries(Bundle),
}

/// Why a path names no tile and no entry bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TilePathError {
    /// Longer than any path that can be meant.
    #[error("a tile path of {bytes} bytes is longer than any tile's path ({MAX_PATH_BYTES})")]
    TooLong {
        /// Bytes in the path.
        bytes: usize,
    },
    /// Not of the form `tile/<L or entries>/<N>[.p/<W>]`.
    #[error("{path:?} is not of the form tile/<level>/<index>[.p/<width>]")]
    Shape {
        /// The path.
        path: String,
    },
    /// The level is not a decimal from 0 to 63.
    #[error("{path:?} has no level from 0 to 63, nor `entries`")]
    Level {
        /// The path.
        path: String,
    },
    /// The index is not in groups of three digits, all but the last after an `x`, or passes 2^64 - 1.
    #[error("{path:?} has no index in groups of three digits, such as x001/x234/067")]
    Index {
        /// The path.
        path: String,
    },
    /// The width of a partial tile is not a decimal from 1 to 255.
    #[error("{path:?} has no width from 1 to 255 after .p/")]
    Width {
        /// The path.
        path: String,
    },
}

/// Why coordinates or contents are no tile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// Levels go from 0 to 63.
    #[error("tile level {level} is above 63")]
    Level {
        /// The level asked for.
        level: u8,
    },
    /// Widths go from 1 to 256.
    #[error("a tile is 1 to 256 wide, not {width}")]
    Width {
        /// The width asked for.
        width: u16,
    },
    /// The contents hold neither the tile's width nor a wider version of the same tile.
    #[error("{tile} holds {bytes} bytes, which is not {expected} or a wider tile of whole hashes")]
    Length {
        /// The tile.
        tile: Tile,
        /// Bytes found.
        bytes: usize,
        /// Bytes that its width comes to.
        expected: usize,
    },
}

/// `tile/entries/x018/x446/x744/x073/x709/x551/615.p/255`
const MAX_PATH_BYTES: usize = 52;
const PREFIX: &str = "tile/";
pub(crate) const ENTRIES: &str = "entries";

impl Tile {
    /// Hashes in a full tile.
    pub const FULL_WIDTH: u16 = 256;
    /// log2 of [`Tile::FULL_WIDTH`]: the tree levels that one tile spans.
    pub const HEIGHT: u8 = 8;
    /// The highest level a path can name. No tree of 64-bit size has tiles above level 7.
    pub const MAX_LEVEL: u8 = 63;

    /// The tile of `level` (0 to 63) and `index`, `width` hashes (1 to 256) wide.
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        if level > Self::MAX_LEVEL {
            return Err(TileError::Level { level });
        }
        if width == 0 || width > Self::FULL_WIDTH {
            return Err(TileError::Width { width });
        }
        Ok(Self { level, index, width })
    }

    /// Tile `index` of `level` as a tree of `size` leaves has it, full or partial; `None` when it has none there.
    pub fn in_tree(level: u8, index: u64, size: u64) -> Option<Self> {
        let width = width_in(index, hashes_at(level, size)?)?;
        Some(Self { level, index, width })
    }

    /// Tile level; each hash is over 256^level leaves.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Which tile of its level, from the left, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Hashes in it, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Whether it is 256 wide, and so never changes again.
    pub fn is_full(&self) -> bool {
        self.width == Self::FULL_WIDTH
    }

    /// The same tile when it has become full.
    pub fn full(&self) -> Self {
        Self { width: Self::FULL_WIDTH, ..*self }
    }

    /// Whether a tree of `size` leaves has at least this width of the tile, so that it may be asked for.
    pub fn is_within(&self, size: u64) -> bool {
        Self::in_tree(self.level, self.index, size).is_some_and(|there| self.width <= there.width)
    }

    /// Bytes in its contents: 32 for each hash.
    pub fn byte_len(&self) -> usize {
        usize::from(self.width) * Hash::BYTES
    }

    /// Reads contents. A wider version of the same tile is taken too and cut, since the first hashes of a tile
    /// never change and a log may drop a partial tile once the full one stands.
    pub fn decode(&self, bytes: &[u8]) -> Result<Vec<Hash>, TileError> {
        let expected = self.byte_len();
        let wrong = TileError::Length { tile: *self, bytes: bytes.len(), expected };
        let in_range = bytes.len() >= expected && bytes.len() <= self.full().byte_len();
        if !in_range || !bytes.len().is_multiple_of(Hash::BYTES) {
            return Err(wrong);
        }
        let hashes: Result<_, HashError> = bytes[..expected].chunks_exact(Hash::BYTES).map(Hash::try_from).collect();
        hashes.map_err(|_| wrong)
    }

    /// Contents as they are stored and served: the hashes, one after the other.
    pub fn encode(hashes: &[Hash]) -> Vec<u8> {
        hashes.iter().flat_map(|hash| hash.0).collect()
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/", self.level)?;
        fmt_index(f, self.index, self.width)
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hashes(tile) => tile.fmt(f),
            Self::Entries(bundle) => bundle.fmt(f),
        }
    }
}

impl FromStr for Tile {
    type Err = TilePathError;

    fn from_str(path: &str) -> Result<Self, TilePathError> {
        match path.parse()? {
            TilePath::Hashes(tile) => Ok(tile),
            TilePath::Entries(_) => Err(TilePathError::Shape { path: path.to_owned() }),
        }
    }
}

impl FromStr for TilePath {
    type Err = TilePathError;

    fn from_str(path: &str) -> Result<Self, TilePathError> {
        if path.len() > MAX_PATH_BYTES {
            return Err(TilePathError::TooLong { bytes: path.len() });
        }
        let owned = || path.to_owned();
        let (level, rest) = path
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(|| TilePathError::Shape { path: owned() })?;
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, Tile::FULL_WIDTH),
            Some((index, width)) => (index, parse_width(width).ok_or_else(|| TilePathError::Width { path: owned() })?),
        };
        let index = parse_index(index).ok_or_else(|| TilePathError::Index { path: owned() })?;
        if level == ENTRIES {
            return Ok(Self::Entries(Bundle::from_parts(index, width)));
        }
        let level = parse_level(level).ok_or_else(|| TilePathError::Level { path: owned() })?;
        Ok(Self::Hashes(Tile { level, index, width }))
    }
}

fn parse_level(text: &str) -> Option<u8> {
    let level = u8::try_from(decimal::parse(text)?).ok()?;
    (level <= Tile::MAX_LEVEL).then_some(level)
}

fn parse_width(text: &str) -> Option<u16> {
    let width = u16::try_from(decimal::parse(text)?).ok()?;
    (1..Tile::FULL_WIDTH).contains(&width).then_some(width)
}

/// Reads `x001/x234/067`. A leading group of zeros would be a second path for one tile and is refused.
fn parse_index(text: &str) -> Option<u64> {
    if text.starts_with("x000") {
        return None;
    }
    let (upper, last) = match text.rsplit_once('/') {
        Some((upper, last)) => (Some(upper), last),
        None => (None, text),
    };
    let groups = upper.into_iter().flat_map(|upper| upper.split('/')).map(|group| group.strip_prefix('x'));
    groups.chain([Some(last)]).try_fold(0u64, |index, group| {
        let group = group.filter(|g| g.len() == 3 && g.bytes().all(|b| b.is_ascii_digit()))?;
        index.checked_mul(1000)?.checked_add(group.parse().ok()?)
    })
}

/// Writes `x001/x234/067`, then `.p/<width>` for a partial tile or bundle.
pub(crate) fn fmt_index(f: &mut fmt::Formatter<'_>, index: u64, width: u16) -> fmt::Result {
    let mut rest = index / 1000;
    let mut groups = Vec::with_capacity(6);
    while rest > 0 {
        groups.push(rest % 1000);
        rest /= 1000;
    }
    groups.iter().rev().try_for_each(|group| write!(f, "x{group:03}/"))?;
    write!(f, "{:03}", index % 1000)?;
    if width < Tile::FULL_WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
}

/// Hashes that all tiles of `level` hold in a tree of `size` leaves: ⌊size / 256^level⌋.
pub(crate) fn hashes_at(level: u8, size: u64) -> Option<u64> {
    size.checked_shr(u32::from(level) * u32::from(Tile::HEIGHT))
}

/// Width of tile `index` where its level holds `hashes` in all, `None` when it holds none of them.
pub(crate) fn width_in(index: u64, hashes: u64) -> Option<u16> {
    let before = index.checked_mul(u64::from(Tile::FULL_WIDTH))?;
    let here = hashes.checked_sub(before)?.min(u64::from(Tile::FULL_WIDTH));
    u16::try_from(here).ok().filter(|width| *width > 0)
}

/// All tiles of a tree of `size` leaves: level by level upward, each from the left, the partial one last.
pub fn tiles_of(size: u64) -> impl Iterator<Item = Tile> {
    tiles_changed(0, size)
}

/// The tiles that a tree of `to` leaves has and one of `from` leaves had not, or had narrower: what must be written
/// to go from one to the other. Level by level upward, each from the left. Empty when `to` is not above `from`.
pub fn tiles_changed(from: u64, to: u64) -> impl Iterator<Item = Tile> {
    let levels = (0..=Tile::MAX_LEVEL).map_while(move |level| {
        let hashes = hashes_at(level, to).filter(|hashes| *hashes > 0)?;
        Some((level, hashes_at(level, from).unwrap_or(0), hashes))
    });
    levels.flat_map(|(level, before, after)| {
        changed_indices(before, after)
            .filter_map(move |index| Some(Tile { level, index, width: width_in(index, after)? }))
    })
}

/// Indices of the tiles of one level that grow when it goes from `before` to `after` hashes.
pub(crate) fn changed_indices(before: u64, after: u64) -> impl Iterator<Item = u64> {
    let width = u64::from(Tile::FULL_WIDTH);
    let end = if before < after { after.div_ceil(width) } else { 0 };
    before / width..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<TilePath, TilePathError> {
        text.parse()
    }

    #[test]
    fn paths_of_the_spec() {
        let tile = Tile::new(0, 1_234_067, 256).unwrap();
        assert_eq!(tile.to_string(), "tile/0/x001/x234/067");
        assert_eq!(Tile::new(3, 0, 17).unwrap().to_string(), "tile/3/000.p/17");
        assert_eq!(path("tile/0/x001/x234/067"), Ok(TilePath::Hashes(tile)));
        assert_eq!(path("tile/entries/000.p/1"), Ok(TilePath::Entries(Bundle::new(0, 1).unwrap())));
        let last = Tile::new(63, u64::MAX, 255).unwrap();
        assert_eq!(path(&last.to_string()), Ok(TilePath::Hashes(last)));
        let last = Bundle::new(u64::MAX, 255).unwrap();
        assert_eq!(last.to_string().len(), MAX_PATH_BYTES);
        assert_eq!(path(&last.to_string()), Ok(TilePath::Entries(last)));
    }

    #[test]
    fn refuses_every_other_spelling() {
        for bad in [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "tile/00/000",
            "tile/+1/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/0/x000",
            "tile/0/x000/000",
            "tile/0/x001/x000",
            "tile/0/001/000",
            "tile/0/000/",
            "tile/0//000",
            "/tile/0/000",
            "tile/0/000.p",
            "tile/0/000.p/",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/+1",
            "tile/0/000.p/1/",
            "tile/0/000.p/1.p/1",
            "tile/data/000",
            "tile/entries/",
            "tile/Entries/000",
            "tile/8/0/000",
            "tile/0/../000",
            "tile/0/x0١/000",
            "tile/0/+00",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
        ] {
            assert!(path(bad).is_err(), "{bad:?}");
        }
        assert_eq!(path(&"x".repeat(53)), Err(TilePathError::TooLong { bytes: 53 }));
    }

    #[test]
    fn the_specs_example_of_70000() {
        let tiles: Vec<_> = tiles_of(70_000).collect();
        assert_eq!(tiles.iter().filter(|t| t.level() == 0 && t.is_full()).count(), 273);
        assert_eq!(tiles.len(), 273 + 1 + 1 + 1 + 1);
        assert!(tiles.contains(&Tile::new(0, 273, 112).unwrap()));
        assert!(tiles.contains(&Tile::new(1, 0, 256).unwrap()));
        assert!(tiles.contains(&Tile::new(1, 1, 17).unwrap()));
        assert!(tiles.contains(&Tile::new(2, 0, 1).unwrap()));
        let of_256: Vec<_> = tiles_of(256).collect();
        assert_eq!(of_256, [Tile::new(0, 0, 256).unwrap(), Tile::new(1, 0, 1).unwrap()]);
    }

    #[test]
    fn tiles_at_the_ends_of_the_range() {
        assert_eq!(tiles_of(0).count(), 0);
        assert_eq!(
            tiles_changed(u64::MAX - 1, u64::MAX).collect::<Vec<_>>(),
            [Tile::new(0, u64::MAX / 256, 255).unwrap(),]
        );
        assert_eq!(tiles_changed(5, 5).count() + tiles_changed(6, 5).count(), 0);
        assert_eq!(Tile::in_tree(7, 0, u64::MAX).map(|t| t.width()), Some(255));
        assert_eq!(Tile::in_tree(8, 0, u64::MAX), None);
        assert_eq!(Tile::in_tree(63, u64::MAX, u64::MAX), None);
        assert!(!Tile::new(0, 0, 6).unwrap().is_within(5));
        assert!(Tile::new(0, 0, 5).unwrap().is_within(5));
    }

    #[test]
    fn contents_of_the_wrong_length_are_refused() {
        let tile = Tile::new(0, 0, 2).unwrap();
        let bytes = Tile::encode(&[Hash([1; 32]), Hash([2; 32]), Hash([3; 32])]);
        assert_eq!(tile.decode(&bytes[..64]).unwrap(), [Hash([1; 32]), Hash([2; 32])]);
        assert_eq!(tile.decode(&bytes).unwrap(), [Hash([1; 32]), Hash([2; 32])]);
        for wrong in [0, 32, 63, 65, 95] {
            assert_eq!(tile.decode(&bytes[..wrong]), Err(TileError::Length { tile, bytes: wrong, expected: 64 }));
        }
        assert!(tile.decode(&[0; 257 * 32]).is_err());
        assert_eq!(Tile::new(64, 0, 1), Err(TileError::Level { level: 64 }));
        assert_eq!(Tile::new(0, 0, 257), Err(TileError::Width { width: 257 }));
    }
}
