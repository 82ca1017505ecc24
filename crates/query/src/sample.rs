//! A sample that nobody could steer, and the certificate by which anyone checks that (docs/formats.md, section 10).
//!
//! Every record of the population is given a number, SHA-256 of the root of a pinned checkpoint, the auditor's nonce and
//! the record's id, and the sample is the records with the lowest. The population is fixed by the checkpoint, which was
//! handed over before the nonce was said; so whoever made the records could not know their numbers, and whoever says the
//! nonce cannot change the records.

mod certificate;
mod check;
mod draw;

use tlog::{Hash, Prover, SignedCheckpoint, leaf_hash, verify_inclusion};
use uuid::Uuid;

use crate::columns::Columns;
use crate::error::QueryError;
use crate::statement;
use crate::times;
use crate::view::View;

pub use certificate::{CERTIFICATE_BYTES_MAX, Certificate, Chosen};
pub use check::SampleReport;
use draw::{Draw, Drawn};

/// Records that a sample may have.
pub const SAMPLE_MAX: usize = 10_000;

/// Bytes of a nonce.
pub const NONCE_BYTES_MAX: usize = 256;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct SampleAsked {
    /// What the population is: a predicate over `events`.
    pub filter: String,
    /// Records of the sample.
    pub n: usize,
    /// What the auditor said once the checkpoint was in their hands.
    pub nonce: String,
    /// The checkpoint that they hold: a signed note.
    pub checkpoint: Vec<u8>,
}

/// Why there is no sample.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SampleError {
    /// A size that cannot be drawn.
    #[error("a sample has 1 to {SAMPLE_MAX} records, and {0} were asked for")]
    Size(usize),
    /// A nonce that is none.
    #[error(
        "a nonce is 1 to {NONCE_BYTES_MAX} bytes of text without control characters; let the auditor say one, such as 8 words or the digits of a dice"
    )]
    Nonce,
    /// The pinned checkpoint is none of this trail's.
    #[error("the pinned checkpoint is not one that this trail's log signed: {0}")]
    Checkpoint(String),
    /// The pinned checkpoint covers more than is here (T3).
    #[error("the tail was cut: the pinned checkpoint covers {pinned} records, and {here} are sealed here")]
    Cut {
        /// Records under it.
        pinned: u64,
        /// Records that are sealed here.
        here: u64,
    },
    /// The entries are not those of the pinned checkpoint (T2).
    #[error("the first {pinned} entries of the trail are not those of the pinned checkpoint")]
    Fork {
        /// Records under it.
        pinned: u64,
    },
    /// A record is not the one that was sealed (T1).
    #[error("record {index} is not the one that was sealed; run verify on the trail")]
    Changed {
        /// Which.
        index: u64,
    },
    /// The trail could not be asked.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// What a sample is drawn from, counted.
struct Population {
    drawn: Vec<Drawn>,
    size: u64,
    /// Records under the checkpoint that are not of it, for something of them was erased.
    erased: u64,
}

impl View {
    /// Draws a sample, and gives the certificate of it.
    pub fn sample(&self, asked: &SampleAsked) -> Result<Certificate, SampleError> {
        if !(1..=SAMPLE_MAX).contains(&asked.n) {
            return Err(SampleError::Size(asked.n));
        }
        if asked.nonce.is_empty() || asked.nonce.len() > NONCE_BYTES_MAX || asked.nonce.chars().any(char::is_control) {
            return Err(SampleError::Nonce);
        }
        let pin = self.pin(&asked.checkpoint)?;
        let filter = statement::predicate(&asked.filter)?;
        // What is drawn from is written so that whoever sees everything draws from the same.
        let told = self.repeatable_predicate(&filter)?;
        let now_ns = self.shared.host.now_ns();
        let population = self.population(&filter, &pin, &asked.nonce, asked.n, now_ns)?;
        let size = pin.checkpoint().size();
        let chosen = population.drawn.into_iter().map(|drawn| self.sealed(drawn, &pin));
        let chosen = chosen.collect::<Result<Vec<_>, SampleError>>()?;
        Ok(Certificate {
            format: certificate::FORMAT.to_owned(),
            software: certificate::SOFTWARE.to_owned(),
            time: times::rfc3339(now_ns),
            checkpoint: pin.note().to_string(),
            nonce: asked.nonce.clone(),
            filter: told,
            n: asked.n as u64,
            population: population.size,
            excluded: size.saturating_sub(population.size),
            erased: population.erased,
            threshold: chosen.last().map(|last| last.hash.clone()),
            chosen,
        })
    }

