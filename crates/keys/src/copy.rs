//! Keys of a trail in another folder: a backup of them, or what a restored trail is read with.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use host::{FileError, Host};

use crate::keyring::KeyringError;
use crate::rotate::{alone, expect};
use crate::store::Store;
use crate::trail_file::TrailFile;
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

impl Keyring {
    /// Makes the keys at `to` those at `from`: what was destroyed there is destroyed, and whatever of it was copied before is
    /// not written again. `log` names the trail that goes on with them, if it is another one. The master key comes along
    /// where it is a file in the folder. No rotation runs meanwhile. Durable when it returns.
    ///
    /// # Errors
    /// [`KeyringError`]; may be tried again, and the keys at `to` are not whole until it succeeds.
    pub fn copy(host: &Host, from: Place<'_>, to: Place<'_>, log: Option<&str>) -> Result<CopiedKeys, KeyringError> {
        let (_lock, mut file) = match alone(host, from.folder, from.name) {
            Ok((lock, file)) => (Some(lock), file),
            // No rotation runs where nobody can write.
            Err(KeyringError::File(error)) if is_read_only(&error) => (None, expect(host, from.folder, from.name)?),
            Err(error) => return Err(error),
        };
        host.create_dir_all(to.folder, STEP)?;
        let (source, copy) = (Store::at(host, from.folder, from.name), Store::at(host, to.folder, to.name));
        copy.make()?;
        copy.sweep_temporaries()?;
        let mut there: BTreeSet<(String, KeyId)> = copy.list()?.into_iter().collect();
        let mut keys = 0;
        for (of, id) in source.list()? {
            let Some(bytes) = source.get(&of, &id)? else { continue };
            if copy.get(&of, &id)?.as_ref() != Some(&bytes) {
                host.replace(copy.path(&of, &id), &bytes, STEP, Some(0o600))?;
            }
            there.remove(&(of, id));
            keys += 1;
        }
        let destroyed = if there.is_empty() { 0 } else { copy.destroy(&there)? };
        let master_is_here = copy_master(host, &file, from.folder, to.folder)?;
        let master = file.master.source.clone();
        if let Some(log) = log {
            file.log = (log != file.origin).then(|| log.to_owned());
        }
        // Last: from here on there are keys at that place.
        file.put(host, to.folder, to.name)?;
        Ok(CopiedKeys { keys, destroyed, master, master_is_here })
    }

    /// Removes the keys at a place, for a copy that was never finished.
    ///
    /// # Errors
    /// [`KeyringError`]; may be tried again.
    pub fn discard(host: &Host, place: Place<'_>) -> Result<(), KeyringError> {
        let store = Store::at(host, place.folder, place.name);
        let keys: BTreeSet<_> = store.list()?.into_iter().collect();
        if !keys.is_empty() {
            store.destroy(&keys)?;
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

/// Copies the master key, if it is a file in the folder of keys itself; says whether it is.
fn copy_master(host: &Host, file: &TrailFile, from: &Path, to: &Path) -> Result<bool, KeyringError> {
    let Ok(Source::File(path) | Source::Passphrase(path)) = file.master.source.parse() else { return Ok(false) };
    if path.components().count() != 1 || path.is_absolute() {
        return Ok(false);
    }
    let Some(bytes) = host.read_if_there(from.join(&path), STEP)? else { return Ok(false) };
    let bytes = zeroize::Zeroizing::new(bytes);
    let there = host.read_if_there(to.join(&path), STEP)?.map(zeroize::Zeroizing::new);
    match there {
        Some(there) if *there == *bytes => {}
        // Another trail's, or of before a rotation: what it opens would be lost with it.
        Some(_) => return Err(KeyringError::Exists(to.join(&path))),
        None => host.put_new_with_mode(to.join(&path), &bytes, STEP, 0o600)?,
    }
    Ok(true)
}
