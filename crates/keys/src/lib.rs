//! Keys of encryption at rest.
//!
//! ```text
//! master key         not in the trail's folder: a file, a passphrase, a variable, a credential of systemd
//!   └─ wraps the trail's key            <folder of keys>/<name>.trail
//!        └─ wraps a key for each file   <folder of keys>/<name>.keys/<file>.<key id>
//! ```
//!
//! A copy of a trail's folder is unreadable without its keys, and each file without its own. Destroying one key makes
//! every copy of that file unreadable, wherever it is, but to a backup of the store. Another master key, or another key
//! of the trail, rewraps keys and no payload.
//!
//! Everything is AES-256-GCM. A message is bound to its place by what is authenticated beside it, so that none can be
//! put in the place of another. All random bytes come from [`host`].
//!
//! It knows nothing of what is encrypted.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod cipher;
mod copy;
mod data_key;
mod encoded;
mod keyring;
mod master;
mod owed;
mod rotate;
mod scratch;
mod secret;
mod source;
mod store;
mod trail_file;
mod unwrapped;

pub use cipher::{Cipher, NonceBytes, NotAuthentic, TAG_BYTES, bound_to};
pub use copy::{CopiedKeys, Copying, Place};
pub use data_key::DataKey;
pub use encoded::Hex;
pub use keyring::{KeyError, Keyring, KeyringError};
pub use master::{MasterError, PASSPHRASE_BYTES_MIN};
pub use rotate::Rewrapped;
pub use scratch::{ScratchReader, ScratchWriter};
pub use secret::Secret;
pub use source::{MASTER_FILE, NoSource, SOURCE_VARIABLE, Source};

/// What names a key: 16 random bytes.
pub type KeyId = Hex<16>;
