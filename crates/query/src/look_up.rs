//! The direct way to records by id, subject, case or trace: no plan, no columns but the one, then whole records. Under a
//! row filter it ends where the record is: what the filter lets through is found, and nothing says that there is more.
//! Under masks there is no direct way: records as stored show all.

use std::collections::BTreeSet;

use lake::Lookup;
use trail::Found;
use uuid::Uuid;

use crate::columns::Columns;
use crate::error::QueryError;
use crate::view::View;

/// Records that a row filter is asked about at a time.
const ASKED_AT_ONCE: usize = 1_000;

impl View {
    /// The records with one of `values` in that column that this reader may see, in the order of their indices:
    /// [`trail::Snapshot::look_up`].
    pub fn look_up(&self, column: Lookup, values: &[&str]) -> Result<Vec<Found>, QueryError> {
        self.shows_whole_records()?;
        let found = self.snapshot.look_up(column, values).map_err(|error| QueryError::Read(error.to_string()))?;
        if self.policy.rows.is_none() {
            return Ok(found);
        }
        let indices: Vec<u64> = found.iter().map(|found| found.index).collect();
        let seen = self.seen(&indices)?;
        Ok(found.into_iter().filter(|found| seen.contains(&found.index)).collect())
    }

    /// The record of an id, if this reader may see it.
    pub fn find(&self, id: &Uuid) -> Result<Option<Found>, QueryError> {
        self.shows_whole_records()?;
        self.found(id)
    }

    /// Where the record of an id is, if this reader may see it. Ids are never masked, so masks do not stand in the way.
    pub fn index_of(&self, id: &Uuid) -> Result<Option<u64>, QueryError> {
        Ok(self.found(id)?.map(|found| found.index))
    }

    /// Whether this reader may see the record with that index, and there is one.
    pub fn sees(&self, index: u64) -> Result<bool, QueryError> {
        if self.policy.rows.is_none() {
            return Ok(index < self.snapshot.end());
        }
        Ok(!self.seen(&[index])?.is_empty())
    }

    fn found(&self, id: &Uuid) -> Result<Option<Found>, QueryError> {
        let found = self.snapshot.find(id).map_err(|error| QueryError::Read(error.to_string()))?;
        if self.policy.rows.is_none() {
            return Ok(found);
        }
        // Of an id that nothing has, the filter is asked about some other record: the time that an answer takes does
        // not say whether there is one that is hidden.
        let end = u128::from(self.snapshot.end().max(1));
        let elsewhere = u64::try_from(id.as_u128() % end).unwrap_or_default();
        let seen = self.sees(found.as_ref().map_or(elsewhere, |found| found.index))?;
        Ok(found.filter(|_| seen))
    }

    /// Those of the records with these indices that the row filter lets through.
    fn seen(&self, indices: &[u64]) -> Result<BTreeSet<u64>, QueryError> {
        let mut seen = BTreeSet::new();
        for some in indices.chunks(ASKED_AT_ONCE) {
            let list: Vec<String> = some.iter().map(u64::to_string).collect();
            let sql = format!("SELECT \"index\" FROM events WHERE \"index\" IN ({})", list.join(", "));
            for batch in self.every_row(&sql, None)? {
                let batch = batch?;
                let column = Columns(&batch).integers(0)?;
                seen.extend((0..batch.num_rows()).map(|row| column.count(row)));
            }
        }
        Ok(seen)
    }

    fn shows_whole_records(&self) -> Result<(), QueryError> {
        if self.policy.masks.is_empty() {
            return Ok(());
        }
        Err(QueryError::Policy("whole records would show what it masks; search instead".to_owned()))
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
