//! Receipts, held against what was sent: the digest is computed again from the record's own content and the stamp.

use record::{Content, Kind, Stamp};
use serde::Deserialize;
use uuid::Uuid;

use crate::tip::hex;

/// A receipt as the server writes it.
#[derive(Debug, Deserialize)]
pub struct Receipt {
    id: String,
    /// The record's index in the trail.
    pub index: u64,
    content: String,
    digest: String,
    stamp: StampJson,
    /// Whether the record was here before.
    #[serde(default)]
    pub again: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StampJson {
    v: i64,
    id: String,
    kind: String,
    received: i64,
    id_by: Option<String>,
    salt_by: Option<String>,
    time_source: Option<String>,
    about_digest: Option<BytesJson>,
}

#[derive(Debug, Deserialize)]
struct BytesJson {
    #[serde(rename = "$bytes")]
    base64: String,
}

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Its id.
    pub id: Uuid,
    /// Its kind.
    pub kind: Kind,
    /// Its content, computed here.
    pub content: Content,
}

impl Receipt {
    /// Whether it is for this record, and for nothing else; else what does not fit.
    pub fn check(&self, sent: &Sent) -> Result<(), String> {
        if self.id != sent.id.to_string() {
            return Err(format!("it is for {}", self.id));
        }
        if self.content != hex(&sent.content.0) {
            return Err("its content is not that of the record".to_owned());
        }
        let stamp = self.stamp.stamp().ok_or("its stamp is malformed")?;
        if stamp.id != sent.id || stamp.kind != sent.kind {
            return Err("its stamp is of another record".to_owned());
        }
        if stamp.id_by_server || stamp.salt_by_server || stamp.time_by_server {
            return Err("its stamp says that the server made what the sender has sent".to_owned());
        }
        let digest = record::record_digest(&sent.content, &stamp.to_canonical());
        if self.digest != hex(&digest.0) {
            return Err("its digest is not that of content and stamp".to_owned());
        }
        Ok(())
    }
}

impl StampJson {
    fn stamp(&self) -> Option<Stamp> {
        let by_server = |text: &Option<String>| text.as_deref() == Some("server");
        let about_digest = match &self.about_digest {
            None => None,
            Some(bytes) => {
                let hash = tlog::Hash::from_base64(&bytes.base64).ok()?;
                Some(*hash.as_bytes())
            }
        };
        (self.v == 1).then_some(())?;
        Some(Stamp {
            kind: Kind::from_name(&self.kind)?,
            received: self.received,
            id: Uuid::try_parse(&self.id).ok()?,
            id_by_server: by_server(&self.id_by),
            time_by_server: by_server(&self.time_source),
            salt_by_server: by_server(&self.salt_by),
            about_digest,
        })
    }
}

/// What a server says of a batch.
#[derive(Debug, Deserialize)]
pub struct Told {
    /// Of those that are on record, in order.
    #[serde(default)]
    pub receipts: Vec<Receipt>,
    /// Of those that are not.
    #[serde(default)]
    pub errors: Vec<ErrorJson>,
}

/// A record that was not taken.
#[derive(Debug, Deserialize)]
pub struct ErrorJson {
    /// Its place in the batch, from 0.
    pub position: usize,
    /// Why.
    pub error: Why,
}

/// Why a record was not taken.
#[derive(Debug, Deserialize)]
pub struct Why {
    /// In words.
    pub detail: String,
}

impl Told {
    /// What became of each of so many records, in order; nothing if the answer does not add up.
    pub fn of_each(self, count: usize) -> Option<Vec<Result<Receipt, String>>> {
        let mut refused: std::collections::BTreeMap<usize, String> =
            self.errors.into_iter().map(|error| (error.position, error.error.detail)).collect();
        let mut receipts = self.receipts.into_iter();
        let each = (0..count).map(|position| match refused.remove(&position) {
            Some(why) => Some(Err(why)),
            None => receipts.next().map(Ok),
        });
        let each = each.collect::<Option<Vec<_>>>()?;
        (receipts.next().is_none() && refused.is_empty()).then_some(each)
    }
}

/// The id and what is needed to check its receipt, from the bytes of a record.
pub fn sent(record: &record::Record) -> Option<Sent> {
    let content = record::content(record.salt.as_ref()?, &record.parts);
    Some(Sent { id: record.id?, kind: record.kind, content })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_and_receipt() -> (Sent, serde_json::Value) {
        let id = Uuid::try_parse("0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d").unwrap();
        let sent = Sent { id, kind: Kind::Outcome, content: Content([4; 32]) };
        let stamp = Stamp {
            kind: Kind::Outcome,
            received: 1_717_243_200_000_000_000,
            id,
            id_by_server: false,
            time_by_server: false,
            salt_by_server: false,
            about_digest: Some([7; 32]),
        };
        let digest = record::record_digest(&sent.content, &stamp.to_canonical());
        let receipt = serde_json::json!({
            "trail": "t", "id": id.to_string(), "index": 5, "content": hex(&[4; 32]), "digest": hex(&digest.0),
            "stamp": {"v": 1, "id": id.to_string(), "kind": "outcome", "received": stamp.received,
                      "about_digest": {"$bytes": tlog::Hash([7; 32]).to_base64()}},
        });
        (sent, receipt)
    }

    /// Whatever a server changes in a receipt, it is found out.
    #[test]
    fn a_receipt_is_for_what_was_sent_alone() {
        let (sent, receipt) = sent_and_receipt();
        let check = |receipt: &serde_json::Value| {
            serde_json::from_value::<Receipt>(receipt.clone()).map_err(|error| error.to_string())?.check(&sent)
        };
        assert_eq!(check(&receipt), Ok(()));
        let changes: [(&str, serde_json::Value); 6] = [
            ("/id", "0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8e".into()),
            ("/content", hex(&[5; 32]).into()),
            ("/digest", hex(&[5; 32]).into()),
            ("/stamp/received", 1.into()),
            ("/stamp/kind", "decision".into()),
            ("/stamp/about_digest", serde_json::Value::Null),
        ];
        for (at, value) in changes {
            let mut changed = receipt.clone();
            *changed.pointer_mut(at).unwrap() = value;
            assert!(check(&changed).is_err(), "{at}");
        }
    }

    #[test]
    fn an_answer_that_does_not_add_up_is_none() {
        let (_, receipt) = sent_and_receipt();
        let told = |positions: &[usize], receipts: usize| {
            let errors: Vec<_> =
                positions.iter().map(|at| serde_json::json!({"position": at, "error": {"detail": "no"}})).collect();
            let json = serde_json::json!({"receipts": vec![receipt.clone(); receipts], "errors": errors});
            serde_json::from_value::<Told>(json).unwrap().of_each(3)
        };
        let each = told(&[1], 2).unwrap();
        assert!(each[0].is_ok() && each[1].is_err() && each[2].is_ok());
        assert!(told(&[1], 1).is_none() && told(&[1], 3).is_none() && told(&[3], 3).is_none());
    }
}
