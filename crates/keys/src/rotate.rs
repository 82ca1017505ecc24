//! Other keys for a trail: another master key around them, or another key of its own. No file of the trail is written anew.

use std::path::Path;

use host::{DurableFile, FileError, Host};

use crate::encoded::Hex;
use crate::keyring::KeyringError;
use crate::master::{Recipe, make_if_default};
use crate::store::Store;
use crate::trail_file::TrailFile;
use crate::unwrapped::{Unwrapped, unwrap};
use crate::{Keyring, Secret, Source};

/// What [`Keyring::rotate_master`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrapped {
    /// The keys are wrapped by another master key: the old one opens nothing that is written from here on.
    Anew,
    /// It is the same master key, at another place. The copy at the old one opens the keys as before.
    Moved,
}

impl Keyring {
    /// Wraps the trail's keys by another master key. No key of a file changes: it is one replacement of one file.
    ///
    /// # Errors
    /// [`KeyringError`]; the old or the new master key opens what is there then.
    pub fn rotate_master(host: &Host, folder: &Path, name: &str, source: &Source) -> Result<Rewrapped, KeyringError> {
        let (_lock, mut file) = alone(host, folder, name)?;
        let (_, keys) = unwrap(host, folder, name, &file)?;
        make_if_default(host, folder, source)?;
        // Whatever stands there, if it opens what is wrapped it is the key that is in use.
        let there = file.master.cipher(host, folder, Some(source)).ok();
        if there.is_some_and(|master| file.open(&master).is_some()) {
            let source_text = source.to_string();
            if file.master.source == source_text {
                return Err(KeyringError::SameMaster { source_text, path: TrailFile::path(folder, name) });
            }
            file.master.source = source_text;
            file.put(host, folder, name)?;
            return Ok(Rewrapped::Moved);
        }
        file.master = Recipe::new(host, source);
        let master = file.master.cipher(host, folder, None)?;
        file.keys.clear();
        for (id, secret) in keys.iter().rev() {
            file.add(host, &master, *id, secret);
        }
        file.put(host, folder, name)?;
        Ok(Rewrapped::Anew)
    }

    /// Gives the trail another key, and wraps every key of a file by it; says how many. Files stay as they are. What was
    /// interrupted is finished by the next call. For the trail's one writer alone.
    ///
    /// # Errors
    /// [`KeyringError`]; everything can be read as before then.
    pub fn rotate_trail_key(host: &Host, folder: &Path, name: &str) -> Result<usize, KeyringError> {
        let (_lock, mut file) = alone(host, folder, name)?;
        let (master, keys) = unwrap(host, folder, name, &file)?;
        if keys.len() == 1 {
            file.add(host, &master, Hex(host.random()), &Secret::random(host));
            file.put(host, folder, name)?;
        }
        let unwrapped = Unwrapped::read(host, folder, name, file.log())?;
        let store = Store::at(host, folder, name);
        let mut count = 0;
        for (of, id) in store.list()? {
            let Some(secret) = unwrapped.secret_in(&store, &of, &id)? else { continue };
            store.replace(&of, &id, &unwrapped.wrap(host, &of, &id, &secret))?;
            count += 1;
        }
        file.keys.truncate(1);
        file.put(host, folder, name)?;
        Ok(count)
    }
}

/// The trail's keys for one rotation, and a lock until it is over: each reads them and puts them back, and of two at a time
/// one would be lost with what it wraps.
pub(crate) fn alone(host: &Host, folder: &Path, name: &str) -> Result<(DurableFile, TrailFile), KeyringError> {
    expect(host, folder, name)?;
    let path = folder.join(format!("{name}.trail.lock"));
    match host.create_new(&path, "trail-key") {
        Ok(_) | Err(FileError::AlreadyExists { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let file = host.open_rw(&path, "trail-key")?;
    file.try_lock_exclusive()?;
    Ok((file, expect(host, folder, name)?))
}

pub(crate) fn expect(host: &Host, folder: &Path, name: &str) -> Result<TrailFile, KeyringError> {
    let missing = || KeyringError::Missing { origin: name.to_owned(), path: TrailFile::path(folder, name) };
    TrailFile::read(host, folder, name)?.ok_or_else(missing)
}
