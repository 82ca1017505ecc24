//! `onrecord token`: the tokens of a server, in its folder or by the server.

mod at;
mod create;
mod list;

use std::time::Duration;

use access::{TokenError, TokenSheet};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::object::Object;
use crate::session::Session;
use crate::style::{GOOD, HEAD, paint};
use crate::text::plain;
use crate::time;

use at::NewToken;
pub use at::Server;

/// Make, list, rotate and revoke the tokens of a server
///
/// They are kept in the server's folder, as hashes: a token is shown once. A running server sees a change within a second.
/// Whoever may write to that folder may make any token. With the server's address for --dir the server is asked, with the
/// token in ONRECORD_TOKEN: an admin makes those of writers, and each change goes on record.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Create(create::Args),
    List(list::Args),
    Rotate(RotateArgs),
    Revoke(RevokeArgs),
}

/// Give a token a new secret; the old one counts for a while more
#[derive(clap::Args)]
struct RotateArgs {
    /// The token's id, or all of the token
    token: String,
    #[command(flatten)]
    server: Server,
    /// How long the old secret counts, in hours; 0: no more
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    overlap: u64,
}

/// Take a token back, for good
#[derive(clap::Args)]
struct RevokeArgs {
    /// The token's id, or all of the token
    token: String,
    #[command(flatten)]
    server: Server,
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    match &args.verb {
        Verb::Create(args) => create::run(session, args),
        Verb::List(args) => list::run(session, args),
        Verb::Rotate(args) => rotate(session, args),
        Verb::Revoke(args) => revoke(session, args),
    }
}

fn rotate(session: &Session, args: &RotateArgs) -> Outcome {
    let overlap = Duration::from_secs(args.overlap.saturating_mul(3600));
    let now = session.host.now_ns();
    let made = args.server.tokens(session)?.rotate(id(&args.token), overlap, now)?;
    let about = match made.token.old_secret_until {
        Some(until) => format!("The old secret counts until {}.", time::utc(until)),
        None => "The old secret counts no more.".to_owned(),
    };
    show(session, &made, "rotated the token", Some(&about))
}

fn revoke(session: &Session, args: &RevokeArgs) -> Outcome {
    let token = args.server.tokens(session)?.revoke(id(&args.token), session.host.now_ns())?;
    let text = if session.json {
        object(&token).line()
    } else {
        format!("{} {} of {}\n", paint(GOOD, "revoked the token"), token.id, plain(&token.name))
    };
    session.print(&text)?;
    Ok(Exit::Done)
}

/// Shows a token's text, the one time that it can be shown.
fn show(session: &Session, NewToken { token, text }: &NewToken, done: &str, about: Option<&str>) -> Outcome {
    if session.json {
        session.print(&object(token).field("token", text).line())?;
        return Ok(Exit::Done);
    }
    let line = |name: &str, value: &str| format!("{}  {}\n", paint(HEAD, format!("{name:<8}")), plain(value));
    let mut lines = format!("{} {}\n\n", paint(GOOD, done), token.id);
    lines += &line("for", &token.name);
    lines += &line("role", &reach(token));
    if let Some(until) = token.assignment.until {
        lines += &line("until", &time::utc(until));
    }
    lines += &format!("{}  {}\n\n", paint(HEAD, format!("{:<8}", "token")), plain(text));
    lines += &about.map(|about| format!("{about}\n")).unwrap_or_default();
    lines +=
        "This is the only time that it is shown. Use it as ONRECORD_TOKEN, or in an Authorization: Bearer header.\n";
    session.print(&lines)?;
    Ok(Exit::Done)
}

/// The id in what a person gave: an id, or all of a token.
fn id(text: &str) -> &str {
    text.strip_prefix("onr_").and_then(|text| text.split('_').next()).unwrap_or(text)
}

/// A role and what it reaches, in a line.
fn reach(token: &TokenSheet) -> String {
    let of = &token.assignment;
    let mut line = format!("{} on {}", of.role, all_or(&of.trails, "all trails"));
    if let Some(models) = of.models.some() {
        line += &format!(", models {}", joined(models));
    }
    if let Some(tenants) = of.tenants.some() {
        line += &format!(", tenants {}", joined(tenants));
    }
    if let Some(kinds) = &of.kinds {
        line += &format!(", kinds {}", kinds.to_string().replace(',', ", "));
    }
    line
}

fn all_or(names: &access::Names, all: &str) -> String {
    names.some().map_or_else(|| all.to_owned(), joined)
}

fn joined<'n>(names: impl IntoIterator<Item = &'n String>) -> String {
    names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// What is known of a token, without anything that lets anybody in.
fn object(token: &TokenSheet) -> Object {
    let of = &token.assignment;
    Object::default()
        .field("id", &token.id)
        .field("name", &token.name)
        .field("role", &of.role)
        .field("trails", &of.trails)
        .field("models", &of.models)
        .field("tenants", &of.tenants)
        .field("kinds", &of.kinds)
        .field("from", of.from.map(time::utc))
        .field("until", of.until.map(time::utc))
        .field("created", time::utc(token.created))
        .field("created_by", &token.created_by)
        .field("revoked", token.revoked.map(time::utc))
}

fn failure(error: TokenError) -> Failure {
    let exit = match &error {
        TokenError::None(_) => Exit::Negative,
        TokenError::Store(_) => Exit::CouldNot,
        _ => Exit::WrongUse,
    };
    Failure::of(exit, &error)
}
