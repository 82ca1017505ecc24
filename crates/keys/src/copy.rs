//! Keys of a trail in another folder: a backup of them, or what a restored trail is read with.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use host::{FileError, Host};

use crate::keyring::{KeyError, KeyringError};
use crate::rotate::{alone, expect};
use crate::store::Store;
use crate::trail_file::TrailFile;
use crate::unwrapped::Unwrapped;
use crate::{KeyId, Keyring, Source};

/// Fault points are `key-copy.<operation>`.
const STEP: &str = "key-copy";

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedKeys {
    /// Keys of files, those that were there already among them.
    pub keys: usize,
    /// Keys that were there and are not in the original any more: they are destroyed here too.
    pub destroyed: usize,
    /// Where the master key is.
    pub master: String,
    /// Whether the master key is one of the files that were copied.
    pub master_is_here: bool,
}

/// Keys in a folder of keys: `name` is what their files are called by.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The folder of keys.
    pub folder: &'a Path,
    /// The name.
    pub name: &'a str,
}

/// What a copy of keys is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Copying<'a> {
    /// The files that must be readable with the copy. Nothing is changed before the original is known to have a key for each,
    /// and no key of theirs at the copy is destroyed.
    pub needed: Option<&'a BTreeSet<String>>,
    /// The log of the trail that goes on with them, if it is another one.
    pub log: Option<&'a str>,
    /// Whether keys at the copy are left there that the original has not.
    pub keep: bool,
}

impl Copying<'_> {
    fn needs(&self, file: &str) -> bool {
        self.needed.is_some_and(|needed| needed.contains(file))
    }
}

impl Keyring {
    /// Makes the keys at `to` those at `from`: what was destroyed there is destroyed, and whatever of it was copied before is
    /// not written again. A key that opens nothing replaces none that may. The master key comes along where it is a file in
    /// the folder. No rotation runs meanwhile. Durable when it returns.
    ///
    /// # Errors
    /// [`KeyringError`]. [`KeyringError::NoKeyOf`], [`KeyringError::Key`] and [`KeyringError::OtherMaster`]: nothing was
    /// changed. May be tried again, and the keys at `to` are not whole until it succeeds.
    pub fn copy(host: &Host, from: Place<'_>, to: Place<'_>, copying: Copying<'_>) -> Result<CopiedKeys, KeyringError> {
        let (_lock, mut file) = match alone(host, from.folder, from.name) {
            Ok((lock, file)) => (Some(lock), file),
            // No rotation runs where nobody can write.
            Err(KeyringError::File(error)) if is_read_only(&error) => (None, expect(host, from.folder, from.name)?),
            Err(error) => return Err(error),
        };
        let (source, copy) = (Store::at(host, from.folder, from.name), Store::at(host, to.folder, to.name));
        let usable = usable(host, from, &file, &source, &copying)?;
        let master = master_to_copy(host, &file, from.folder, to.folder)?;
        host.create_dir_all(to.folder, STEP)?;
        copy.make()?;
        copy.sweep_temporaries()?;
        for (of, id, bytes) in &usable.keys {
            if copy.get(of, id)?.as_ref() != Some(bytes) {
                host.replace(copy.path(of, id), bytes, STEP, Some(0o600))?;
            }
        }
        let goes = |key: &(String, KeyId)| !copying.keep && !copying.needs(&key.0) && !usable.stays.contains(key);
        let mut gone: BTreeSet<(String, KeyId)> = copy.list()?.into_iter().filter(goes).collect();
        let destroyed = if gone.is_empty() { 0 } else { copy.destroy(&mut gone)? };
        if let Some(master) = master.as_ref().filter(|master| !master.is_there) {
            host.put_new_with_mode(&master.to, &master.bytes, STEP, 0o600)?;
        }
        let source_text = file.master.source.clone();
        if let Some(log) = copying.log {
            file.log = (log != file.origin).then(|| log.to_owned());
        }
        // Last: from here on there are keys at that place.
        file.put(host, to.folder, to.name)?;
        Ok(CopiedKeys { keys: usable.keys.len(), destroyed, master: source_text, master_is_here: master.is_some() })
    }

    /// Whether keys could be copied: no other master key is in the way.
    ///
    /// # Errors
    /// [`KeyringError`]; nothing is changed.
    pub fn check_copy(host: &Host, from: Place<'_>, to: Place<'_>) -> Result<(), KeyringError> {
        master_to_copy(host, &expect(host, from.folder, from.name)?, from.folder, to.folder).map(drop)
    }

