//! An export as one stream, for who is not on the machine of the trail: made in a temporary folder where nothing of it
//! stands in clear, handed over as a tar, and unpacked under a temporary name at the other end.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;

use host::Host;
use query::{Counts, View};
use serde::{Deserialize, Serialize};
use tar::{Archive, Builder, EntryType, Header};

use crate::error::{ExportError, UnpackError};
use crate::folder::{Temporary, is_export, is_free, parent};
use crate::manifest::{FILES_MAX, MANIFEST, Manifest, SUM};
use crate::sealed::{AGE, Seal};
use crate::write::{Exported, Order, Plan, read_back};

/// Bytes of an export that is unpacked, at most: 1 TiB.
const UNPACKED_BYTES_MAX: u64 = 1 << 40;

/// What an export comes to, for whoever cannot look into its manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// SHA-256 of its manifest, hexadecimal.
    pub manifest_sha256: String,
    /// Rows in all.
    pub rows: u64,
    /// Whether it proves that no record of its kind is left out.
    pub complete: bool,
    /// Records under its checkpoint.
    pub size: u64,
    /// Its files.
    pub files: usize,
    /// Their bytes, but for the manifest.
    pub bytes: u64,
    /// The parts of records that are shown.
    pub parts: Vec<String>,
    /// What its query came to.
    pub counts: Counts,
}

impl Exported {
    /// What it comes to.
    pub fn summary(&self) -> Summary {
        let Exported { manifest, digest } = self;
        Summary {
            manifest_sha256: digest.clone(),
            rows: manifest.rows,
            complete: manifest.complete,
            size: manifest.evidence.covers.until,
            files: manifest.files.len() + 2,
            bytes: manifest.files.iter().map(|file| file.bytes).sum(),
            parts: manifest.parts.clone(),
            counts: manifest.evidence.counts,
        }
    }
}

/// An export in a temporary folder, encrypted under a key of this process, or to its recipients and that key. It goes when
/// this is dropped.
pub struct Staged {
    folder: tempfile::TempDir,
    seal: Seal,
    exported: Exported,
}

/// Makes an export to be handed over. `progress` is called with records done and in all, and ends it with a break.
///
/// # Errors
/// [`ExportError::Unwanted`] after a break.
pub fn stage(
    host: &Host,
    view: &View,
    order: Order,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Staged, ExportError> {
    let plan = Plan::of(host, view, order)?;
    let folder = tempfile::Builder::new().prefix("onrecord-export-").tempdir();
    let folder = folder
        .map_err(|error| ExportError::Write { path: std::env::temp_dir(), cause: format!("{error}; set TMPDIR") })?;
    let seal = if plan.order.recipients.is_empty() { Seal::scratch() } else { Seal::new(&plan.order.recipients) };
    let exported = plan.fill(host, view, &seal, folder.path(), progress)?;
    Ok(Staged { folder, seal, exported })
}

impl Staged {
    /// What was made.
    pub fn exported(&self) -> &Exported {
        &self.exported
    }

    /// Writes all of it as one tar, the manifest first. `begins` is told of each file how many rows are in it, before its
    /// first byte is written.
    ///
    /// # Errors
    /// Of `out`; or a file is not what it was when it was made.
    pub fn pack(&self, out: &mut dyn Write, begins: &mut dyn FnMut(u64)) -> io::Result<()> {
        let mut tar = Builder::new(out);
        let files = self.exported.manifest.files.iter().map(|file| (file.name.as_str(), file.rows));
        for (name, rows) in [(MANIFEST, None), (SUM, None)].into_iter().chain(files) {
            begins(rows.unwrap_or(0));
            self.pack_file(&mut tar, name)?;
        }
        tar.finish()
    }

    fn pack_file(&self, tar: &mut Builder<&mut dyn Write>, name: &str) -> io::Result<()> {
        let folder = self.folder.path();
        let (name, length, from): (String, u64, Box<dyn Read>) = match self.seal.leaves_as_it_is() {
            true => {
                let file = crate::folder::open(&self.seal.path(folder, name))?;
                (format!("{name}{AGE}"), file.metadata()?.len(), Box::new(file))
            }
            false => (name.to_owned(), self.clear_length(name)?, self.seal.open(folder, name)?),
        };
        let mut header = Header::new_ustar();
        header.set_path(&name)?;
        header.set_size(length);
        header.set_mode(0o600);
        header.set_entry_type(EntryType::Regular);
        header.set_cksum();
        let mut from = Counted { inner: from.take(length), bytes: 0 };
        tar.append(&header, &mut from)?;
        if from.bytes != length {
            return Err(io::Error::other(format!("{name} has become shorter")));
        }
        Ok(())
    }

    fn clear_length(&self, name: &str) -> io::Result<u64> {
        match self.exported.manifest.files.iter().find(|file| file.name == name) {
            Some(file) => Ok(file.bytes),
            None => Ok(self.seal.digest(self.folder.path(), name)?.0),
        }
    }
}

/// A reader whose bytes are counted.
struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Whether an export can be unpacked to a folder: so that nobody makes one in vain.
///
/// # Errors
/// [`UnpackError::Taken`] if something is there.
pub fn can_be_written(target: &Path) -> Result<(), UnpackError> {
    if is_free(target) { Ok(()) } else { Err(UnpackError::Taken(target.to_owned())) }
}

/// What an export that comes has to be: as it was asked for, and as whoever made it told.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// SHA-256 of its manifest, hexadecimal.
    pub manifest_sha256: &'a str,
    /// Its files, as of [`Summary::files`].
    pub files: usize,
    /// Whether it was asked to be encrypted to recipients. Whoever made it does not get to choose.
    pub encrypted: bool,
}

