//! Encryption of data files: Parquet modular encryption (AES-GCM-V1) under one key a file, footer and all columns alike,
//! so that neither names of columns nor statistics show.
//!
//! The library writes Bloom filters in clear even then, and whoever has a filter can try values against it. So an encrypted
//! file has none of the library's: its filters stand before the footer, each encrypted under a key that follows from the
//! file's, and the footer says where. To an engine they are bytes that no column claims.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, RecordBatch};
use bytes::Bytes;
use host::Host;
use keys::{Cipher, DataKey, KeyError, KeyId, Keyring, bound_to};
use parquet::bloom_filter::Sbbf;
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::errors::{ParquetError, Result};

use crate::encoding::{BLOOM_COLUMNS, BLOOM_FALSE_POSITIVES, GROUP_ROWS};
use crate::manifest::{Manifest, NO_KEY};

/// Where a footer says that its filters are.
pub(crate) const FILTERS_ENTRY: &str = "onrecord.filters";

/// The key of filters follows from the file's by this name.
const FILTERS_LABEL: &str = "onrecord/filters/v1";

/// What a file is written under.
pub(crate) fn encryption(key: &DataKey) -> Result<Arc<FileEncryptionProperties>> {
    FileEncryptionProperties::builder(key.secret().bytes().to_vec())
        .with_footer_key_metadata(key_metadata(&key.id()).into_bytes())
        // Kept in the file as well, so that an engine needs no more than the key.
        .with_aad_prefix(key.bound().to_vec())
        .with_aad_prefix_storage(true)
        .build()
}

/// What other engines ask their key service by: the key material of Parquet's key tools, which names the key and does not
/// hold it.
fn key_metadata(id: &KeyId) -> String {
    serde_json::json!({
        "keyMaterialType": "PKMT1",
        "internalStorage": true,
        "isFooterKey": true,
        "kmsInstanceID": "onrecord",
        "kmsInstanceURL": "",
        "masterKeyID": "onrecord",
        "doubleWrapping": false,
        "wrappedDEK": id.to_string(),
    })
    .to_string()
}

/// The key of a data file; nothing if its manifest says that it is not encrypted.
pub(crate) fn key_of(file: &Manifest, keys: Option<&Keyring>) -> std::result::Result<Option<DataKey>, KeyError> {
    if file.key_id == NO_KEY {
        return Ok(None);
    }
    let no_keys = || KeyError::NoKeys { key_id: file.key_id.clone() };
    let (keys, id) = keys.zip(KeyId::read(&file.key_id)).ok_or_else(no_keys)?;
    keys.find(&file.path, &id).map(Some)
}

/// What a file is read with. It is bound to its own name: another file in its place is not taken.
pub(crate) fn decryption(key: &DataKey) -> Result<Arc<FileDecryptionProperties>> {
    let key_bytes = key.secret().bytes().to_vec();
    FileDecryptionProperties::builder(key_bytes).with_aad_prefix(key.bound().to_vec()).build()
}

/// The filters of a file that is being written.
pub(crate) struct FilterWriter {
    cipher: Cipher,
    bound: Vec<u8>,
    /// Name and slot of the columns that have filters.
    columns: Vec<(&'static str, usize)>,
    /// Of the row group that is being filled, a column each.
    filling: Vec<Sbbf>,
    /// Rows that are in filters, and those of them in full ones.
    rows: u64,
    closed: u64,
    /// Of the row groups before it: group, column, filter.
    full: Vec<(usize, &'static str, Sbbf)>,
    groups: usize,
}

impl FilterWriter {
    /// `slot` gives the place of a column among those of the batches, if the file has it.
    pub(crate) fn new(key: &DataKey, slot: impl Fn(&str) -> Option<usize>) -> Result<Self> {
        let columns: Vec<_> = BLOOM_COLUMNS.into_iter().filter_map(|name| Some((name, slot(name)?))).collect();
        let (cipher, bound) = (key.cipher_for(FILTERS_LABEL), key.bound().to_vec());
        let filling = empty(columns.len())?;
        Ok(Self { cipher, bound, columns, filling, rows: 0, closed: 0, full: Vec::new(), groups: 0 })
    }

    /// Takes in a batch that was written. `ends` are the numbers of the rows at which the file's full row groups end:
    /// the writer decides, by the bytes, where a group ends.
    pub(crate) fn take(&mut self, batch: &RecordBatch, ends: &[u64]) -> Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            let end = ends.get(self.groups).copied().unwrap_or(u64::MAX);
            let room = usize::try_from(end.saturating_sub(self.rows)).unwrap_or(usize::MAX);
            let until = batch.num_rows().min(from.saturating_add(room));
            for ((_, slot), filter) in self.columns.iter().zip(&mut self.filling) {
                let Some(values) = batch.column(*slot).as_string_opt::<i32>() else { continue };
                for row in (from..until).filter(|row| values.is_valid(*row)) {
                    filter.insert(values.value(row));
                }
            }
            self.rows += (until - from) as u64;
            from = until;
            if self.rows == end {
                self.close_group()?;
            }
        }
        // A group may end with the batch, which the writer knows only now.
        if ends.get(self.groups) == Some(&self.rows) {
            self.close_group()?;
        }
        Ok(())
    }

