//! The direct way to records by id, subject, case or trace: no plan, no columns but the one, then whole records. A policy
//! that hides anything has no direct way: records as stored show all.

use lake::Lookup;
use trail::Found;
use uuid::Uuid;

use crate::error::QueryError;
use crate::view::View;

impl View {
    /// The records with one of `values` in that column, in the order of their indices: [`trail::Snapshot::look_up`].
    pub fn look_up(&self, column: Lookup, values: &[&str]) -> Result<Vec<Found>, QueryError> {
        self.shows_all()?;
        self.snapshot.look_up(column, values).map_err(|error| QueryError::Read(error.to_string()))
    }

    /// The record of an id.
    pub fn find(&self, id: &Uuid) -> Result<Option<Found>, QueryError> {
        self.shows_all()?;
        self.snapshot.find(id).map_err(|error| QueryError::Read(error.to_string()))
    }

    fn shows_all(&self) -> Result<(), QueryError> {
        if self.policy.is_open() {
            return Ok(());
        }
        Err(QueryError::Policy("whole records would show what it hides; search instead".to_owned()))
    }

    /// Records of which something was erased: no predicate over what is gone finds them.
    pub fn erased(&self) -> Result<u64, QueryError> {
        let lake = self.snapshot.lake();
        let mut erased = self.snapshot.hot().filter(|hot| hot.stored.erased().next().is_some()).count() as u64;
        for file in lake.files() {
            let open = self.shared.files.get(lake, file)?;
            erased += open.values_in("content").unwrap_or(0) + open.values_in("erased").unwrap_or(0);
        }
        Ok(erased)
    }
}
