//! Where the tokens of a server are changed: in its folder, or by the server, which asks whether one may.

use std::path::Path;
use std::time::Duration;

use access::{Token, TokenError, TokenSheet, TokenSpec, TokenText, Tokens};
use serde::Deserialize;

use super::failure;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::remote::{Remote, is_server};
use crate::session::Session;
use crate::text::plain;

/// Which server.
#[derive(clap::Args)]
pub struct Server {
    /// The server's folder, or its address
    #[arg(long, value_name = "DIR|URL")]
    dir: String,
}

/// A token, and its text.
#[derive(Deserialize)]
pub struct NewToken {
    pub token: TokenSheet,
    pub text: String,
}

#[derive(Deserialize)]
struct Listed {
    tokens: Vec<TokenSheet>,
}

/// Where tokens are changed.
pub enum At {
    Folder(Box<Tokens>),
    Server(Remote),
}

/// The path of the tokens on a server.
const TOKENS: &str = "/v1/tokens";

impl Server {
    /// Where its tokens are changed.
    pub fn tokens(&self, session: &Session) -> Result<At, Failure> {
        if let Some(remote) = Remote::of(&self.dir) {
            return Ok(At::Server(remote?));
        }
        let tokens = Tokens::open(&session.host, self.folder()?);
        Ok(At::Folder(Box::new(tokens.map_err(|error| Failure::of(Exit::CouldNot, &error))?)))
    }

    /// The folder, which must be there: a mistyped one would get a token that opens nothing.
    pub fn folder(&self) -> Result<&Path, Failure> {
        if is_server(&self.dir) {
            let what = format!("{} is a server, and this verb works on its folder alone", plain(&self.dir));
            return Err(Failure::wrong_use(what).hint("give the folder that the server is started with (serve --dir)"));
        }
        let dir = Path::new(&self.dir);
        if dir.is_dir() {
            return Ok(dir);
        }
        let what = format!("{} is no folder", dir.display());
        Err(Failure::wrong_use(what).hint("give the folder that the server is started with (serve --dir)"))
    }
}

impl At {
    pub fn create(&self, spec: TokenSpec, now_ns: i64) -> Result<NewToken, Failure> {
        match self {
            At::Folder(tokens) => of_folder(tokens.create(spec, "command line", now_ns), now_ns),
            At::Server(remote) => remote.post(TOKENS, &[], JSON, json(&spec)?),
        }
    }

    pub fn list(&self, now_ns: i64) -> Result<Vec<TokenSheet>, Failure> {
        match self {
            At::Folder(tokens) => {
                let tokens = tokens.list().map_err(|error| Failure::of(Exit::CouldNot, &error))?;
                Ok(tokens.iter().map(|(token, used)| token.sheet(*used, now_ns)).collect())
            }
            At::Server(remote) => Ok(remote.document::<Listed>(TOKENS, &[])?.tokens),
        }
    }

    pub fn rotate(&self, id: &str, overlap: Duration, now_ns: i64) -> Result<NewToken, Failure> {
        match self {
            At::Folder(tokens) => of_folder(tokens.rotate(id, overlap, now_ns), now_ns),
            At::Server(remote) => {
                let body = json(&serde_json::json!({ "overlap_s": overlap.as_secs() }))?;
                remote.post(&format!("{}/rotate", path(id)?), &[], JSON, body)
            }
        }
    }

    pub fn revoke(&self, id: &str, now_ns: i64) -> Result<TokenSheet, Failure> {
        match self {
            At::Folder(tokens) => {
                let token = tokens.revoke(id, now_ns).map_err(failure)?;
                Ok(token.sheet(None, now_ns))
            }
            At::Server(remote) => remote.delete(&path(id)?),
        }
    }
}

const JSON: &str = "application/json";

fn json(body: &impl serde::Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(body).map_err(|error| Failure::could_not(format!("cannot write the request: {error}")))
}

/// The path of one token. What is no id is no token's, and no part of a path either.
fn path(id: &str) -> Result<String, Failure> {
    let is_id = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let none = || failure(TokenError::None(id.chars().take(64).collect()));
    is_id.then(|| format!("{TOKENS}/{id}")).ok_or_else(none)
}

fn of_folder(made: Result<(Token, TokenText), TokenError>, now_ns: i64) -> Result<NewToken, Failure> {
    let (token, text) = made.map_err(failure)?;
    Ok(NewToken { token: token.sheet(None, now_ns), text: text.reveal().to_owned() })
}
