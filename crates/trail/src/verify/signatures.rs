//! Who signed: the trail's checkpoint and the verifier's pins, under the keys that the verifier goes by.

use tlog::checkpoint::OpenError;
use tlog::{Hash, SignedCheckpoint, VerifierKey};

use super::{Against, Check, VerifyError};
use crate::settings::Settings;

/// A pinned checkpoint whose signature held.
pub(super) struct Pin {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) root: Hash,
}

impl Check<'_> {
    /// Checks the checkpoint's signature, and the pins'. Returns the pins whose signatures hold.
    pub(super) fn signatures(&mut self, settings: &Settings, against: &Against) -> Result<Vec<Pin>, VerifyError> {
        self.keys = self.keys(settings, against);
        let keys = self.keys.clone();
        let bytes = self.host.read_if_there(self.folder.checkpoint(), "checkpoint")?;
        match bytes {
            Some(bytes) => self.checkpoint(&bytes, &keys, against),
            // Counted now: whatever a writer adds meanwhile is in the journal, which is read later.
            None => self.no_checkpoint(against),
        }
        let mut pins = Vec::new();
        for (name, bytes) in &against.pins {
            pins.extend(self.pin(name, bytes, &keys)?);
        }
        Ok(pins)
    }

    /// The keys that may sign: the verifier's own, if there is a policy; else the one that the trail names.
    pub(super) fn keys(&self, settings: &Settings, against: &Against) -> Vec<VerifierKey> {
        match &against.policy {
            Some(policy) => policy.logs().iter().map(|log| log.key.clone()).collect(),
            None => settings.verifier_key().into_iter().collect(),
        }
    }

    fn no_checkpoint(&mut self, against: &Against) {
        self.unsigned = Some(self.entries.len().unwrap_or(u64::MAX));
        if against.policy.is_some() {
            let file = self.folder.checkpoint();
            self.invalid("T16", "there is no checkpoint that the policy's log could have signed").file = Some(file);
        }
    }

    /// Nothing is signed, and nothing may be settled. Entries may be there: a first seal that was interrupted leaves
    /// them. Those of records that are not here were signed once, and the checkpoint is gone.
    pub(super) fn entries_unsigned(&mut self, entries: u64) {
        let records = self.report.journal_records.saturating_add(self.report.lake_records);
        if entries > records {
            let file = self.folder.checkpoint();
            let what = format!("there are entries of {entries} records, {records} records, and no signed checkpoint");
            self.invalid("T16", what).file = Some(file);
        }
    }

    pub(super) fn checkpoint(&mut self, bytes: &[u8], keys: &[VerifierKey], against: &Against) {
        let file = self.folder.checkpoint();
        let signed = match SignedCheckpoint::open(bytes, keys) {
            Ok(signed) => signed,
            Err(error) => {
                self.invalid("T16", format!("the checkpoint is not signed by the log's key: {error}")).file =
                    Some(file);
                return;
            }
        };
        let checkpoint = signed.checkpoint();
        if checkpoint.origin() != self.report.origin {
            let what = format!("the checkpoint is of {}, not of {}", checkpoint.origin(), self.report.origin);
            self.invalid("T15", what).file = Some(file.clone());
        }
        self.report.origin = checkpoint.origin().to_owned();
        self.report.size = checkpoint.size();
        self.report.root = checkpoint.root().to_string();
        self.pace.total = checkpoint.size().saturating_mul(2);
        if let Some(policy) = &against.policy {
            match policy.require(bytes) {
                Ok(evaluation) => {
                    let cosigned = evaluation.cosigned.len();
                    let anchor = format!("the policy's log key signed it, and {cosigned} of its witnesses");
                    self.report.anchors.push(anchor);
                    self.report.cosigned = cosigned > 0;
                }
                Err(refusal) => self.invalid("T15", refusal.to_string()).file = Some(file),
            }
        }
    }

    fn pin(&mut self, name: &str, bytes: &[u8], keys: &[VerifierKey]) -> Result<Option<Pin>, VerifyError> {
        let signed = match SignedCheckpoint::open(bytes, keys) {
            Ok(signed) => signed,
            Err(error @ (OpenError::Note(_) | OpenError::Checkpoint(_))) => {
                return Err(VerifyError::Pin { name: name.to_owned(), cause: error.to_string() });
            }
            Err(error) => {
                self.invalid(
                    "T15",
                    format!("the pinned checkpoint {name} was not signed by this trail's key: {error}"),
                );
                return Ok(None);
            }
        };
        let pinned = signed.checkpoint();
        if pinned.origin() != self.report.origin {
            let what = format!("the pinned checkpoint {name} is of another log, {}", pinned.origin());
            self.invalid("T15", what);
            return Ok(None);
        }
        if pinned.size() > self.report.size {
            let (was, is) = (pinned.size(), self.report.size);
            let what = format!(
                "the tail was cut: the pinned checkpoint {name} covers {was} records, and this trail {is}; \
                 records {is} to {} are gone",
                was - 1
            );
            self.invalid("T3", what).index = Some(is);
            return Ok(None);
        }
        Ok(Some(Pin { name: name.to_owned(), size: pinned.size(), root: pinned.root() }))
    }
}
