//! What a query found out that its rows do not show.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use record::FieldRef;

use crate::face::{Shape, name_of};

/// Notes kept at most; a query names few fields.
const NOTES_MAX: usize = 64;

/// What a person should know beside the rows.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<BTreeSet<String>>);

impl Notes {
    pub(crate) fn add(&self, note: String) {
        let mut notes = self.0.lock();
        if notes.len() < NOTES_MAX {
            notes.insert(note);
        }
    }

    /// Some value of a field was of another shape than the one that was asked for.
    pub(crate) fn passed_over(&self, field: &FieldRef, shape: Shape) {
        self.add(format!(
            "some values of {field} are not {}, and count as missing here; \"{}\" shows each as it is",
            shape.noun(),
            name_of(field, Some(Shape::Json))
        ));
    }

    pub(crate) fn list(&self) -> Vec<String> {
        self.0.lock().iter().cloned().collect()
    }
}
