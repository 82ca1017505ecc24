//! Checking a certificate: the sample is drawn again, and what differs first is named.
//!
//! Records that were erased since the draw are no longer found by a filter. That can take records out of a population
//! and add none: so a record that belongs into the sample and is not in it is always steering, and a record of the sample
//! that is not found must be a tombstone.

use chrono::DateTime;
use tlog::{Hash, SignedCheckpoint};
use trail::Verdict;
use uuid::Uuid;

use super::certificate::{Certificate, Chosen};
use super::draw::number;
use super::{Population, SAMPLE_MAX, SampleError};
use crate::error::QueryError;
use crate::statement;
use crate::view::View;

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleReport {
    /// CONSISTENT at best: whether the checkpoint is the one that the auditor holds is for who checks to say.
    pub verdict: Verdict,
    /// What differs first.
    pub difference: Option<String>,
    /// Records of the sample that were erased since.
    pub erased_since: u64,
}

impl SampleReport {
    fn invalid(difference: impl Into<String>) -> Self {
        SampleReport { verdict: Verdict::Invalid, difference: Some(difference.into()), erased_since: 0 }
    }
}

impl View {
    /// Draws a certificate's sample again.
    pub fn check_sample(&self, certificate: &Certificate) -> Result<SampleReport, SampleError> {
        if !self.policy.is_open() {
            let what =
                "a sample is checked against all records, and your role does not see all; ask with one that does";
            return Err(QueryError::Hidden(what.to_owned()).into());
        }
        let pin = match self.pin(certificate.checkpoint.as_bytes()) {
            Ok(pin) => pin,
            Err(error @ SampleError::Query(_)) => return Err(error),
            Err(error @ SampleError::Cut { .. }) => {
                let report = SampleReport::invalid(error.to_string());
                return Ok(SampleReport { verdict: Verdict::Incomplete, ..report });
            }
            Err(error) => return Ok(SampleReport::invalid(error.to_string())),
        };
        if let Err(difference) = in_itself(certificate, &pin) {
            return Ok(SampleReport::invalid(difference));
        }
        let Some(now_ns) =
            DateTime::parse_from_rfc3339(&certificate.time).ok().and_then(|time| time.timestamp_nanos_opt())
        else {
            return Ok(SampleReport::invalid(format!("its time, {:?}, is none", certificate.time)));
        };
        let filter = statement::predicate(&certificate.filter)?;
        let n = usize::try_from(certificate.n).unwrap_or(usize::MAX);
        let again = self.population(&filter, &pin, &certificate.nonce, n, now_ns)?;
        self.compare(certificate, &again, &pin)
    }

    fn compare(
        &self,
        certificate: &Certificate,
        again: &Population,
        pin: &SignedCheckpoint,
    ) -> Result<SampleReport, SampleError> {
        // Where all of the population was taken, nothing of it can be left out.
        let all = certificate.population <= certificate.n;
        for drawn in &again.drawn {
            let hash = Hash(drawn.hash).to_string();
            let belongs = all || certificate.threshold.as_ref().is_some_and(|threshold| hash <= *threshold);
            let named = certificate.chosen.iter().find(|chosen| chosen.hash == hash);
            match named {
                None if belongs => {
                    let what =
                        format!("record {} ({}) belongs into the sample and is not in it", drawn.index, drawn.id);
                    return Ok(SampleReport::invalid(what));
                }
                Some(chosen) if chosen.index != drawn.index => {
                    let what = format!("{} is record {}, and is said to be {}", drawn.id, drawn.index, chosen.index);
                    return Ok(SampleReport::invalid(what));
                }
                _ => {}
            }
        }
        let mut erased_since = 0;
        for chosen in &certificate.chosen {
            if !again
                .drawn
                .iter()
                .any(|drawn| drawn.index == chosen.index && Hash(drawn.hash).to_string() == chosen.hash)
            {
                if !self.is_erased(chosen)? {
                    let what = format!("record {} ({}) is not of the population", chosen.index, chosen.id);
                    return Ok(SampleReport::invalid(what));
                }
                erased_since += 1;
            }
            match self.sealed_digest(chosen.index, pin) {
                Ok(digest) if digest == chosen.digest => {}
                Ok(digest) => {
                    let what = format!("the digest of record {} is {digest}, not {}", chosen.index, chosen.digest);
                    return Ok(SampleReport::invalid(what));
                }
                Err(error @ SampleError::Query(_)) => return Err(error),
                Err(error) => return Ok(SampleReport::invalid(error.to_string())),
            }
        }
        let (then, now) = (certificate.population, again.size);
        let gone = again.erased.saturating_sub(certificate.erased);
        if now > then || then - now > gone {
            return Ok(SampleReport::invalid(format!("the population is of {now} records, not of {then}")));
        }
        if certificate.erased > again.erased {
            let what = format!("{} records were erased, not {}", again.erased, certificate.erased);
            return Ok(SampleReport::invalid(what));
        }
        if then > now || erased_since > 0 {
            let what = format!("{} of the population were erased since, and cannot be drawn again", then - now);
            return Ok(SampleReport { verdict: Verdict::Incomplete, difference: Some(what), erased_since });
        }
        Ok(SampleReport { verdict: Verdict::Consistent, difference: None, erased_since: 0 })
    }

    /// Whether something was erased of the record that is there, which has the id that is said.
    fn is_erased(&self, chosen: &Chosen) -> Result<bool, SampleError> {
        let found = self.snapshot.get(chosen.index);
        let found = found.map_err(|error| QueryError::Read(error.to_string()))?;
        Ok(found.is_some_and(|found| {
            found.stored.erased().next().is_some() && found.stored.stamp.id.hyphenated().to_string() == chosen.id
        }))
    }
}

/// What a certificate says of itself, held against itself.
fn in_itself(certificate: &Certificate, pin: &SignedCheckpoint) -> Result<(), String> {
    let checkpoint = pin.checkpoint();
    if !(1..=SAMPLE_MAX as u64).contains(&certificate.n) {
        return Err(format!("a sample has 1 to {SAMPLE_MAX} records, and it is one of {}", certificate.n));
    }
    if certificate.population.checked_add(certificate.excluded) != Some(checkpoint.size()) {
        return Err(format!(
            "the checkpoint covers {} records, and the population of {} and the {} excluded are not as many",
            checkpoint.size(),
            certificate.population,
            certificate.excluded
        ));
    }
    let chosen = certificate.chosen.len() as u64;
    if chosen != certificate.n.min(certificate.population) {
        return Err(format!("{chosen} records were chosen, not {}", certificate.n.min(certificate.population)));
    }
    if certificate.threshold.as_ref() != certificate.chosen.last().map(|last| &last.hash) {
        return Err("the threshold is not the last record's hash".to_owned());
    }
    let mut before = None;
    for chosen in &certificate.chosen {
        let id = Uuid::try_parse(&chosen.id).map_err(|_| format!("{:?} is no id", chosen.id))?;
        let hash = Hash(number(&checkpoint.root(), &certificate.nonce, &id)).to_string();
        if hash != chosen.hash {
            return Err(format!("the hash of {} is {hash}, not {:?}", chosen.id, chosen.hash));
        }
        if before.replace(&chosen.hash).is_some_and(|before| *before >= chosen.hash) {
            return Err(format!("{} does not stand in the order of hashes", chosen.id));
        }
    }
    Ok(())
}