    /// The checkpoint, if this trail's log signed it and its entries are those that are here.
    fn pin(&self, note: &[u8]) -> Result<SignedCheckpoint, SampleError> {
        let unknown = |error: &dyn std::fmt::Display| SampleError::Checkpoint(error.to_string());
        let key = self.snapshot.settings().verifier_key().map_err(|error| unknown(&error))?;
        let pin = SignedCheckpoint::open(note, &[key]).map_err(|error| unknown(&error))?;
        let (pinned, here) = (pin.checkpoint().size(), self.snapshot.sealed());
        if pinned > here {
            return Err(SampleError::Cut { pinned, here });
        }
        let root = Prover::new(self.snapshot.entries(), pinned).root();
        let root = root.map_err(|error| QueryError::Read(error.to_string()))?;
        if root != pin.checkpoint().root() {
            return Err(SampleError::Fork { pinned });
        }
        Ok(pin)
    }

    fn population(
        &self,
        filter: &str,
        pin: &SignedCheckpoint,
        nonce: &str,
        n: usize,
        now_ns: i64,
    ) -> Result<Population, SampleError> {
        let size = pin.checkpoint().size();
        let root = pin.checkpoint().root();
        let mut draw = Draw::new(&root, nonce, n);
        let mut population = 0;
        let all = format!("SELECT \"index\", id FROM events WHERE ({filter}) AND \"index\" < {size}");
        for batch in self.every_row(&all, Some(now_ns))? {
            let batch = batch?;
            let columns = Columns(&batch);
            let (indices, ids) = (columns.integers(0)?, columns.texts(1)?);
            for row in 0..batch.num_rows() {
                let id = ids.at(row).and_then(|id| Uuid::try_parse(id).ok());
                let id = id.ok_or_else(|| QueryError::Read("a record has no id; verify the trail".to_owned()))?;
                draw.offer(indices.count(row), id);
                population += 1;
            }
        }
        let erased = format!("SELECT count(*) FROM events WHERE erased IS NOT NULL AND \"index\" < {size}");
        let found = self.one_count(&format!("{erased} AND coalesce(({filter}), false)"), now_ns)?;
        // Of the whole trail, also where a policy hides some of it: it is the same number whatever is asked.
        let erased = self.opened().one_count(&erased, now_ns)?;
        Ok(Population { drawn: draw.end(), size: population, erased: erased.saturating_sub(found) })
    }

    fn one_count(&self, sql: &str, now_ns: i64) -> Result<u64, QueryError> {
        let mut count = 0;
        for batch in self.every_row(sql, Some(now_ns))? {
            count += Columns(&batch?).integers(0)?.count(0);
        }
        Ok(count)
    }

    /// A drawn record with its digest, which is under the checkpoint.
    fn sealed(&self, drawn: Drawn, pin: &SignedCheckpoint) -> Result<Chosen, SampleError> {
        let index = drawn.index;
        let digest = self.sealed_digest(index, pin)?;
        Ok(Chosen { index, id: drawn.id.hyphenated().to_string(), hash: Hash(drawn.hash).to_string(), digest })
    }

    fn sealed_digest(&self, index: u64, pin: &SignedCheckpoint) -> Result<String, SampleError> {
        let read = |error: &dyn std::fmt::Display| QueryError::Read(error.to_string());
        let found = self.snapshot.get(index).map_err(|error| read(&error))?;
        let digest = found.ok_or(SampleError::Changed { index })?.digest;
        let (size, root) = (pin.checkpoint().size(), pin.checkpoint().root());
        let path = Prover::new(self.snapshot.entries(), size).inclusion(index).map_err(|error| read(&error))?;
        verify_inclusion(&leaf_hash(&digest.0), index, size, &root, &path)
            .map_err(|_| SampleError::Changed { index })?;
        Ok(digest.to_string())
    }
}
