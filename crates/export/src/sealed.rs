//! Files of an export: as they are, or encrypted to whom it is for (age, C2SP age.md) so that nothing of it is ever on disk
//! in clear.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::stream::StreamWriter;
use age::x25519::Identity;
use age::{Decryptor, Encryptor};
use host::{Appender, Host};

use crate::error::ExportError;
use crate::folder::{Digesting, open};

/// What an encrypted file's name ends in.
pub const AGE: &str = ".age";

/// Whom an export is encrypted to: `age1…`, as `age-keygen` prints it.
#[derive(Clone, Debug)]
pub struct Recipient(age::x25519::Recipient);

impl FromStr for Recipient {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let recipient = text.parse().map_err(|why| format!("{text:?} is no recipient ({why}); give age1…"))?;
        Ok(Recipient(recipient))
    }
}

/// How the files of one export are written.
pub(crate) struct Seal {
    recipients: Vec<Recipient>,
    /// Of this process alone: what was written is read back with it, and then nobody has it.
    reader: Option<Identity>,
}

impl Seal {
    pub(crate) fn new(recipients: &[Recipient]) -> Seal {
        let reader = (!recipients.is_empty()).then(Identity::generate);
        Seal { recipients: recipients.to_vec(), reader }
    }

    /// For files that nobody but this process shall ever read.
    pub(crate) fn scratch() -> Seal {
        Seal { recipients: Vec::new(), reader: Some(Identity::generate()) }
    }

    /// Whether files leave as they are here. Otherwise they are encrypted here alone.
    pub(crate) fn leaves_as_it_is(&self) -> bool {
        !self.recipients.is_empty()
    }

    /// Whether files are encrypted.
    pub(crate) fn is_closed(&self) -> bool {
        self.reader.is_some()
    }

    /// Where a file of the export is.
    pub(crate) fn path(&self, folder: &Path, name: &str) -> PathBuf {
        folder.join(if self.is_closed() { format!("{name}{AGE}") } else { name.to_owned() })
    }

    pub(crate) fn create(&self, host: &Host, folder: &Path, name: &str) -> Result<File, ExportError> {
        let path = self.path(folder, name);
        let file = host.create_new(&path, "export")?;
        let file = BufWriter::with_capacity(1 << 17, file.into_appender(0));
        let Some(reader) = &self.reader else { return Ok(File::Clear(file)) };
        let cannot = |cause: String| ExportError::Write { path: path.clone(), cause };
        let own = reader.to_public();
        let all = self.recipients.iter().map(|recipient| &recipient.0).chain([&own]);
        let encryptor = Encryptor::with_recipients(all.map(|recipient| recipient as &dyn age::Recipient));
        let encryptor = encryptor.map_err(|error| cannot(error.to_string()))?;
        let out = encryptor.wrap_output(file).map_err(|error| cannot(error.to_string()))?;
        Ok(File::Sealed(Box::new(out)))
    }

    /// Writes a small file whole, and makes it durable.
    pub(crate) fn put(&self, host: &Host, folder: &Path, name: &str, bytes: &[u8]) -> Result<(), ExportError> {
        let mut file = self.create(host, folder, name)?;
        let cannot = |error: io::Error| ExportError::Write { path: self.path(folder, name), cause: error.to_string() };
        file.write_all(bytes).map_err(cannot)?;
        file.finish(&self.path(folder, name))
    }

    /// The length and digest of what an encrypted file holds.
    pub(crate) fn digest(&self, folder: &Path, name: &str) -> io::Result<(u64, String)> {
        let mut out = Digesting::new(io::sink());
        io::copy(&mut self.open(folder, name)?, &mut out)?;
        Ok((out.bytes, out.digest()))
    }

    /// What a file holds, decrypted.
    pub(crate) fn open(&self, folder: &Path, name: &str) -> io::Result<Box<dyn Read>> {
        let file = BufReader::with_capacity(1 << 16, open(&self.path(folder, name))?);
        let Some(reader) = &self.reader else { return Ok(Box::new(file)) };
        let decryptor = Decryptor::new_buffered(file).map_err(io::Error::other)?;
        let clear = decryptor.decrypt(std::iter::once(reader as &dyn age::Identity));
        Ok(Box::new(clear.map_err(io::Error::other)?))
    }
}

/// A file that is being written.
pub(crate) enum File {
    Clear(BufWriter<Appender>),
    Sealed(Box<StreamWriter<BufWriter<Appender>>>),
}

impl File {
    /// Writes what is left, and makes the file durable.
    pub(crate) fn finish(self, path: &Path) -> Result<(), ExportError> {
        let cannot = |error: io::Error| ExportError::Write { path: path.to_owned(), cause: error.to_string() };
        let file = match self {
            File::Clear(file) => file,
            File::Sealed(out) => out.finish().map_err(cannot)?,
        };
        file.into_inner().map_err(|error| cannot(error.into_error()))?.finish()?;
        Ok(())
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            File::Clear(file) => file.write(bytes),
            File::Sealed(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            File::Clear(file) => file.flush(),
            // What is not a whole chunk is kept until the end.
            File::Sealed(_) => Ok(()),
        }
    }
}
