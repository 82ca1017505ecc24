//! The digests of all records at rest, and the tree's tiles.
//!
//! `entries/<first index, 20 digits>.digests` holds up to 65,536 digests of 32 bytes and nothing else: digest `i` of
//! the trail stands at byte `32 × (i mod 65536)` of its file. Only the last file is shorter. Level-0 tiles are derived
//! from them; full tiles above level 0 stand in `tile/<L>/<N>`, as C2SP tlog-tiles names them, and never change.

use std::cell::RefCell;
use std::path::PathBuf;

use host::{DurableFile, FileError, Host};
use record::Digest;
use tlog::{Hash, Tile, TileReader, leaf_hash};

use crate::folder::Folder;

/// Digests in a full file.
pub(crate) const FILE_ENTRIES: u64 = 65_536;
/// Bytes of a digest.
const ENTRY_BYTES: u64 = 32;

/// Why entries or tiles could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum EntriesError {
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is shorter than the log says.
    #[error("{} ends before entry {index}: entries were cut off", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// The first entry that is missing.
        index: u64,
    },
    /// A full tile is not the one that the entries make.
    #[error("{} is not the tile that the entries make: it was changed", path.display())]
    Tile {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the entries and tiles of a trail.
#[derive(Debug, Clone)]
pub struct Entries {
    host: Host,
    entries: PathBuf,
    tiles: PathBuf,
    /// The first half of the fault points of reading digests.
    step: &'static str,
}

/// The path of the file that holds entry `index`.
pub(crate) fn file_name(index: u64) -> String {
    format!("{:020}.digests", index - index % FILE_ENTRIES)
}

impl Entries {
    pub(crate) fn new(host: &Host, folder: &Folder) -> Self {
        Entries { host: host.clone(), entries: folder.entries(), tiles: folder.root().to_owned(), step: "entries" }
    }

    /// The same, read for the sake of an append. A failure is told to its sender and stops nobody, unlike one of
    /// sealing; so its fault points have a name of their own, `look-up.<operation>`.
    pub(crate) fn for_look_up(self) -> Self {
        Entries { step: "look-up", ..self }
    }

    /// How many whole entries there are on disk. More than the checkpoint's size where a seal was interrupted.
    pub fn len(&self) -> Result<u64, EntriesError> {
        let mut len = 0;
        for path in self.host.list(&self.entries, "entries")? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(first) = name.strip_suffix(".digests").and_then(|first| first.parse::<u64>().ok()) else {
                continue;
            };
            let bytes = self.host.open_read(&path, "entries")?.len()?;
            len = len.max(first.saturating_add(bytes / ENTRY_BYTES));
        }
        Ok(len)
    }

    /// The file that holds entry `index`.
    pub fn path(&self, index: u64) -> PathBuf {
        self.entries.join(file_name(index))
    }

    /// The digests `first..end`.
    pub fn read(&self, first: u64, end: u64) -> Result<Vec<Digest>, EntriesError> {
        // Memory is taken for what is there, not for what a checkpoint or a manifest claims.
        let mut digests = Vec::with_capacity(end.saturating_sub(first).min(FILE_ENTRIES) as usize);
        let mut index = first;
        while index < end {
            let until = end.min((index - index % FILE_ENTRIES).saturating_add(FILE_ENTRIES));
            let path = self.path(index);
            let mut bytes = vec![0; ((until - index) * ENTRY_BYTES) as usize];
            let read = match self.host.open_read(&path, self.step) {
                Ok(file) => file.read_at(index % FILE_ENTRIES * ENTRY_BYTES, &mut bytes)?,
                Err(error) if error.is_not_found() => 0,
                Err(error) => return Err(error.into()),
            };
            if read < bytes.len() {
                return Err(EntriesError::Short { path, index: index + read as u64 / ENTRY_BYTES });
            }
            digests.extend(bytes.as_chunks::<32>().0.iter().map(|digest| Digest(*digest)));
            index = until;
        }
        Ok(digests)
    }

    /// The bytes of a full tile above level 0, if it stands on disk.
    pub(crate) fn full_tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, EntriesError> {
        Ok(self.host.read_if_there(self.tile_path(tile), "tile")?)
    }

    pub(crate) fn tile_path(&self, tile: Tile) -> PathBuf {
        self.tiles.join(tile.to_string())
    }

    fn hashes(&self, tile: Tile) -> Result<Vec<Hash>, EntriesError> {
        let first = tile.index() * u64::from(Tile::FULL_WIDTH);
        let end = first + u64::from(tile.width());
        if tile.level() == 0 {
            return Ok(self.read(first, end)?.iter().map(|digest| leaf_hash(&digest.0)).collect());
        }
        if tile.is_full()
            && let Some(bytes) = self.full_tile(tile)?
        {
            let path = self.tile_path(tile);
            return tile.decode(&bytes).map_err(|_| EntriesError::Tile { path });
        }
        (first..end).map(|below| self.subtree(tile.level() - 1, below)).collect()
    }

    /// The root of the full tile `index` of a level.
    fn subtree(&self, level: u8, index: u64) -> Result<Hash, EntriesError> {
        let path = self.path(index);
        let tile = Tile::new(level, index, Tile::FULL_WIDTH).map_err(|_| EntriesError::Tile { path })?;
        let mut frontier = tlog::Frontier::new();
        self.hashes(tile)?.into_iter().for_each(|hash| frontier.push(hash));
        Ok(frontier.root())
    }
}

impl TileReader for Entries {
    type Error = EntriesError;

    fn tile(&self, tile: Tile) -> Result<Vec<u8>, EntriesError> {
        Ok(Tile::encode(&self.hashes(tile)?))
    }
}

