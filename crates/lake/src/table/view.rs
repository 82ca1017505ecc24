//! The table under another log than the one on disk: nothing newer than one version, and not the checkpoint of that
//! version. What is written goes to memory, over what is on disk.
//!
//! So a checkpoint is made, looked at and proven before any byte of it stands where another engine could read it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::listing::Named;

/// Reads the files and what was written over them.
#[derive(Debug)]
pub(super) struct View {
    files: LocalFileSystem,
    written: Arc<InMemory>,
    until: u64,
}

impl View {
    /// The log up to version `until`.
    pub(super) fn until(until: u64, written: Arc<InMemory>) -> Self {
        Self { files: LocalFileSystem::new(), written, until }
    }

    /// Whether the file on disk is seen.
    fn shows(&self, location: &Path) -> bool {
        match location.filename().and_then(Named::read) {
            Some(Named::Entry(version)) => version <= self.until,
            Some(Named::Checkpoint(version)) => version < self.until,
            Some(Named::LastCheckpoint) => false,
            None => true,
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View until {}", self.until)
    }
}

#[async_trait]
impl ObjectStore for View {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.written.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.written.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match self.written.get_opts(location, options.clone()).await {
            Err(Error::NotFound { .. }) if self.shows(location) => self.files.get_opts(location, options).await,
            got => got,
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        locations.map(|_| Err(Error::NotSupported { source: "a view deletes nothing".into() })).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.over(self.files.list(prefix), self.written.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.over(self.files.list_with_offset(prefix, offset), self.written.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(Error::NotSupported { source: "a view is listed whole".into() })
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotSupported { source: "a view copies nothing".into() })
    }
}

type Listed = BoxStream<'static, Result<ObjectMeta>>;

impl View {
    fn over(&self, files: Listed, written: Listed) -> Listed {
        let shown = Self::until(self.until, Arc::clone(&self.written));
        let files = files.filter(move |found| {
            let shows = found.as_ref().map_or(true, |found| shown.shows(&found.location));
            std::future::ready(shows)
        });
        files.chain(written).boxed()
    }
}
