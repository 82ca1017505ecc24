//! Bloom filters that were read, kept for the next look-up. A filter is some 160 KB for a row group, and a look-up of
//! one record would else read and decode one for each row group that may hold it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use parquet::bloom_filter::Sbbf;

use crate::reader::{FileReader, ReadError};

/// Bytes of filters that are kept: those of 50 million ids, or of one column of each other kind with fewer.
const BYTES_MAX: usize = if cfg!(test) { 256 } else { 64 << 20 };

/// What an entry takes beside its filter, about.
const ENTRY_BYTES: usize = 128;

/// File, row group, leaf. Data files never change, so a filter is the same in each version that has its file.
type Key = (String, usize, usize);

/// The filters used most lately, up to [`BYTES_MAX`].
#[derive(Default)]
pub(crate) struct Filters {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<Key, Entry>,
    bytes: usize,
    uses: u64,
}

struct Entry {
    filter: Option<Arc<Sbbf>>,
    last_use: u64,
}

impl Entry {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.filter.as_ref().map_or(0, |filter| 32 * filter.num_blocks())
    }
}

impl Filters {
    /// The Bloom filter of a column of `reader`'s file, if it has one.
    pub(crate) fn get(&self, reader: &FileReader, group: usize, leaf: usize) -> Result<Option<Arc<Sbbf>>, ReadError> {
        let key = (reader.name().to_owned(), group, leaf);
        if let Some(filter) = self.kept.lock().find(&key) {
            return Ok(filter);
        }
        // Read without the lock: whoever else wants it meanwhile reads it too, and one of the two stays.
        let filter = reader.filter(group, leaf)?.map(Arc::new);
        self.kept.lock().keep(key, filter.clone());
        Ok(filter)
    }
}

impl Kept {
    fn find(&mut self, key: &Key) -> Option<Option<Arc<Sbbf>>> {
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        entry.last_use = self.uses;
        Some(entry.filter.clone())
    }

    fn keep(&mut self, key: Key, filter: Option<Arc<Sbbf>>) {
        self.uses += 1;
        let entry = Entry { filter, last_use: self.uses };
        self.bytes += entry.bytes();
        self.bytes -= self.entries.insert(key, entry).map_or(0, |replaced| replaced.bytes());
        while self.bytes > BYTES_MAX {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.last_use).map(|(key, _)| key.clone());
            let Some(removed) = oldest.and_then(|key| self.entries.remove(&key)) else { return };
            self.bytes -= removed.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays_and_the_memory_is_bounded() {
        let mut kept = Kept::default();
        let key = |n: usize| ("file".to_owned(), n, 0);
        for n in 0..10 {
            let blocks = vec![0; 32];
            kept.keep(key(n), Some(Arc::new(Sbbf::new(&blocks))));
            assert!(kept.bytes <= BYTES_MAX, "{} bytes", kept.bytes);
            assert!(kept.find(&key(n)).is_some());
        }
        assert_eq!(kept.entries.values().map(Entry::bytes).sum::<usize>(), kept.bytes);
        assert!(kept.find(&key(0)).is_none());
        // The same again replaces, and is not counted twice.
        let before = kept.bytes;
        kept.keep(key(9), Some(Arc::new(Sbbf::new(&[0; 32]))));
        assert_eq!(kept.bytes, before);
        // One that is too large alone is not kept.
        kept.keep(key(11), Some(Arc::new(Sbbf::new(&[0; 1024]))));
        assert!(kept.bytes <= BYTES_MAX);
    }
}
