//! `onrecord token create`: a new token.

use access::{Assignment, Kinds, Names, Role, TokenSpec};
use query::Span;

use super::{Server, show};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// Make a token, and show it once
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// Who or what it is for: it is named so in access records
    name: String,
    #[command(flatten)]
    server: Server,
    /// What it may do: writer, reader, analyst, auditor, investigator, model-owner, regulator, admin, or a role of your own policies
    #[arg(long)]
    role: String,
    /// A trail that it reaches, or * for all and the server itself; may be repeated
    #[arg(long, value_name = "NAME", required = true)]
    trail: Vec<String>,
    /// A model that it is limited to; may be repeated
    #[arg(long, value_name = "NAME")]
    model: Vec<String>,
    /// A tenant whose records it reads; may be repeated
    #[arg(long, value_name = "NAME")]
    tenant: Vec<String>,
    /// A kind of record that it appends, of those that its role may; may be repeated
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// From when it counts
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when it counts
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

const AFTER: &str = "\
Examples:
  onrecord token create credit-api --dir ./server --role writer --trail credit
  onrecord token create 'BaFin 2026-3' --dir ./server --role regulator --trail credit \\
    --from 2026-03-01 --until 2026-03-31
  onrecord token create scorer --dir https://audit.example.com:7411 --role writer --trail credit";

pub fn run(session: &Session, args: &Args) -> Outcome {
    let now = session.host.now_ns();
    let names = |names: &[String]| Names::of(names.iter().cloned()).map_err(wrong);
    let some = |given: &[String]| if given.is_empty() { Ok(Names::All) } else { names(given) };
    let time = |text: &Option<String>| text.as_deref().map(|text| Span::read(text, now)).transpose().map_err(wrong);
    let kinds = (!args.kind.is_empty()).then(|| Kinds::try_from(args.kind.clone())).transpose().map_err(wrong)?;
    let assignment = Assignment {
        role: Role::new(&args.role).map_err(wrong)?,
        trails: names(&args.trail)?,
        models: some(&args.model)?,
        tenants: some(&args.tenant)?,
        kinds,
        from: time(&args.from)?.map(|span| span.from),
        // A last day is meant whole; a moment ends there.
        until: time(&args.until)?.map(|span| if span.is_moment() { span.from } else { span.until }),
    };
    if !assignment.role.is_built_in() {
        session.note(&format!(
            "{} is no role of the default policy: it may do what your own policies permit",
            assignment.role
        ));
    }
    let spec = TokenSpec { name: args.name.clone(), assignment };
    show(session, &args.server.tokens(session)?.create(spec, now)?, "made the token", None)
}

fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::of(Exit::WrongUse, &error)
}
