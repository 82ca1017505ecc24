//! Look-ups over lake and journal that stop early: the newest few of many, ids by how they begin.

use std::sync::Arc;

use lake::Lookup;
use record::{Envelope, Part, Stored, Value};
use uuid::Uuid;

use crate::hot::HotRecord;
use crate::snapshot::{Found, Snapshot, SnapshotError, found_hot};

/// The newest of the records that were looked for.
#[derive(Debug, Clone, Default)]
pub struct Latest {
    /// How many there are in all.
    pub total: u64,
    /// The newest of them, by when they happened and then by index, newest first.
    pub found: Vec<Found>,
}

impl Latest {
    /// How many there are that were not put together.
    pub fn more(&self) -> u64 {
        self.total.saturating_sub(self.found.len() as u64)
    }
}

impl Snapshot {
    /// Every record that has one of `values` in that column, by index.
    ///
    /// Records in which the column could not hold the value, as a `subject.id` that is a number, are not found so.
    pub fn look_up(&self, column: Lookup, values: &[&str]) -> Result<Vec<Found>, SnapshotError> {
        let settled = self.lake.look_up(column, values)?;
        let mut found: Vec<Found> = settled.into_iter().map(|(_, found)| self.settled_record(found)).collect();
        found.sort_by_key(|found| found.index);
        let has_one = |hot: &&Arc<HotRecord>| values.iter().any(|value| has(&hot.stored, column, value));
        found.extend(self.hot.iter().filter(has_one).map(found_hot));
        Ok(found)
    }

    /// The records that have each of these values in its column: how many, and the `max` newest.
    pub fn latest(&self, wanted: &[(Lookup, &str)], max: usize) -> Result<Latest, SnapshotError> {
        let lake::Latest { mut total, found } = self.lake.latest(wanted, max)?;
        let mut found: Vec<Found> = found.into_iter().map(|found| self.settled_record(found)).collect();
        for hot in self.hot.iter().filter(|hot| has_all(&hot.stored, wanted)) {
            total += 1;
            found.push(found_hot(hot));
        }
        found.sort_by_cached_key(|found| std::cmp::Reverse((found.when(), found.index)));
        found.truncate(max);
        Ok(Latest { total, found })
    }

    /// Ids that begin so, as they are written, and their indices: `max` of them at most.
    pub fn ids_beginning(&self, prefix: &str, max: usize) -> Result<Vec<(Uuid, u64)>, SnapshotError> {
        let mut found = self.lake.ids_beginning(prefix, max)?;
        let hot = self.hot.iter().map(|hot| (hot.stored.stamp.id, hot.index));
        found.extend(hot.filter(|(id, _)| id.to_string().starts_with(prefix)).take(max - found.len()));
        found.sort_by_key(|(_, index)| *index);
        Ok(found)
    }

    /// The records that came just before and just after `found` in its producer's sequence, as (number, index). Looked
    /// for among the [`lake::INDICES_AROUND`] records on either side and in the journal: further away there may be one
    /// too.
    pub fn in_sequence(&self, found: &Found) -> Result<Vec<(i64, u64)>, SnapshotError> {
        let Some((producer, seq)) = found.envelope().and_then(|e| e.producer).and_then(|p| Some((p, p.seq?))) else {
            return Ok(Vec::new());
        };
        let wanted: Vec<i64> = [seq.checked_sub(1), seq.checked_add(1)].into_iter().flatten().collect();
        let mut around = self.lake.in_sequence(found.index, (producer.name, producer.instance), &wanted)?;
        let same = |hot: &&Arc<HotRecord>| {
            let theirs = envelope(&hot.stored).and_then(|envelope| envelope.producer);
            let theirs = theirs.filter(|p| (p.name, p.instance) == (producer.name, producer.instance));
            theirs.and_then(|p| p.seq).filter(|seq| wanted.contains(seq)).map(|seq| (seq, hot.index))
        };
        around.extend(self.hot.iter().filter_map(|hot| same(&hot)));
        Ok(around)
    }
}

fn envelope(stored: &Stored) -> Option<Envelope<'_>> {
    Envelope::read(stored.parts()?.get(Part::Envelope)?).ok()
}

/// Whether a record has each of these values where the lake would have it in a column.
fn has_all(stored: &Stored, wanted: &[(Lookup, &str)]) -> bool {
    !wanted.is_empty() && wanted.iter().all(|(column, value)| has(stored, *column, value))
}

