//! Faults: what a test makes a system call do instead.

use std::io;
use std::sync::Arc;

/// Says what happens at a fault point. Asked once for every system call, from whichever thread makes it.
pub trait Faults: Send + Sync {
    /// The fault at this visit of `point` (`<step>.<operation>`), or `None` to let the call go through.
    fn at(&self, point: &str) -> Option<Fault>;
}

impl<F: Faults + ?Sized> Faults for Arc<F> {
    fn at(&self, point: &str) -> Option<Fault> {
        (**self).at(point)
    }
}

/// What goes wrong. The number is an `errno`, such as 28 for `ENOSPC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call is not made, and fails.
    FailBefore(i32),
    /// The call is made and its effect stays, and yet it fails: an fsync that failed but persisted, a rename whose
    /// answer was lost.
    FailAfter(i32),
    /// Half of the bytes are written, then the call fails. At a call that writes no bytes: as [`Fault::FailBefore`].
    ShortWrite(i32),
    /// The process gets SIGKILL before the call.
    KillBefore,
    /// The process gets SIGKILL after the call.
    KillAfter,
}

impl Fault {
    /// Does `act` under this fault.
    pub(crate) fn around<R>(self, act: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        match self {
            Fault::FailBefore(errno) | Fault::ShortWrite(errno) => Err(io::Error::from_raw_os_error(errno)),
            Fault::FailAfter(errno) => {
                act()?;
                Err(io::Error::from_raw_os_error(errno))
            }
            Fault::KillBefore => kill_this_process(),
            Fault::KillAfter => {
                // What the call answered no longer matters: nobody is left to hear it.
                drop(act());
                kill_this_process()
            }
        }
    }
}

/// SIGKILL, because nothing may run after it: no destructor, no flush, no exit handler.
fn kill_this_process() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}
