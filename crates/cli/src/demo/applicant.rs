//! The applicant whose case the tour follows, found by reading the trail.

use std::collections::HashMap;
use std::path::PathBuf;

use record::{Digest, Envelope, FieldRef, Part, Stored, Value};
use trail::Snapshot;
use uuid::Uuid;

use crate::failure::Failure;

/// A denied applicant.
pub struct Applicant {
    pub index: u64,
    pub id: Uuid,
    pub digest: Digest,
    pub amount: f64,
    pub probability: f64,
    pub threshold: f64,
    /// How it turned out.
    pub label: String,
    pub file: PathBuf,
    pub row: u64,
}

/// Of those who were denied and turned out good, the one who was closest to the limit.
pub fn closest_denial(snapshot: &Snapshot) -> Result<Applicant, Failure> {
    let mut denied = Vec::new();
    let mut labels = HashMap::new();
    for file in snapshot.lake().files() {
        for placed in snapshot.lake().rows(file)? {
            let placed = placed?;
            if let Some((about, label)) = outcome(&placed.stored) {
                labels.insert(about, label);
            } else if let Some(applicant) = denial(&placed, snapshot.lake().path(file)) {
                denied.push(applicant);
            }
        }
    }
    for applicant in &mut denied {
        applicant.label = labels.remove(&applicant.id).unwrap_or_default();
    }
    let good = denied.into_iter().filter(|applicant| applicant.label == "good");
    let missed_by = |applicant: &Applicant| applicant.probability - applicant.threshold;
    let closest = good.min_by(|a, b| missed_by(a).total_cmp(&missed_by(b)));
    closest.ok_or_else(|| Failure::could_not("the demo's data holds no denied applicant who turned out good"))
}

fn outcome(stored: &Stored) -> Option<(Uuid, String)> {
    let about = Envelope::read(stored.parts()?.get(Part::Envelope)?).ok()?.about?;
    Some((about, value(stored, "output.label")?.as_text()?.to_owned()))
}

fn denial(placed: &lake::Placed, file: PathBuf) -> Option<Applicant> {
    let stored = &placed.stored;
    let envelope = Envelope::read(stored.parts()?.get(Part::Envelope)?).ok()?;
    envelope.result?.adverse.filter(|adverse| *adverse)?;
    Some(Applicant {
        index: placed.index,
        id: stored.stamp.id,
        digest: stored.digest(),
        amount: value(stored, "inputs.credit_amount")?.as_f64()?,
        probability: value(stored, "output.probability_of_default")?.as_f64()?,
        threshold: value(stored, "parameters.threshold")?.as_f64()?,
        label: String::new(),
        file,
        row: placed.row,
    })
}

fn value(stored: &Stored, field: &str) -> Option<Value> {
    let canonical = FieldRef::parse(field).ok()?.find(stored.parts()?).ok()??;
    Value::from_canonical(canonical).ok()
}
