//! Who may do what: tokens, people and services, their roles, access policies, masks, and acts that take two.
//!
//! ```text
//! credential ──► authenticate ──► Principal: who, and its assignments (role, trails, models, tenants, kinds, time)
//!                                    │
//! permission, resource, purpose ──► authorize
//!                                    ├─ the assignment's bounds, which no policy widens        grant
//!                                    ├─ the access policy: default ∪ the site's, in Cedar      cedar, policy/*.cedar
//!                                    └─ masks and row filter of what may be seen               masks
//!                                    ▼
//!                                 Grant: a query::Policy, kinds that may be appended, role, purpose
//! ```
//!
//! # What holds
//!
//! * **I11**, **T28** Nothing is granted that no policy permits; what cannot be evaluated is not permitted.
//! * **I12** Files, names, sessions and what is remembered of failures have limits.
//! * A secret is shown once. Kept are hashes; none is in a log, an error or the text of a refusal.
//!
//! # What it is not
//!
//! It knows no HTTP, does no TLS, and writes no access records: whoever answers does.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod access;
mod acts;
mod cedar;
mod certificate;
mod changes;
mod expectations;
mod failures;
mod folder;
mod grant;
mod kinds;
mod masks;
mod names;
mod permission;
mod person;
mod principal;
mod refused;
mod remembered;
mod role;
mod sessions;
mod settings;
mod store;
mod token;
mod token_sheet;
mod tokens;
mod when;

pub use access::{Access, AccessError, Credential};
pub use acts::{
    APPROVAL_LIFE, Act, ActError, Answer, Approved, PROPOSAL_LIFE, Party, REASON_BYTES_MAX, WHAT_BYTES_MAX,
};
pub use cedar::{DEFAULT_POLICY, PolicyError, SCHEMA};
pub use changes::{ChangeError, PolicyChange, TokenChange};
pub use expectations::{Difference, EXPECTATIONS_BYTES_MAX, Expectations, ExpectationsError, Tested};
pub use failures::network;
pub use grant::Grant;
pub use kinds::{KindError, Kinds};
pub use names::{NAME_BYTES_MAX, NAMES_MAX, Names, NamesError};
pub use permission::Permission;
pub use person::{GROUPS_BYTES_MAX, GROUPS_MAX, Person};
pub use principal::{Assignment, Principal, PrincipalKind, Resource};
pub use refused::{PURPOSE_BYTES_MAX, Reason, Refused};
pub use role::{Role, RoleError};
pub use sessions::{ABSOLUTE, IDLE, NewSession};
pub use settings::SettingsError;
pub use store::StoreError;
pub use token::{TOKEN_TEXT_BYTES, Token, TokenSpec, TokenSpecError, TokenText};
pub use token_sheet::{TokenSheet, TokenState};
pub use tokens::{OVERLAP_MAX, TOKENS_MAX, TokenError, Tokens};
