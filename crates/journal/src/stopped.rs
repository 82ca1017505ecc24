//! A journal that has stopped for ever.

use std::sync::Arc;

use host::FileError;

/// The journal takes nothing more until it is opened anew. What was staged and not delivered as committed is not
/// acknowledged; it may or may not be found at the next opening.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the journal has stopped and takes no more records; clear the cause and start again: {cause}")]
pub struct Stopped {
    /// What stopped it.
    pub cause: Arc<StopCause>,
}

/// Why a journal stops.
#[derive(Debug, thiserror::Error)]
pub enum StopCause {
    /// The disk refused a write, an allocation or an fsync. Never tried again: after a failed fsync the kernel's memory
    /// may say that bytes are on disk which are not.
    #[error(transparent)]
    File(FileError),
    /// The callback that delivers groups panicked on the committer thread.
    #[error("the callback that delivers committed groups panicked")]
    DeliverPanicked,
    /// A closure given to [`crate::Batch::push_with`] shortened the buffer and so took other callers' frames with it.
    #[error("a closure that writes a frame removed bytes it had not written")]
    BufferShortened,
}

impl From<StopCause> for Stopped {
    fn from(cause: StopCause) -> Self {
        Stopped { cause: Arc::new(cause) }
    }
}

impl From<FileError> for Stopped {
    fn from(error: FileError) -> Self {
        StopCause::File(error).into()
    }
}