fn has(stored: &Stored, column: Lookup, wanted: &str) -> bool {
    let envelope = || envelope(stored);
    match column {
        Lookup::Id => stored.stamp.id.to_string() == wanted,
        Lookup::Kind => stored.stamp.kind.name() == wanted,
        Lookup::About => envelope().and_then(|e| e.about).is_some_and(|about| about.to_string() == wanted),
        Lookup::Model => envelope().and_then(|e| e.model).is_some_and(|model| model.name == wanted),
        Lookup::Version => envelope().and_then(|e| e.model).is_some_and(|model| model.version == wanted),
        Lookup::Trace => envelope().and_then(|e| e.trace).is_some_and(|trace| trace.trace_id.to_string() == wanted),
        Lookup::Subject => subject_has(stored, "id", wanted),
        Lookup::Case => subject_has(stored, "case", wanted),
    }
}

fn subject_has(stored: &Stored, key: &str, wanted: &str) -> bool {
    let subject = stored.parts().and_then(|parts| parts.get(Part::Subject));
    let subject = subject.and_then(|canonical| Value::from_canonical(canonical).ok());
    subject.as_ref().and_then(|subject| subject.get(key)).and_then(Value::as_text) == Some(wanted)
}

#[cfg(test)]
mod tests {
    use host::Host;
    use record::{JsonParser, Limits, Record};

    use super::*;
    use crate::{Folder, Intake, KeyFolder, Options, Reader, Writer, init};

    fn record(n: u32) -> Record {
        let json = format!(
            r#"{{"id":"0190a5c2-7b1e-7c3a-9d55-{n:012x}","time":"2024-06-01T12:00:{:02}Z",
                "model":{{"name":"credit","version":"{}"}},"inputs":{{"n":{n}}},"output":1,
                "producer":{{"name":"api","instance":"i","seq":{}}},
                "trace":{{"trace_id":"{:032x}"}},"subject":{{"id":"customer-{}","case":"case"}}}}"#,
            59 - n,
            n % 2,
            n + 1,
            n / 4 + 1,
            n % 3
        );
        JsonParser::new(Limits::DEFAULT).parse(json.as_bytes()).unwrap()
    }

    /// I14: what is settled and what is in the journal are one trail to whoever looks something up.
    #[test]
    fn a_look_up_does_not_know_where_a_record_stands() {
        let temp = tempfile::tempdir().unwrap();
        let (host, folder) = (Host::system(), Folder::new(temp.path().join("trail")));
        let keys = KeyFolder(temp.path().join("keys"));
        init(&host, &folder, None, &keys).unwrap();
        let writer = Writer::open(&host, &folder, &keys, Options::default()).unwrap();
        let mut told = Vec::new();
        for settled in [0, 12] {
            if settled == 0 {
                writer.append((0..12).map(record).collect(), Intake::Import).unwrap();
                writer.wait_sealed().unwrap();
            }
            if settled == 12 {
                writer.settle().unwrap();
            }
            let snapshot = Reader::new(&host, &folder).snapshot().unwrap();
            let latest = |wanted: &[(Lookup, &str)]| {
                let latest = snapshot.latest(wanted, 3).unwrap();
                (latest.total, latest.more(), latest.found.iter().map(|found| found.index).collect::<Vec<_>>())
            };
            // The times run against the indices.
            assert_eq!(latest(&[(Lookup::Subject, "customer-1")]), (4, 1, vec![1, 4, 7]));
            assert_eq!(latest(&[(Lookup::Case, "case"), (Lookup::Version, "1")]), (6, 3, vec![1, 3, 5]));
            assert_eq!(latest(&[(Lookup::Trace, &format!("{:032x}", 3)), (Lookup::Model, "credit")]).0, 4);
            assert_eq!(latest(&[(Lookup::Kind, "outcome")]), (0, 0, vec![]));
            assert_eq!(latest(&[]), (0, 0, vec![]));
            assert_eq!(snapshot.ids_beginning("0190a5c2-7b1e-7c3a-9d55-00000000000a", 9).unwrap().len(), 1);
            assert_eq!(snapshot.ids_beginning("0190a5c2", 5).unwrap().len(), 5);
            let seventh = snapshot.get(6).unwrap().unwrap();
            assert_eq!(snapshot.in_sequence(&seventh).unwrap(), [(6, 5), (8, 7)]);
            told.push(snapshot.settled());
        }
        assert_eq!((told[0], told[1]), (0, 12), "it was looked up in the journal and in the lake");
        writer.close().unwrap();
    }
}
