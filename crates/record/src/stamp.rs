//! The stamp: what the server adds to a record. It is kept for ever.

use uuid::Uuid;

use crate::cbor::{self, CborError, Item, KeyOrder, Number, Reader};
use crate::envelope::write_uuid;
use crate::kind::Kind;

/// The version of the stamp and of every rule that leads to the digest.
pub const VERSION: i64 = 1;

/// What the server adds to a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// What kind of event the record is.
    pub kind: Kind,
    /// When the server took it, nanoseconds since the Unix epoch, UTC; never decreases with the index.
    pub received: i64,
    /// The record's id: the sender's, or the server's.
    pub id: Uuid,
    /// Whether the server made the id because the sender sent none.
    pub id_by_server: bool,
    /// Whether `received` stands for the time because the sender sent none.
    pub time_by_server: bool,
    /// Whether the server made the salt because the sender sent none.
    pub salt_by_server: bool,
    /// The digest of the decision that the record is about, if that was on record by then.
    pub about_digest: Option<[u8; 32]>,
}

/// Why bytes are not a stamp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// Not canonical CBOR.
    #[error("the stamp is not canonical: {0}")]
    Cbor(#[from] CborError),
    /// A version this software does not know.
    #[error("stamp version {0} is not one this software knows (it knows {VERSION}): use a newer onrecord")]
    Version(i64),
    /// A field that a stamp does not have, has twice, or that has the wrong type.
    #[error("the stamp's field {0:?} is missing, unknown or malformed")]
    Field(String),
}

impl Stamp {
    /// Appends the canonical bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let optional = [self.id_by_server, self.salt_by_server, self.time_by_server, self.about_digest.is_some()];
        cbor::write_map_head(out, 4 + optional.into_iter().filter(|set| *set).count());
        cbor::write_text(out, "v");
        cbor::write_i64(out, VERSION);
        cbor::write_text(out, "id");
        write_uuid(out, &self.id);
        cbor::write_text(out, "kind");
        cbor::write_text(out, self.kind.name());
        by_server(out, "id_by", self.id_by_server);
        by_server(out, "salt_by", self.salt_by_server);
        cbor::write_text(out, "received");
        cbor::write_i64(out, self.received);
        by_server(out, "time_source", self.time_by_server);
        if let Some(digest) = &self.about_digest {
            cbor::write_text(out, "about_digest");
            cbor::write_bytes(out, digest);
        }
    }

    /// The canonical bytes.
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        self.write(&mut out);
        out
    }

    /// Reads canonical bytes and nothing else.
    pub fn read(canonical: &[u8]) -> Result<Stamp, StampError> {
        let mut reader = Reader::new(canonical);
        let Item::Map(len) = reader.next_item()? else { return Err(StampError::Field(String::new())) };
        let mut keys = KeyOrder::default();
        let (mut kind, mut received, mut id, mut version) = (None, None, None, None);
        let (mut id_by_server, mut time_by_server, mut salt_by_server) = (false, false, false);
        let mut about_digest = None;
        for _ in 0..len {
            let key = reader.next_key(&mut keys)?;
            match (key, reader.next_item()?) {
                ("v", Item::Number(Number::Int(value))) => version = Some(value),
                ("id", Item::Text(text)) => id = canonical_uuid(text),
                ("kind", Item::Text(text)) => kind = Kind::from_name(text),
                ("received", Item::Number(Number::Int(value))) => received = Some(value),
                ("id_by", Item::Text("server")) => id_by_server = true,
                ("salt_by", Item::Text("server")) => salt_by_server = true,
                ("time_source", Item::Text("server")) => time_by_server = true,
                ("about_digest", Item::Bytes(bytes)) => {
                    let digest = bytes.try_into().map_err(|_| StampError::Field(key.to_owned()))?;
                    about_digest = Some(digest);
                }
                _ => return Err(StampError::Field(key.to_owned())),
            }
        }
        reader.expect_end()?;
        match version {
            Some(VERSION) => {}
            Some(other) => return Err(StampError::Version(other)),
            None => return Err(StampError::Field("v".into())),
        }
        let missing = |field: &str| StampError::Field(field.to_owned());
        Ok(Stamp {
            kind: kind.ok_or_else(|| missing("kind"))?,
            received: received.ok_or_else(|| missing("received"))?,
            id: id.ok_or_else(|| missing("id"))?,
            id_by_server,
            time_by_server,
            salt_by_server,
            about_digest,
        })
    }
}

fn by_server(out: &mut Vec<u8>, key: &str, set: bool) {
    if set {
        cbor::write_text(out, key);
        cbor::write_text(out, "server");
    }
}

/// A UUID in the one form that canonical bytes have.
fn canonical_uuid(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then_some(id)
}
