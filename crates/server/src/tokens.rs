//! `/v1/tokens`: who has which token, and changes of them. What one principal may give alone is for `access` to say.

use std::sync::Arc;

use access::{ActError, ChangeError, Reason, TokenChange, TokenError, TokenSheet, TokenSpec};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::asked::Asked;
use crate::body;
use crate::change::{self, Changed};
use crate::figures::json;
use crate::problem::{self, Kind, Problem};
use crate::table::Answering;

/// Bytes of what a token is to be.
const SPEC_BYTES_MAX: usize = 64 << 10;
/// Seconds for which an old secret counts, where nothing is said.
const OVERLAP_S: u64 = 24 * 3600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    #[serde(default = "overlap_s")]
    overlap_s: u64,
}

fn overlap_s() -> u64 {
    OVERLAP_S
}

#[derive(Serialize)]
struct Tokens {
    tokens: Vec<TokenSheet>,
}

/// A token with its text, which is shown now and never again.
#[derive(Serialize)]
struct NewToken<'t> {
    token: TokenSheet,
    text: &'t str,
}

/// Lists them, with when each was used last.
pub fn list(asked: Asked) -> Answering {
    Box::pin(async move {
        let (access, now) = (Arc::clone(&asked.server.access), asked.server.host.now_ns());
        let tokens = asked.in_turn(move || access.tokens().list().map_err(|error| problem::internal(&error))).await?;
        document(&Tokens { tokens: tokens.iter().map(|(token, used)| token.sheet(*used, now)).collect() })
    })
}

/// Makes one.
pub fn create(mut asked: Asked) -> Answering {
    Box::pin(async move {
        let spec: TokenSpec = body::json(&mut asked, SPEC_BYTES_MAX).await?;
        let what = serde_json::to_string(&spec).map_err(|error| problem::internal(&error))?;
        give(&asked, TokenChange::Give(spec), &format!("POST tokens {what}")).await
    })
}

/// Gives one a new secret.
pub fn rotate(mut asked: Asked) -> Answering {
    Box::pin(async move {
        let Rotation { overlap_s } = body::json(&mut asked, SPEC_BYTES_MAX).await?;
        let token = asked.in_path("token")?.to_owned();
        let what = format!("POST tokens/{token}/rotate {{\"overlap_s\":{overlap_s}}}");
        give(&asked, TokenChange::Rotate { token, overlap_s }, &what).await
    })
}

/// Takes one back.
pub fn revoke(asked: Asked) -> Answering {
    Box::pin(async move {
        let (access, now) = (Arc::clone(&asked.server.access), asked.server.host.now_ns());
        let (by, token) = (asked.principal()?.clone(), asked.in_path("token")?.to_owned());
        access.check_revocation(&by, &token, now).map_err(|error| refuse(&asked, &error))?;
        let what = format!("DELETE tokens/{token}");
        let revoked = change::on_record(&asked, &what, move || {
            let told = access.revoke_token(&by, &token, now).map_err(|error| problem(&error))?;
            Ok(Changed { id: token, told })
        });
        document(&revoked.await?.sheet(None, now))
    })
}

/// Does what shows a secret.
async fn give(asked: &Asked, change: TokenChange, what: &str) -> Result<Response, Problem> {
    let (access, now) = (Arc::clone(&asked.server.access), asked.server.host.now_ns());
    let by = asked.principal()?.clone();
    access.check_token_change(&by, &change, now).map_err(|error| refuse(asked, &error))?;
    let given = change::on_record(asked, what, move || {
        let told = access.change_token(&by, &change, now).map_err(|error| problem(&error))?;
        Ok(Changed { id: told.0.id.clone(), told })
    });
    let (token, text) = given.await?;
    document(&NewToken { token: token.sheet(None, now), text: text.reveal() })
}

fn document(told: &impl Serialize) -> Result<Response, Problem> {
    serde_json::to_string(told).map(json).map_err(|error| problem::internal(&error))
}

/// A refusal goes on record; nothing else was asked that could be done.
fn refuse(asked: &Asked, error: &ChangeError) -> Problem {
    if let ChangeError::Act(ActError::Refused(refused)) = error {
        asked.refused(&refused.to_string(), 1);
    }
    problem(error)
}

fn problem(error: &ChangeError) -> Problem {
    match error {
        ChangeError::Act(ActError::Refused(refused)) if refused.reason == Reason::TakesTwo => {
            let what = "a role that reads is not given by one principal alone; whoever owns the server's folder makes \
                        such a token: onrecord token create --dir";
            Problem::new(Kind::Forbidden, what)
        }
        ChangeError::Act(ActError::Refused(refused)) => Problem::new(Kind::Forbidden, refused.public()),
        ChangeError::Token(error) => match error {
            TokenError::Spec(_) => Problem::new(Kind::Malformed, error.to_string()),
            TokenError::Overlap(_) => Problem::new(Kind::Malformed, error.to_string()).field("overlap_s"),
            TokenError::None(_) => Problem::new(Kind::NotFound, error.to_string()),
            TokenError::Revoked(_) | TokenError::TooMany => Problem::new(Kind::Conflict, error.to_string()),
            TokenError::Store(_) => problem::internal(error),
        },
        error => problem::internal(error),
    }
}