/// Entries one by one, for whoever comes to them nearly in order: some stretches of them are kept in memory.
pub(crate) struct Digests {
    entries: Entries,
    /// Entries from here on are not asked for: a forged checkpoint may claim any size.
    size: u64,
    /// Stretches of [`FILE_ENTRIES`], by their number; the one that was read last comes last.
    held: RefCell<Vec<(u64, Vec<Digest>)>>,
}

/// Stretches of 2 MiB that are kept. Rows of a file are sorted by time, which is nearly the order of their indices.
const STRETCHES_MAX: usize = 8;

impl Digests {
    pub(crate) fn new(entries: Entries, size: u64) -> Self {
        Digests { entries, size, held: RefCell::default() }
    }

    pub(crate) fn read(&self, index: u64) -> Result<Digest, EntriesError> {
        let (stretch, offset) = (index / FILE_ENTRIES, (index % FILE_ENTRIES) as usize);
        let mut held = self.held.borrow_mut();
        if let Some(place) = held.iter().position(|(number, _)| *number == stretch) {
            // The one that was asked for longest ago is the first to go.
            held[place..].rotate_left(1);
        } else {
            let first = stretch * FILE_ENTRIES;
            let digests = match self.entries.read(first, first.saturating_add(FILE_ENTRIES).min(self.size)) {
                // What there is of it is kept, so that a file that was cut is not read once for every entry.
                Err(EntriesError::Short { index, .. }) => self.entries.read(first, index.max(first))?,
                read => read?,
            };
            if held.len() == STRETCHES_MAX {
                held.remove(0);
            }
            held.push((stretch, digests));
        }
        let digests = held.last().map_or(&[][..], |(_, digests)| digests);
        let end = stretch * FILE_ENTRIES + digests.len() as u64;
        digests.get(offset).copied().ok_or_else(|| EntriesError::Short { path: self.entries.path(index), index: end })
    }

    /// The digest of a record, if there is an entry of it.
    pub(crate) fn get(&self, index: u64) -> Option<Digest> {
        self.read(index).ok()
    }
}

/// Writes entries. Nothing is durable before [`EntriesWriter::sync`]; until then the journal can make them again.
#[derive(Debug)]
pub(crate) struct EntriesWriter {
    host: Host,
    entries: Entries,
    /// Files written to since the last sync, by the index they begin with.
    unsynced: Vec<(u64, DurableFile)>,
    folder_unsynced: bool,
}

impl EntriesWriter {
    pub(crate) fn new(host: &Host, folder: &Folder) -> Self {
        let entries = Entries::new(host, folder);
        EntriesWriter { host: host.clone(), entries, unsynced: Vec::new(), folder_unsynced: false }
    }

    /// Writes the digests of records `first..`, over whatever an interrupted seal left there.
    pub(crate) fn write(&mut self, first: u64, digests: &[Digest]) -> Result<(), EntriesError> {
        let mut index = first;
        let mut rest = digests;
        while !rest.is_empty() {
            let room = (FILE_ENTRIES - index % FILE_ENTRIES) as usize;
            let (now, later) = rest.split_at(room.min(rest.len()));
            let bytes: Vec<u8> = now.iter().flat_map(|digest| digest.0).collect();
            self.file(index)?.write_at(index % FILE_ENTRIES * ENTRY_BYTES, &bytes)?;
            index += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    fn file(&mut self, index: u64) -> Result<&DurableFile, EntriesError> {
        let begins = index - index % FILE_ENTRIES;
        let position = match self.unsynced.iter().position(|(first, _)| *first == begins) {
            Some(position) => position,
            None => {
                let path = self.entries.path(index);
                let file = match self.host.open_rw(&path, "entries") {
                    Err(error) if error.is_not_found() => {
                        self.folder_unsynced = true;
                        self.host.create_new(&path, "entries")?
                    }
                    opened => opened?,
                };
                self.unsynced.push((begins, file));
                self.unsynced.len() - 1
            }
        };
        Ok(&self.unsynced[position].1)
    }

    /// Cuts off whatever stands behind entry `end`: the trace of records that were never durable.
    pub(crate) fn cut(&mut self, end: u64) -> Result<(), EntriesError> {
        let len = self.entries.len()?;
        if len <= end {
            return Ok(());
        }
        for path in self.host.list(&self.entries.entries, "entries")? {
            let ours = path.extension().is_some_and(|extension| extension == "digests");
            if ours && path.file_name() > Some(file_name(end).as_ref()) {
                self.host.remove(&path, "entries")?;
                self.folder_unsynced = true;
            }
        }
        self.file(end)?.set_len(end % FILE_ENTRIES * ENTRY_BYTES)?;
        Ok(())
    }

    /// Makes everything written so far durable. A failure is final: the kernel may have dropped what it could not
    /// write, so only the journal still knows these entries.
    pub(crate) fn sync(&mut self) -> Result<(), EntriesError> {
        for (_, file) in &self.unsynced {
            file.sync_all()?;
        }
        self.unsynced.clear();
        if self.folder_unsynced {
            self.host.sync_dir(&self.entries.entries, "entries")?;
            self.folder_unsynced = false;
        }
        Ok(())
    }

    /// Puts a full tile above level 0 in place; one that is there must be the same.
    pub(crate) fn put_tile(&self, tile: Tile, bytes: &[u8]) -> Result<(), EntriesError> {
        let path = self.entries.tile_path(tile);
        if let Some(parent) = path.parent() {
            self.host.create_dir_all(parent, "tile")?;
        }
        match self.host.put_new(&path, bytes, "tile") {
            Err(FileError::AlreadyExists { .. }) => {
                let there = self.host.read_if_there(&path, "tile")?;
                if there.as_deref() == Some(bytes) { Ok(()) } else { Err(EntriesError::Tile { path }) }
            }
            put => Ok(put?),
        }
    }
}
