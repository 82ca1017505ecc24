//! The folder of an export: its files, opened and digested.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use host::{FileError, Host};
use sha2::{Digest as _, Sha256};
use tlog::Hash;

use crate::manifest::MANIFEST;

/// Whether a folder holds an export, to go by its names.
pub fn is_export(folder: &Path) -> bool {
    folder.join(MANIFEST).symlink_metadata().is_ok()
}

/// Whether nothing stands under a name, or an empty folder.
pub(crate) fn is_free(target: &Path) -> bool {
    let is_empty = || std::fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none());
    target.symlink_metadata().is_err() || is_empty()
}

/// Opens a file of an export; a link is none (T24).
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if !path.symlink_metadata()?.is_file() {
        return Err(io::Error::other("it is a link, or no file"));
    }
    File::open(path)
}

/// The whole of a small file.
pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it is longer than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// The length and digest of a file.
pub(crate) fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut file = BufReader::with_capacity(1 << 16, open(path)?);
    let mut out = Digesting::new(io::sink());
    io::copy(&mut file, &mut out)?;
    Ok((out.bytes, out.digest()))
}

/// SHA-256, hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Hash(Sha256::digest(bytes).into()).to_string()
}

/// The line of `manifest.json.sha256`, as sha256sum writes it.
pub(crate) fn sum_line(digest: &str) -> String {
    format!("{digest}  {MANIFEST}\n")
}

/// A folder that goes unless it is kept.
pub(crate) struct Temporary {
    folder: Option<tempfile::TempDir>,
}

impl Temporary {
    /// A folder beside `target`, so that it can be renamed to it.
    pub(crate) fn beside(target: &Path) -> io::Result<Self> {
        let parent = parent(target);
        let folder = tempfile::Builder::new().prefix(".onrecord-export-").tempdir_in(parent)?;
        Ok(Temporary { folder: Some(folder) })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.as_ref().map(|folder| folder.path().to_owned()).unwrap_or_default()
    }

    /// Makes it durable under the name of `target`.
    pub(crate) fn replace(mut self, host: &Host, target: &Path) -> Result<(), FileError> {
        let folder = self.path();
        host.sync_dir(&folder, "export")?;
        host.rename(&folder, target, "export")?;
        if let Some(folder) = self.folder.take() {
            let _ = folder.keep();
        }
        host.sync_dir(parent(target), "export")
    }
}

/// The folder that holds the entry of `path`.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A writer that digests what goes through.
pub struct Digesting<W> {
    pub(crate) inner: W,
    pub(crate) bytes: u64,
    hash: Sha256,
}

impl<W: Write> Digesting<W> {
    /// Nothing written yet.
    pub fn new(inner: W) -> Self {
        Digesting { inner, bytes: 0, hash: Sha256::new() }
    }

    /// What was written, as a format of that name.
    pub fn written(&self, format: &str) -> query::Written {
        query::Written { format: format.to_owned(), bytes: self.bytes, sha256: self.digest() }
    }

    pub(crate) fn digest(&self) -> String {
        Hash(self.hash.clone().finalize().into()).to_string()
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
