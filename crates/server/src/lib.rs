//! Trails over HTTP: who asks, what may be asked, and that it was asked.
//!
//! ```text
//! connection ─► listen: TLS, limits of time and size; the one that is silent for longest makes room     connections
//!      │          whose peer takes nothing of its answers is closed                   exchange, answered, watched
//!      │
//!      ▼
//! router ─► guard: who asks ─► may they? (access) ─► the trail            table, routes: the one list of what there is
//!      │       └─ refused: problem+json; counted, and put on record          problem, clerk
//!      ├─► login: to the identity provider and back ─► a session's cookie                  login, cookie, cross_site
//!      ├─► append: body within bounds ─► records ─► staged ─► durable ─► receipts     body, room, acknowledger
//!      ├─► search · sql · one · groups · sample · reconcile · export:
//!      │       Reading: `begin` is durable ─► rows, a document or files ─► `end`      reading, rows, outlet, access_record
//!      ├─► tokens: a record of the change is durable ─► the change ─► what it came to     change, access_record
//!      └─► stats · gaps · log · proof: figures and hashes                               figures, log
//! ```
//!
//! # What holds
//!
//! * **I1** Nothing is acknowledged that is not durable, by whichever way it came.
//! * **I11**, **T27** Every route names its permission in one table. What records hold is looked at through a
//!   [`reading::Reading`] alone, and there is none before the record that it began is durable.
//! * **I12** Memory, connections, heads, bodies, queries and turns have limits; passing one is an answer that names it.
//! * **T24**, **T28** Names in paths lead to trails and tiles alone, and tell nobody what exists.
//!
//! # What it is not
//!
//! It knows nothing of how records are stored, decides nothing about who may what, and keeps no state but
//! connections and logins that have begun.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod access_record;
mod acknowledger;
mod answered;
mod append;
mod asked;
mod body;
mod change;
mod clerk;
pub mod config;
mod connections;
mod cookie;
mod cross_site;
mod exchange;
mod exports;
mod figures;
mod filters;
mod groups;
mod guard;
mod listen;
mod log;
pub mod logging;
mod login;
mod metrics;
mod one;
mod open;
pub mod openapi;
mod outlet;
pub mod problem;
pub mod reading;
mod reconcile;
mod refusals;
mod room;
mod router;
mod routes;
mod rows;
mod sample;
mod schemas;
mod search;
mod serve;
mod served;
mod server;
mod sql;
mod table;
mod tls;
mod tokens;
mod trails;
mod watched;

pub use config::Config;
pub use cross_site::CSRF;
pub use exports::SUMMARY as EXPORT_SUMMARY;
pub use guard::PURPOSE;
pub use login::LoginSettings;
pub use routes::ROUTES;
pub use serve::{Running, StartError, Started, check, run, start};
pub use table::{Need, Route};

/// Does what waits for disks or takes long where it holds up no other request.
async fn off_the_loop<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, problem::Problem> + Send + 'static,
) -> Result<T, problem::Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| problem::internal(&error))?
}