/// Unpacks what [`Staged::pack`] wrote to the folder `target`, which must not be there or be empty. Nothing stands there
/// before all of it has come, and, if it is not encrypted, has been checked. No name leads anywhere else (T24).
pub fn unpack(host: &Host, tar: impl Read, target: &Path, expected: Expected<'_>) -> Result<(), UnpackError> {
    can_be_written(target)?;
    host.create_dir_all(parent(target), "export")?;
    let temporary = Temporary::beside(target)
        .map_err(|error| UnpackError::Write { path: target.to_owned(), cause: error.to_string() })?;
    let folder = temporary.path();
    let came = unpack_files(host, tar, &folder, expected.encrypted)?;
    if came != expected.files {
        return Err(UnpackError::Unsound(format!("{came} files came of {}", expected.files)));
    }
    // What is encrypted is for its recipients to check.
    let is_whole =
        if expected.encrypted { folder.join(format!("{MANIFEST}{AGE}")).is_file() } else { is_export(&folder) };
    if !is_whole {
        return Err(UnpackError::Unsound("there is no manifest in it".to_owned()));
    }
    if !expected.encrypted {
        read_back(host, &folder, expected.manifest_sha256).map_err(UnpackError::Unsound)?;
    }
    Ok(temporary.replace(host, target)?)
}

/// Unpacks to a folder, and says how many files there were.
fn unpack_files(host: &Host, tar: impl Read, folder: &Path, encrypted: bool) -> Result<usize, UnpackError> {
    let broken = |error: io::Error| UnpackError::Stream(error.to_string());
    let mut archive = Archive::new(tar);
    let (mut known, mut total) = (BTreeSet::new(), 0u64);
    // Raw: nothing that came before a file, such as a longer name for it, counts for anything.
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let is_file = Manifest::is_file(name.strip_suffix(AGE).unwrap_or(&name));
        if entry.header().entry_type() != EntryType::Regular || !is_file || known.len() > FILES_MAX {
            return Err(UnpackError::Foreign(name.chars().take(200).collect()));
        }
        match (name.ends_with(AGE), encrypted) {
            (false, true) => return Err(UnpackError::Clear(name)),
            (true, false) => return Err(UnpackError::Encrypted(name)),
            _ => {}
        }
        if !known.insert(name.clone()) {
            return Err(UnpackError::Twice(name));
        }
        total = total.saturating_add(entry.size());
        if total > UNPACKED_BYTES_MAX {
            return Err(UnpackError::TooLarge { max: UNPACKED_BYTES_MAX });
        }
        let path = folder.join(&name);
        let cannot = |error: io::Error| UnpackError::Write { path: path.clone(), cause: error.to_string() };
        let file = host.create_new(&path, "export")?;
        let mut out = BufWriter::with_capacity(1 << 17, file.into_appender(0));
        copy(&mut entry, &mut out, broken, cannot)?;
        out.into_inner().map_err(|error| cannot(error.into_error()))?.finish()?;
    }
    // Whatever stands behind the end, and that there is an end.
    io::copy(&mut archive.into_inner().take(1 << 20), &mut io::sink()).map_err(broken)?;
    Ok(known.len())
}