    fn close_group(&mut self) -> Result<()> {
        let filters = std::mem::replace(&mut self.filling, empty(self.columns.len())?);
        for ((name, _), mut filter) in self.columns.iter().zip(filters) {
            filter.fold_to_target_fpp(BLOOM_FALSE_POSITIVES);
            self.full.push((self.groups, name, filter));
        }
        self.groups += 1;
        self.closed = self.rows;
        Ok(())
    }

    /// Encrypts the filters, and gives them with what the footer says of them. `at` is where they will begin.
    pub(crate) fn finish(mut self, host: &Host, at: u64) -> Result<(Vec<u8>, String)> {
        if self.rows > self.closed {
            self.close_group()?;
        }
        let mut bytes = Vec::new();
        let mut places = Vec::with_capacity(self.full.len());
        for (group, column, filter) in &self.full {
            let mut bitset = Vec::new();
            filter.write_bitset(&mut bitset)?;
            let sealed = self.cipher.seal(host, &filter_bound(&self.bound, *group, column), &bitset);
            places.push((*group as u64, *column, at + bytes.len() as u64, sealed.len() as u64));
            bytes.extend(sealed);
        }
        let places = serde_json::to_string(&places).map_err(|error| ParquetError::External(Box::new(error)))?;
        Ok((bytes, places))
    }
}

fn empty(columns: usize) -> Result<Vec<Sbbf>> {
    (0..columns).map(|_| Sbbf::new_with_ndv_fpp(GROUP_ROWS as u64, BLOOM_FALSE_POSITIVES)).collect()
}

fn filter_bound(file: &[u8], group: usize, column: &str) -> Vec<u8> {
    bound_to("onrecord/filter/v1", &[file, &(group as u64).to_be_bytes(), column.as_bytes()])
}

/// Where the filters of an encrypted file are, and what opens them.
pub(crate) struct Filters {
    cipher: Cipher,
    bound: Vec<u8>,
    places: Vec<(u64, String, u64, u64)>,
}

impl Filters {
    /// As the file's footer says.
    pub(crate) fn read(key: &DataKey, entry: &str) -> std::result::Result<Self, String> {
        let places = serde_json::from_str(entry).map_err(|error| format!("{FILTERS_ENTRY} is malformed: {error}"))?;
        Ok(Filters { cipher: key.cipher_for(FILTERS_LABEL), bound: key.bound().to_vec(), places })
    }

    /// The filter of a column in a row group, `get` being asked for bytes of the file.
    pub(crate) fn get(
        &self,
        group: usize,
        column: &str,
        get: impl Fn(u64, usize) -> Result<Bytes>,
    ) -> Result<Option<Sbbf>> {
        let is_it = |place: &&(u64, String, u64, u64)| place.0 == group as u64 && place.1 == column;
        let Some((_, _, at, length)) = self.places.iter().find(is_it) else { return Ok(None) };
        let sealed = get(*at, usize::try_from(*length)?)?;
        let bitset = self.cipher.open(&filter_bound(&self.bound, group, column), &sealed);
        let bitset = bitset.map_err(|error| ParquetError::General(format!("its filter of {column:?}: {error}")))?;
        if bitset.is_empty() || bitset.len() % 32 != 0 {
            return Err(ParquetError::General(format!("its filter of {column:?} has {} bytes", bitset.len())));
        }
        Ok(Some(Sbbf::new(&bitset)))
    }
}

#[cfg(test)]
mod tests {
    use keys::Source;
    use proptest::prelude::*;
    use record::Stored;

    use super::*;
    use crate::arbitrary::{self, sample};
    use crate::plan::plan_settle;
    use crate::settle::Lake;
    use crate::snapshot::{Lookup, Snapshot};
    use crate::{Interrupt, plan_compaction};

    /// A lake that is encrypted, its keys beside it.
    fn lake(folder: &std::path::Path) -> (Lake, Keyring) {
        let host = Host::system();
        let keys =
            Keyring::create(&host, &folder.join("keys"), "t", "example.com/t", true, &Source::default()).unwrap();
        let lake = Lake::create(host, folder.join("lake")).unwrap();
        (lake.with_keys(Some(keys.clone())), keys)
    }

    fn settle(lake: &mut Lake, records: &[(u64, Stored)]) {
        let plan = plan_settle(lake.snapshot(), records).unwrap();
        let first = records[0].0;
        lake.settle(&plan, &|index| Some(records[(index - first) as usize].1.digest())).unwrap();
    }

