//! The object store under the Delta log: the local file system for reading, `host` for writing.
//!
//! `object_store`'s own local store never fsyncs. Here a log entry is fsynced before it gets its name, the name is
//! given only if it is free, and the folder is fsynced after, so that a commit which returned `Ok` survives a power
//! cut (I5). What the Delta library does not need for snapshots and commits is refused by name rather than done
//! without those promises.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use host::{FileError, Host};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

/// Fault points of log entries are `delta.<operation>`.
pub(crate) const STEP: &str = "delta";
const NAME: &str = "DurableStore";

/// Reads as `LocalFileSystem` does, writes through [`Host`].
pub(crate) struct DurableStore {
    host: Host,
    files: LocalFileSystem,
    /// The first write that failed, kept because the Delta library flattens errors to text, and whether an fsync
    /// failed decides if the writer may go on.
    failure: Mutex<Option<Arc<FileError>>>,
}

impl DurableStore {
    pub(crate) fn new(host: Host) -> Self {
        Self { host, files: LocalFileSystem::new(), failure: Mutex::new(None) }
    }

    /// The first failed write since this was last asked.
    pub(crate) fn take_failure(&self) -> Option<Arc<FileError>> {
        self.failure.lock().take()
    }

    fn write(&self, location: &Path, payload: PutPayload, mode: &PutMode) -> Result<()> {
        let path: PathBuf = self.files.path_to_filesystem(location)?;
        let bytes = bytes::Bytes::from(payload);
        let written = match mode {
            PutMode::Create => self.host.put_new(&path, &bytes, STEP),
            PutMode::Overwrite => self.host.replace(&path, &bytes, STEP, None),
            PutMode::Update(_) => return Err(refused("put with a version")),
        };
        written.map_err(|error| match error {
            FileError::AlreadyExists { .. } => {
                Error::AlreadyExists { path: location.to_string(), source: Box::new(error) }
            }
            error => {
                let error = Arc::new(error);
                self.failure.lock().get_or_insert_with(|| error.clone());
                Error::Generic { store: NAME, source: Box::new(error) }
            }
        })
    }
}

fn refused(what: &str) -> Error {
    Error::NotSupported { source: format!("{what} is not done without fsync; {NAME} writes whole objects").into() }
}

impl fmt::Debug for DurableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

impl fmt::Display for DurableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

#[async_trait]
impl ObjectStore for DurableStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.write(location, payload, &options.mode)?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(refused("multipart upload"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        locations.map(|_| Err(refused("delete"))).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(refused("copy"))
    }
}
