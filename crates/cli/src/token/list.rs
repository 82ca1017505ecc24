//! `onrecord token list`: what tokens there are.

use access::Token;

use super::{Server, object, reach};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::table::table;
use crate::text::plain;
use crate::time;

/// List the tokens, and when each was used last
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Server,
}

pub fn run(session: &Session, args: &Args) -> Outcome {
    let tokens = args.server.tokens(session)?.list().map_err(|error| Failure::of(Exit::CouldNot, &error))?;
    let now = session.host.now_ns();
    if session.json {
        for (token, used) in &tokens {
            let line = object(token).field("state", state(token, now)).field("last_used", used.map(time::utc)).line();
            session.print(&line)?;
        }
        return Ok(Exit::Done);
    }
    if tokens.is_empty() {
        session.print("there are no tokens; make one with: onrecord token create\n")?;
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = tokens
        .iter()
        .map(|(token, used)| {
            vec![
                token.id.clone(),
                plain(&token.spec.name),
                plain(&reach(token)),
                state(token, now).to_owned(),
                token.spec.assignment.until.map(time::utc).unwrap_or_default(),
                used.map_or_else(|| "never".to_owned(), time::utc),
            ]
        })
        .collect();
    session.print(&table(session, &["id", "for", "role", "state", "until", "last used"], &rows))?;
    Ok(Exit::Done)
}

fn state(token: &Token, now_ns: i64) -> &'static str {
    let of = &token.spec.assignment;
    match () {
        () if token.revoked.is_some() => "revoked",
        () if of.until.is_some_and(|until| until <= now_ns) => "expired",
        () if of.from.is_some_and(|from| now_ns < from) => "not yet",
        () if token.old_secret_until(now_ns).is_some() => "rotating",
        () => "good",
    }
}