    /// Sees to it that there is a key at `to` for each of these files: one that is at `from` alone is added, and none that is
    /// there is touched. The keys at `to` may be wrapped by others than those at `from`.
    ///
    /// # Errors
    /// [`KeyringError`], [`KeyringError::NoKeyOf`] among them; keys that were added stay.
    pub fn complete(
        host: &Host,
        from: Option<Place<'_>>,
        to: Place<'_>,
        needed: &BTreeSet<String>,
    ) -> Result<(), KeyringError> {
        let (_lock, file) = alone(host, to.folder, to.name)?;
        let (store, unwrapped) = (Store::at(host, to.folder, to.name), Unwrapped::of(host, to, file)?);
        let mut there = BTreeSet::new();
        for key in store.list()?.into_iter().filter(|(of, _)| needed.contains(of)) {
            match unwrapped.secret_in(&store, &key.0, &key.1) {
                Err(KeyError::File(error)) => return Err(error.into()),
                Ok(Some(_)) => drop(there.insert(key)),
                Ok(None) | Err(_) => {}
            }
        }
        if let Some(from) = from {
            let source = Store::at(host, from.folder, from.name);
            let theirs = Unwrapped::of(host, from, expect(host, from.folder, from.name)?)?;
            for key in source.list()?.into_iter().filter(|key| needed.contains(&key.0)) {
                if there.contains(&key) {
                    continue;
                }
                let Some(secret) = theirs.secret_in(&source, &key.0, &key.1)? else { continue };
                store.replace(&key.0, &key.1, &unwrapped.wrap(host, &key.0, &key.1, &secret))?;
                there.insert(key);
            }
        }
        match needed.iter().find(|file| !there.iter().any(|(of, _)| of == *file)) {
            Some(file) => Err(KeyringError::NoKeyOf { file: file.clone(), store: store.folder().to_owned() }),
            None => Ok(()),
        }
    }

    /// Removes the keys at a place, for a copy that was never finished.
    ///
    /// # Errors
    /// [`KeyringError`]; may be tried again.
    pub fn discard(host: &Host, place: Place<'_>) -> Result<(), KeyringError> {
        let store = Store::at(host, place.folder, place.name);
        let mut keys: BTreeSet<_> = store.list()?.into_iter().collect();
        if !keys.is_empty() {
            store.destroy(&mut keys)?;
        }
        match host.remove(TrailFile::path(place.folder, place.name), STEP) {
            // It did not come that far, perhaps not even to the folder.
            Err(error) if error.is_not_found() => Ok(()),
            removed => Ok(removed.and_then(|()| host.sync_dir(place.folder, STEP))?),
        }
    }
}

fn is_read_only(error: &FileError) -> bool {
    matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied)
}

/// What the original of a copy holds.
struct Usable {
    /// Keys that open, and the bytes of their files.
    keys: Vec<(String, KeyId, Vec<u8>)>,
    /// All that are not destroyed: what is damaged here may be whole at the copy.
    stays: BTreeSet<(String, KeyId)>,
}

/// The keys of the original that open, of all files that need one.
fn usable(
    host: &Host,
    from: Place<'_>,
    file: &TrailFile,
    source: &Store,
    copying: &Copying<'_>,
) -> Result<Usable, KeyringError> {
    let unwrapped = Unwrapped::of(host, from, file.clone())?;
    let mut usable = Usable { keys: Vec::new(), stays: BTreeSet::new() };
    for (of, id) in source.list()? {
        let Some(bytes) = source.get(&of, &id)? else { continue };
        usable.stays.insert((of.clone(), id));
        match unwrapped.secret_of(source, &of, &id, &bytes) {
            Ok(_) => usable.keys.push((of, id, bytes)),
            Err(error) if copying.needs(&of) => return Err(error.into()),
            // Of a file that is gone.
            Err(_) => {}
        }
    }
    let missing = |file: &&String| !usable.keys.iter().any(|(of, ..)| of == *file);
    match copying.needed.into_iter().flatten().find(missing) {
        Some(file) => Err(KeyringError::NoKeyOf { file: file.clone(), store: source.folder().to_owned() }),
        None => Ok(usable),
    }
}

/// A master key that is a file in the folder of keys itself.
struct MasterFile {
    to: PathBuf,
    bytes: zeroize::Zeroizing<Vec<u8>>,
    is_there: bool,
}

/// The master key that comes along with a copy, if one does.
fn master_to_copy(host: &Host, file: &TrailFile, from: &Path, to: &Path) -> Result<Option<MasterFile>, KeyringError> {
    let Ok(Source::File(path) | Source::Passphrase(path)) = file.master.source.parse() else { return Ok(None) };
    if path.components().count() != 1 || path.is_absolute() {
        return Ok(None);
    }
    let Some(bytes) = host.read_if_there(from.join(&path), STEP)? else { return Ok(None) };
    let (to, bytes) = (to.join(&path), zeroize::Zeroizing::new(bytes));
    match host.read_if_there(&to, STEP)?.map(zeroize::Zeroizing::new) {
        // Another trail's, or of before a rotation: what it opens would be lost with it.
        Some(there) if *there != *bytes => Err(KeyringError::OtherMaster(to)),
        there => Ok(Some(MasterFile { to, bytes, is_there: there.is_some() })),
    }
}
