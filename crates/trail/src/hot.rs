//! Records that are durable in the journal and not yet in the lake.

use std::sync::Arc;

use record::{Content, Digest, Stored};

/// Records in a full segment.
const SEGMENT_RECORDS: usize = 4096;

/// Records that are worth a thread to hash them: some milliseconds of work.
const SHARE_MIN: usize = 2048;

/// A record that is in the journal and in memory.
#[derive(Debug)]
pub struct HotRecord {
    /// Its index in the trail.
    pub index: u64,
    /// Its digest.
    pub digest: Digest,
    /// Its content.
    pub content: Content,
    /// The record.
    pub stored: Stored,
}

/// Records that were read from a journal, hashed on as many cores as there are, for a journal may hold a million.
pub(crate) fn hash_all(records: Vec<(u64, Stored)>) -> Vec<Arc<HotRecord>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = records.len().div_ceil(cores).max(SHARE_MIN);
    let hash = |records: &[(u64, Stored)]| records.iter().map(|(_, stored)| hash(stored)).collect::<Vec<_>>();
    let hashes: Vec<Vec<(Content, Digest)>> = std::thread::scope(|scope| {
        let started: Vec<_> = records
            .chunks(share)
            .map(|share| std::thread::Builder::new().spawn_scoped(scope, move || hash(share)).map_err(|_| share))
            .collect();
        let hashes = started.into_iter().map(|share| match share {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // No thread is to be had; this one does it.
            Err(share) => hash(share),
        });
        hashes.collect()
    });
    let records = records.into_iter().zip(hashes.into_iter().flatten());
    records.map(|((index, stored), (content, digest))| Arc::new(HotRecord { index, digest, content, stored })).collect()
}

fn hash(stored: &Stored) -> (Content, Digest) {
    let content = stored.content();
    (content, record::record_digest(&content, &stored.stamp.to_canonical()))
}

/// The hot records of a snapshot, in order and without a hole. Cloning shares the segments; publishing a group copies
/// the pointers of the last segment only.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hot {
    segments: Vec<Arc<Vec<Arc<HotRecord>>>>,
    first: u64,
    end: u64,
}

impl Hot {
    /// No records; the next one has index `first`.
    pub(crate) fn starting_at(first: u64) -> Self {
        Hot { segments: Vec::new(), first, end: first }
    }

    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The same with more records behind.
    pub(crate) fn with(&self, records: impl IntoIterator<Item = Arc<HotRecord>>) -> Self {
        let mut hot = self.clone();
        for record in records {
            debug_assert_eq!(record.index, hot.end);
            hot.end = record.index + 1;
            match hot.segments.last_mut() {
                Some(last) if last.len() < SEGMENT_RECORDS => Arc::make_mut(last).push(record),
                _ => {
                    let mut segment = Vec::with_capacity(SEGMENT_RECORDS);
                    segment.push(record);
                    hot.segments.push(Arc::new(segment));
                }
            }
        }
        hot
    }

    /// The same without the records below `index`, which are settled.
    pub(crate) fn without_below(&self, index: u64) -> Self {
        let index = index.clamp(self.first, self.end);
        let mut hot = Hot { segments: Vec::new(), first: index, end: self.end };
        for segment in &self.segments {
            let skip = segment.partition_point(|record| record.index < index);
            if skip == 0 {
                hot.segments.push(Arc::clone(segment));
            } else if skip < segment.len() {
                hot.segments.push(Arc::new(segment[skip..].to_vec()));
            }
        }
        hot
    }

    /// The records `first..end`, as far as they are here.
    pub(crate) fn range(&self, first: u64, end: u64) -> impl Iterator<Item = &Arc<HotRecord>> {
        let starts_below = self.segments.partition_point(|segment| segment[segment.len() - 1].index < first);
        self.segments[starts_below..]
            .iter()
            .flat_map(|segment| segment.iter())
            .skip_while(move |record| record.index < first)
            .take_while(move |record| record.index < end)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<HotRecord>> {
        self.segments.iter().flat_map(|segment| segment.iter())
    }

    pub(crate) fn get(&self, index: u64) -> Option<&Arc<HotRecord>> {
        self.range(index, index.checked_add(1)?).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{Body, Kind, Stamp};

    fn record(index: u64) -> Arc<HotRecord> {
        let stamp = Stamp {
            kind: Kind::Config,
            received: index as i64,
            id: uuid::Uuid::from_u128(u128::from(index)),
            id_by_server: true,
            time_by_server: true,
            salt_by_server: true,
            about_digest: None,
        };
        let stored = Stored { stamp, body: Body::Erased { content: Content([0; 32]) } };
        Arc::new(HotRecord { index, digest: stored.digest(), content: stored.content(), stored })
    }

    #[test]
    fn an_old_snapshot_keeps_what_it_had() {
        let mut hot = Hot::starting_at(10);
        for index in 10..10_000 {
            hot = hot.with([record(index)]);
        }
        let old = hot.clone();
        hot = hot.with((10_000..10_010).map(record)).without_below(9_990);
        assert_eq!((old.first(), old.end(), old.iter().count()), (10, 10_000, 9_990));
        assert_eq!((hot.first(), hot.end(), hot.iter().count()), (9_990, 10_010, 20));
        assert!(hot.iter().map(|record| record.index).eq(9_990..10_010));
        assert!(old.range(4_000, 4_200).map(|record| record.index).eq(4_000..4_200));
        assert!(old.get(9).is_none() && old.get(10_000).is_none() && old.get(u64::MAX).is_none());
        assert_eq!(old.get(4_106).unwrap().index, 4_106);
        assert_eq!(hot.without_below(u64::MAX).iter().count(), 0);
    }
}
