//! What look-ups learned of columns, kept for the next one: Bloom filters, which say whether a row group may hold a value,
//! and prints, which say in which of its rows.
//!
//! A filter is some 160 KB for a row group, and a look-up of one record would else read and decode one for each row group
//! that may hold it. A print is 32 bits of a hash of a row's value: who looks for a subject would else decode a whole
//! column of each row group in which the subject comes up.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use parking_lot::Mutex;
use parquet::bloom_filter::Sbbf;

use crate::reader::{FileReader, ReadError};

/// Bytes that are kept: filters and prints of one column over 25 million records, or of more columns over fewer.
const BYTES_MAX: usize = if cfg!(test) { 256 } else { 128 << 20 };

/// What an entry takes beside what it is for, about.
const ENTRY_BYTES: usize = 128;

/// File, row group, leaf, and what of it. Data files never change, so it is the same in each version that has the file.
type Key = (String, usize, usize, What);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Filter,
    Prints,
}

/// The filters and prints used most lately, up to [`BYTES_MAX`].
#[derive(Default)]
pub(crate) struct Filters {
    kept: Mutex<Kept>,
    /// Nobody who sends values knows which of them have the same print.
    hasher: RandomState,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<Key, Entry>,
    bytes: usize,
    uses: u64,
}

struct Entry {
    learned: Learned,
    last_use: u64,
}

#[derive(Clone)]
enum Learned {
    Filter(Option<Arc<Sbbf>>),
    Prints(Arc<[u32]>),
}

impl Entry {
    fn bytes(&self) -> usize {
        let bytes = match &self.learned {
            Learned::Filter(filter) => filter.as_ref().map_or(0, |filter| 32 * filter.num_blocks()),
            Learned::Prints(prints) => size_of_val(&**prints),
        };
        ENTRY_BYTES + bytes
    }
}

/// The print of a row without a value. No value has it.
const NONE: u32 = 0;

impl Filters {
    /// The Bloom filter of a column of `reader`'s file, if it has one.
    pub(crate) fn get(&self, reader: &FileReader, group: usize, leaf: usize) -> Result<Option<Arc<Sbbf>>, ReadError> {
        let key = (reader.name().to_owned(), group, leaf, What::Filter);
        if let Some(Learned::Filter(filter)) = self.kept.lock().find(&key) {
            return Ok(filter);
        }
        // Read without the lock: whoever else wants it meanwhile reads it too, and one of the two stays.
        let filter = reader.filter(group, leaf)?.map(Arc::new);
        self.kept.lock().keep(key, Learned::Filter(filter.clone()));
        Ok(filter)
    }

    /// Rows of a group, counted from its first, that may hold one of `wanted` in a text column: all that do, and one of
    /// four billion others.
    pub(crate) fn rows(
        &self,
        reader: &FileReader,
        (group, leaf): (usize, usize),
        wanted: &[&str],
    ) -> Result<Vec<usize>, ReadError> {
        let prints = self.prints(reader, group, leaf)?;
        let wanted: Vec<u32> = wanted.iter().map(|value| self.print(value)).collect();
        let hits = |is_wanted: &dyn Fn(u32) -> bool| {
            prints.iter().enumerate().filter(|(_, print)| is_wanted(**print)).map(|(row, _)| row).collect()
        };
        Ok(match *wanted {
            [one] => hits(&|print| print == one),
            _ => {
                let wanted: HashSet<u32> = wanted.into_iter().collect();
                hits(&|print| wanted.contains(&print))
            }
        })
    }

    fn print(&self, value: &str) -> u32 {
        (self.hasher.hash_one(value) as u32).max(NONE + 1)
    }

    fn prints(&self, reader: &FileReader, group: usize, leaf: usize) -> Result<Arc<[u32]>, ReadError> {
        let key = (reader.name().to_owned(), group, leaf, What::Prints);
        if let Some(Learned::Prints(prints)) = self.kept.lock().find(&key) {
            return Ok(prints);
        }
        let mut prints = Vec::new();
        for (_, batch) in reader.column(group, leaf, |_, _| true)? {
            match batch.column(0).as_string_opt::<i32>() {
                Some(values) => prints.extend(values.iter().map(|value| value.map_or(NONE, |value| self.print(value)))),
                None => prints.extend(std::iter::repeat_n(NONE, batch.num_rows())),
            }
        }
        let prints: Arc<[u32]> = prints.into();
        self.kept.lock().keep(key, Learned::Prints(Arc::clone(&prints)));
        Ok(prints)
    }
}

impl Kept {
    fn find(&mut self, key: &Key) -> Option<Learned> {
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        entry.last_use = self.uses;
        Some(entry.learned.clone())
    }

    fn keep(&mut self, key: Key, learned: Learned) {
        self.uses += 1;
        let entry = Entry { learned, last_use: self.uses };
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
        let key = |n: usize| ("file".to_owned(), n, 0, What::Filter);
        let filter = |blocks: usize| Learned::Filter(Some(Arc::new(Sbbf::new(&vec![0; blocks]))));
        for n in 0..10 {
            kept.keep(key(n), filter(32));
            assert!(kept.bytes <= BYTES_MAX, "{} bytes", kept.bytes);
            assert!(kept.find(&key(n)).is_some());
        }
        assert_eq!(kept.entries.values().map(Entry::bytes).sum::<usize>(), kept.bytes);
        assert!(kept.find(&key(0)).is_none());
        // The same again replaces, and is not counted twice.
        let before = kept.bytes;
        kept.keep(key(9), filter(32));
        assert_eq!(kept.bytes, before);
        // One that is too large alone is not kept.
        kept.keep(key(11), filter(1024));
        assert!(kept.bytes <= BYTES_MAX);
    }
}
