//! The header by which a result stands as evidence: what was asked, over which records, under which checkpoint, and what
//! came of it (complete populations: PCI DSS 10, SOC 2 CC7 and CC8).

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

use crate::error::QueryError;
use crate::search::{Search, where_all};
use crate::view::View;

/// What a result is, and of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The version of OnRecord that answered.
    pub onrecord: String,
    /// The trail: the name of its log.
    pub origin: String,
    /// The log's key, as the trail names it. A verifier trusts a copy of its own alone.
    pub log_key: String,
    /// The query as it was given.
    pub asked: String,
    /// The query as it was run.
    pub run: String,
    /// When it was asked, RFC 3339.
    pub started: String,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// The records that it could see.
    pub covers: Covers,
    /// The last signed checkpoint of the trail; none if nothing is sealed yet.
    pub checkpoint: Option<Signed>,
    /// What came of it.
    pub counts: Counts,
    /// What was written as the result, unless that was a table for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Written>,
}

/// The records that a query could see: all with indices `from` up to, and without, `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Covers {
    /// The first index.
    pub from: u64,
    /// The index behind the last.
    pub until: u64,
    /// How many of all records are under the checkpoint; those behind it are not signed for yet.
    pub sealed: u64,
}

/// A signed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Records under it.
    pub size: u64,
    /// The root, hexadecimal.
    pub root: String,
    /// The signed note itself.
    pub note: String,
}

/// How many records and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Records that the query covers.
    pub records: u64,
    /// Of these, those that an access policy hid from the reader.
    pub hidden: u64,
    /// Records that match; none where a query is more than conditions on records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<u64>,
    /// Rows that were returned.
    pub returned: u64,
    /// Records that match and were left off by a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_off: Option<u64>,
    /// Whether the answer was cut at the most rows that an answer may have.
    pub cut: bool,
    /// Of the records that match, those of which something was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_matched: Option<u64>,
    /// Records of which something was erased, so that whether they would match cannot be said.
    pub erased_unjudged: u64,
}

/// What was written as a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// In which format.
    pub format: String,
    /// How many bytes.
    pub bytes: u64,
    /// Their SHA-256, hexadecimal.
    pub sha256: String,
}

/// What was asked, and what came back.
#[derive(Debug)]
pub struct Asking<'a> {
    /// The query as it was given.
    pub asked: String,
    /// The query as it was run.
    pub run: String,
    /// The search that it is, if it is one.
    pub search: Option<&'a Search>,
    /// When it was asked, nanoseconds since the Unix epoch.
    pub started_ns: i64,
    /// How long it took.
    pub took: std::time::Duration,
    /// Rows that were returned.
    pub returned: u64,
    /// Whether the answer was cut.
    pub cut: bool,
}

impl View {
    /// The header of a result of this view. What is counted for it is counted in the same snapshot (I14).
    pub fn evidence(&self, asking: Asking<'_>) -> Result<Evidence, QueryError> {
        let snapshot = &self.snapshot;
        let (settings, sealed) = (snapshot.settings(), snapshot.sealed());
        let below = asking.search.and_then(|search| search.below).unwrap_or(u64::MAX);
        let covers = Covers { from: 0, until: snapshot.end().min(below), sealed: sealed.min(below) };
        let signed = snapshot.checkpoint().map(|signed| {
            let (checkpoint, note) = (signed.checkpoint(), signed.note().to_string());
            Signed { size: checkpoint.size(), root: checkpoint.root().to_string(), note }
        });
        Ok(Evidence {
            onrecord: env!("CARGO_PKG_VERSION").to_owned(),
            origin: settings.origin.clone(),
            log_key: settings.log_key.clone(),
            started: DateTime::from_timestamp_nanos(asking.started_ns).to_rfc3339_opts(SecondsFormat::Nanos, true),
            took_ms: u64::try_from(asking.took.as_millis()).unwrap_or(u64::MAX),
            covers,
            checkpoint: signed,
            counts: self.counts(&asking, covers.until)?,
            result: None,
            asked: asking.asked,
            run: asking.run,
        })
    }

    fn counts(&self, asking: &Asking<'_>, records: u64) -> Result<Counts, QueryError> {
        let hidden = match &self.policy.rows {
            None => 0,
            Some(_) => {
                let below = format!("\"index\" < {records}");
                records.saturating_sub(self.count("count(*)", &[below])?[0])
            }
        };
        let (returned, cut) = (asking.returned, asking.cut);
        let counts = Counts {
            records,
            hidden,
            matched: None,
            returned,
            left_off: None,
            cut,
            erased_matched: None,
            erased_unjudged: 0,
        };
        let erased = "erased IS NOT NULL".to_owned();
        let Some(search) = asking.search else {
            return Ok(Counts { erased_unjudged: self.count("count(*)", &[erased])?[0], ..counts });
        };
        let matched = self.count("count(*), count(erased)", &search.conditions()?)?;
        let all_erased = match search.is_narrowed() {
            true => self.count("count(*)", &[search.outline(), vec![erased]].concat())?[0],
            false => matched[1],
        };
        Ok(Counts {
            matched: Some(matched[0]),
            left_off: Some(matched[0].saturating_sub(returned)),
            erased_matched: Some(matched[1]),
            erased_unjudged: all_erased.saturating_sub(matched[1]),
            ..counts
        })
    }

    /// Counts of records of which all conditions hold: one or two.
    fn count(&self, what: &str, conditions: &[String]) -> Result<[u64; 2], QueryError> {
        let answer = self.sql(&format!("SELECT {what} FROM events{}", where_all(conditions)))?;
        let mut counts = [0; 2];
        for batch in answer {
            let batch = batch?;
            for (count, column) in counts.iter_mut().zip(batch.columns()).filter(|_| batch.num_rows() > 0) {
                let values = column.as_primitive_opt::<Int64Type>();
                *count += values.map_or(0, |values| u64::try_from(values.value(0)).unwrap_or(0));
            }
        }
        Ok(counts)
    }
}