    /// Every record is there, and no filter, statistic or page index hides one (T26).
    fn check(snapshot: &Snapshot, records: &[(u64, Stored)]) {
        for file in snapshot.files() {
            snapshot.check(file, &mut |index, _| Some(records[index as usize].1.digest())).unwrap();
        }
        for (index, stored) in records {
            assert_eq!(&snapshot.find(*index).unwrap().unwrap().placed.stored, stored);
            assert!(snapshot.find_id(stored.stamp.id).unwrap().is_some());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        /// I5, I7, over several row groups, and over a rewrite of several files.
        #[test]
        fn what_was_encrypted_is_read_and_found(records in arbitrary::run(0, 4..70)) {
            let folder = tempfile::tempdir().unwrap();
            let (mut lake, keys) = lake(folder.path());
            let (one, two) = records.split_at(records.len() / 2);
            settle(&mut lake, one);
            settle(&mut lake, two);
            check(lake.snapshot(), &records);
            let reader = Snapshot::open(Host::system(), folder.path().join("lake")).unwrap();
            check(&reader.with_keys(Some(keys)), &records);
        }
    }

    #[test]
    fn filters_are_of_their_row_group_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let (mut lake, _) = lake(folder.path());
        let records = sample(5, 0, 60);
        settle(&mut lake, &records);
        let snapshot = lake.snapshot();
        let file = &snapshot.files()[0];
        let reader = snapshot.reader(file).unwrap();
        assert!(reader.groups() > 2, "{}", reader.groups());
        let leaf = reader.leaf("id").unwrap();
        let groups = reader.metadata().metadata().row_groups();
        assert!(groups.iter().flat_map(|group| group.columns()).all(|column| column.bloom_filter_offset().is_none()));
        let id = |index: u64| records[index as usize].1.stamp.id.to_string();
        let holds = |group: usize, id: &str| reader.filter(group, leaf).unwrap().unwrap().check(id);
        let first = reader.rows(&[0]).unwrap()[0].index;
        let last = reader.rows(&[reader.row_count() - 1]).unwrap()[0].index;
        let end = reader.groups() - 1;
        assert!(holds(0, &id(first)) && holds(end, &id(last)));
        assert!(!holds(end, &id(first)) && !holds(0, &id(last)), "a filter of one group holds another's ids");
        // Another key's filters are none.
        let bytes = std::fs::read(snapshot.path(file)).unwrap();
        let strange = Filters::read(&snapshot.keys().unwrap().make(&file.path).unwrap(), r#"[[0,"id",4,60]]"#).unwrap();
        let get = |at: u64, length: usize| Ok(Bytes::copy_from_slice(&bytes[at as usize..at as usize + length]));
        assert!(strange.get(0, "id", get).is_err());
        assert!(snapshot.look_up(Lookup::Subject, &["nobody"]).unwrap().is_empty());
    }

    /// A file under the name of another one, its key too, is not taken for it.
    #[test]
    fn a_file_is_bound_to_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let (mut lake, keys) = lake(folder.path());
        settle(&mut lake, &sample(1, 0, 8));
        let file = lake.snapshot().files()[0].clone();
        let other = Manifest { path: file.path.replace("settle-0", "settle-1"), ..file.clone() };
        let host = Host::system();
        let store = folder.path().join("keys/t.keys");
        let in_lake = folder.path().join("lake");
        host.replace(in_lake.join(&other.path), &std::fs::read(in_lake.join(&file.path)).unwrap(), "test", None)
            .unwrap();
        let key = std::fs::read(store.join(format!("{}.{}", file.path, file.key_id))).unwrap();
        host.replace(store.join(format!("{}.{}", other.path, file.key_id)), &key, "test", None).unwrap();
        let error = crate::reader::FileReader::open(
            &host,
            lake.snapshot().folder(),
            &other,
            lake.snapshot().columns(),
            Some(&keys),
        );
        assert!(matches!(error, Err(crate::ReadError::Key { .. })));
    }

    /// T21: what replaced a file destroys its key once nobody reads it.
    #[test]
    fn a_file_that_is_cleaned_away_takes_its_key_along() {
        let folder = tempfile::tempdir().unwrap();
        let (mut lake, keys) = lake(folder.path());
        let records = sample(1, 0, 16);
        settle(&mut lake, &records[..8]);
        settle(&mut lake, &records[8..]);
        assert_eq!(keys.count().unwrap(), lake.snapshot().files().len());
        let files = lake.snapshot().files().to_vec();
        let rewrite = plan_compaction(lake.snapshot(), &files, &Interrupt::default()).unwrap();
        let done = rewrite.carry_out(&|_, _| None, &|index| Some(records[index as usize].1.digest())).unwrap();
        // It holds the version that it was planned on.
        drop(rewrite);
        lake.replace(done).unwrap();
        lake.clean(std::time::Duration::ZERO).unwrap();
        assert_eq!(keys.count().unwrap(), lake.snapshot().files().len());
        check(lake.snapshot(), &records);
    }
}
