//! The way from a thread that makes an answer to whoever reads it: piece by piece, a few ahead.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::reading::Said;

/// Bytes of a piece, about.
pub const PIECE_BYTES: usize = 64 << 10;
/// Pieces that are ready before who reads them.
pub const AHEAD: usize = 4;

/// Where pieces go.
pub struct Outlet {
    sender: mpsc::Sender<Said>,
    /// How long who reads may stand still.
    stall: Duration,
    runtime: tokio::runtime::Handle,
}

/// Whoever asked has gone away, or stands still.
pub struct Gone;

impl Outlet {
    /// One whose pieces are read at the other end of `sender`. To be made where the runtime is.
    pub fn new(sender: mpsc::Sender<Said>, stall: Duration) -> Outlet {
        Outlet { sender, stall, runtime: tokio::runtime::Handle::current() }
    }

    /// Whether whoever asked has gone away.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Hands a piece over, and waits while too many are ahead.
    pub fn send(&self, piece: Said) -> Result<(), Gone> {
        let sent = self.runtime.block_on(async { tokio::time::timeout(self.stall, self.sender.send(piece)).await });
        sent.map_err(|_| Gone)?.map_err(|_| Gone)
    }
}
