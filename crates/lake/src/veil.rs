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
