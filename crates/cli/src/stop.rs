//! Being asked to end: Ctrl-C, or a service manager.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::Failure;

/// Whether someone has asked. The first time sets this and nothing else; the second ends the process as usual.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Takes the signals from here on.
    pub fn on_signals() -> Result<Stop, Failure> {
        let stop = Stop::default();
        let refused = |error| Failure::could_not(format!("cannot prepare for being interrupted: {error}"));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_default(signal, Arc::clone(&stop.0)).map_err(refused)?;
            flag::register(signal, Arc::clone(&stop.0)).map_err(refused)?;
        }
        Ok(stop)
    }

    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
