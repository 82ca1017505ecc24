//! `onrecord token list`: what tokens there are.

use super::{Server, object, reach};
use crate::exit::Exit;
use crate::failure::Outcome;
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
    let tokens = args.server.tokens(session)?.list(session.host.now_ns())?;
    if session.json {
        for token in &tokens {
            let line = object(token).field("state", token.state).field("last_used", token.last_used.map(time::utc));
            let line = line.line();
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
        .map(|token| {
            vec![
                token.id.clone(),
                plain(&token.name),
                plain(&reach(token)),
                token.state.name().to_owned(),
                token.assignment.until.map(time::utc).unwrap_or_default(),
                token.last_used.map_or_else(|| "never".to_owned(), time::utc),
            ]
        })
        .collect();
    session.print(&table(session, &["id", "for", "role", "state", "until", "last used"], &rows))?;
    Ok(Exit::Done)
}