/// As [`io::copy`], with an error that tells which side it was.
fn copy(
    from: &mut impl Read,
    to: &mut impl Write,
    broken: impl Fn(io::Error) -> UnpackError,
    cannot: impl Fn(io::Error) -> UnpackError,
) -> Result<(), UnpackError> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(&buffer[..read]).map_err(&cannot)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(error)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make files as users do")]
mod tests {
    use super::*;

    /// A tar of files, each with its name as it is written, whatever it is.
    fn tar(files: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut out = Builder::new(Vec::new());
        for (name, kind, bytes) in files {
            let mut header = Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            out.append(&header, *bytes).unwrap();
        }
        out.into_inner().unwrap()
    }

    fn unpacked(tar: &[u8], target: &Path, files: usize, encrypted: bool) -> UnpackError {
        let expected = Expected { manifest_sha256: "", files, encrypted };
        unpack(&Host::system(), tar, target, expected).unwrap_err()
    }

    /// T24: nothing that comes from elsewhere is written but files of an export, and nothing is left of what is not one.
    #[test]
    fn nothing_is_unpacked_outside_of_the_folder_nor_left_in_it() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("out");
        let regular = EntryType::Regular;
        for (name, kind) in [
            ("../manifest.json", regular),
            ("/tmp/manifest.json", regular),
            ("a/manifest.json", regular),
            ("./manifest.json", regular),
            ("manifest.json/", regular),
            ("..", regular),
            ("", regular),
            ("manifest.json.age.age", regular),
            ("rows-1.csv", regular),
            ("rows-0001.csv.exe", regular),
            ("rows-../1.csv", regular),
            ("hashes", EntryType::Symlink),
            ("hashes", EntryType::Link),
            ("hashes", EntryType::Directory),
            ("hashes", EntryType::Fifo),
            ("hashes", EntryType::GNULongName),
            ("hashes", EntryType::XHeader),
            ("hashes", EntryType::GNUSparse),
        ] {
            let bytes = tar(&[("records.cbor", regular, b"x"), (name, kind, b"x")]);
            let error = unpacked(&bytes, &target, 2, false);
            assert!(matches!(error, UnpackError::Foreign(_)), "{name} {kind:?}: {error}");
            assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "{name}");
        }
        let twice = tar(&[("hashes", regular, b"x"), ("hashes", regular, b"y")]);
        assert!(matches!(unpacked(&twice, &target, 2, false), UnpackError::Twice(_)));
        for whole in [tar(&[("hashes", regular, b"x")]), tar(&[]), tar(&[("manifest.json", regular, b"{}")])] {
            for files in 0..3 {
                let error = unpacked(&whole, &target, files, false);
                assert!(matches!(error, UnpackError::Unsound(_)), "{error}");
            }
        }
        let cut = tar(&[("records.cbor", regular, &[7; 5_000])]);
        assert!(matches!(unpacked(&cut[..2_000], &target, 1, false), UnpackError::Stream(_)));
        assert!(matches!(unpacked(&[1; 2_000], &target, 1, false), UnpackError::Stream(_)));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        std::fs::create_dir(&target).unwrap();
        std::fs::write(target.join("mine"), "x").unwrap();
        assert!(matches!(unpacked(&twice, &target, 2, false), UnpackError::Taken(_)));
    }

    /// T24: whether what comes is encrypted is for who asked to say, and how much there is for the one who made it.
    #[test]
    fn nothing_is_unpacked_in_clear_that_was_to_be_encrypted_nor_the_other_way() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("out");
        let regular = EntryType::Regular;
        let sealed = tar(&[("manifest.json.age", regular, b"x"), ("hashes.age", regular, b"y")]);
        let part = tar(&[("manifest.json.age", regular, b"x"), ("hashes", regular, b"y")]);
        let clear = tar(&[("manifest.json", regular, b"{}")]);
        assert!(
            matches!(unpacked(&sealed, &target, 2, false), UnpackError::Encrypted(name) if name == "manifest.json.age")
        );
        assert!(matches!(unpacked(&part, &target, 2, true), UnpackError::Clear(name) if name == "hashes"));
        assert!(matches!(unpacked(&clear, &target, 1, true), UnpackError::Clear(name) if name == "manifest.json"));
        for files in [1, 3] {
            assert!(matches!(unpacked(&sealed, &target, files, true), UnpackError::Unsound(_)));
        }
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        let expected = Expected { manifest_sha256: "", files: 2, encrypted: true };
        unpack(&Host::system(), &*sealed, &target, expected).unwrap();
        assert_eq!(std::fs::read(target.join("hashes.age")).unwrap(), b"y");
    }
}
