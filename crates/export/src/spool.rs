//! Records in the order of their indices. The lake has them by model and time; they are put by as they come, in a file
//! without a name, and taken in order. In memory stands where each is: 24 bytes a record.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use host::Host;
use keys::{Cipher, NonceBytes};
use record::{Disclosed, Kind, Part, Stored};

use crate::error::ExportError;

/// Records that are looked up one by one rather than by going through files.
const LOOKED_UP_MAX: usize = 64;

/// What is put by is encrypted under a key that goes with the spool.
pub(crate) struct Spool {
    file: File,
    cipher: Cipher,
    /// Index, offset and length as encrypted, by index.
    places: Vec<(u64, u64, u32)>,
}

/// Which records, and what is shown of each.
pub(crate) struct Wanted<'a> {
    /// Those that match, by index.
    pub matched: &'a [u64],
    /// All records below the size, those that do not match by their stamps alone.
    pub complete: bool,
    pub size: u64,
    /// The kind of those that match.
    pub kind: Option<Kind>,
    pub parts: &'a [Part],
}

impl Wanted<'_> {
    fn is_wanted(&self, index: u64) -> bool {
        if self.complete { index < self.size } else { self.matched.binary_search(&index).is_ok() }
    }

    fn shown(&self, index: u64, stored: &Stored) -> Disclosed {
        if self.kind.is_none_or(|kind| kind == stored.stamp.kind) {
            Disclosed::of(index, stored, &|part| self.parts.contains(&part))
        } else {
            Disclosed::stamp_of(index, stored)
        }
    }

    fn count(&self) -> u64 {
        if self.complete { self.size } else { self.matched.len() as u64 }
    }
}

impl Spool {
    /// Puts by every record that is wanted, in a file of the folder. `seen` is called for each, and may end it.
    pub(crate) fn fill(
        host: &Host,
        snapshot: &trail::Snapshot,
        wanted: &Wanted<'_>,
        folder: &Path,
        bytes_max: u64,
        seen: &mut dyn FnMut() -> Result<(), ExportError>,
    ) -> Result<Spool, ExportError> {
        let cannot = |error: std::io::Error| ExportError::Write { path: folder.to_owned(), cause: error.to_string() };
        let file = tempfile::tempfile_in(folder).map_err(cannot)?;
        let mut out = BufWriter::with_capacity(1 << 18, file);
        let cipher = Cipher::ephemeral(host);
        let mut places = Vec::new();
        let (mut at, mut item) = (0u64, Vec::new());
        let mut put = |index: u64, stored: &Stored| {
            if !wanted.is_wanted(index) {
                return Ok(());
            }
            item.clear();
            wanted.shown(index, stored).write(&mut item);
            let tag = cipher.seal_in_place(nonce(at), b"", &mut item);
            item.extend_from_slice(&tag);
            out.write_all(&item).map_err(cannot)?;
            places.push((index, at, item.len() as u32));
            at += item.len() as u64;
            seen()?;
            if at > bytes_max {
                return Err(ExportError::TooLarge { max: bytes_max });
            }
            Ok::<(), ExportError>(())
        };
        if !wanted.complete && wanted.matched.len() <= LOOKED_UP_MAX {
            for index in wanted.matched {
                let found = snapshot.get(*index)?.ok_or(ExportError::Changed { index: *index })?;
                put(*index, &found.stored)?;
            }
        } else {
            let lake = snapshot.lake();
            for file in lake.files().iter().filter(|file| file.first_index < wanted.size) {
                for placed in lake.rows(file)? {
                    let placed = placed?;
                    put(placed.index, &placed.stored)?;
                }
            }
            snapshot.hot().try_for_each(|hot| put(hot.index, &hot.stored))?;
        }
        let file = out.into_inner().map_err(|error| cannot(error.into_error()))?;
        places.sort_unstable();
        if places.len() as u64 != wanted.count() {
            return Err(ExportError::Changed { index: first_missing(&places, wanted) });
        }
        Ok(Spool { file, cipher, places })
    }

    /// The indices, in order.
    pub(crate) fn indices(&self) -> impl Iterator<Item = u64> {
        self.places.iter().map(|(index, _, _)| *index)
    }

    /// The bytes of every record, by index.
    pub(crate) fn items(&self) -> impl Iterator<Item = std::io::Result<(u64, Vec<u8>)>> {
        self.places.iter().map(|(index, at, len)| {
            let mut item = vec![0; *len as usize];
            self.file.read_exact_at(&mut item, *at)?;
            let opened = self.cipher.open_in_place(nonce(*at), b"", &mut item);
            let length = opened.map_err(std::io::Error::other)?.len();
            item.truncate(length);
            Ok((*index, item))
        })
    }
}

/// From where an item begins: no two begin at one place.
fn nonce(at: u64) -> NonceBytes {
    let mut nonce = NonceBytes::default();
    nonce[4..].copy_from_slice(&at.to_le_bytes());
    nonce
}

fn first_missing(places: &[(u64, u64, u32)], wanted: &Wanted<'_>) -> u64 {
    let mut there = places.iter().map(|(index, _, _)| *index);
    let is_missing = |index: &u64| there.next() != Some(*index);
    if wanted.complete {
        (0..wanted.size).find(is_missing).unwrap_or(wanted.size)
    } else {
        wanted.matched.iter().copied().find(is_missing).unwrap_or(wanted.size)
    }
}
