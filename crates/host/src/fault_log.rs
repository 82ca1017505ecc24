//! A log of the fault points that were passed.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::{Fault, Faults};

/// Records every point visited, so that a test can run once, list all steps, and then strike each of them. Give it to
/// a host in an `Arc`, and keep one.
#[derive(Default)]
pub struct FaultLog {
    visits: Mutex<BTreeMap<String, u64>>,
    inner: Option<Box<dyn Faults>>,
}

impl FaultLog {
    /// A log that lets every call through.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A log that asks `inner` what to do.
    #[must_use]
    pub fn over(inner: impl Faults + 'static) -> Self {
        Self { visits: Mutex::default(), inner: Some(Box::new(inner)) }
    }

    /// Each point visited so far and how often.
    #[must_use]
    pub fn points(&self) -> BTreeMap<String, u64> {
        self.visits.lock().clone()
    }

    /// How often `point` was visited.
    #[must_use]
    pub fn visits(&self, point: &str) -> u64 {
        self.visits.lock().get(point).copied().unwrap_or(0)
    }
}

impl Faults for FaultLog {
    fn at(&self, point: &str) -> Option<Fault> {
        *self.visits.lock().entry(point.to_owned()).or_insert(0) += 1;
        self.inner.as_ref()?.at(point)
    }
}
