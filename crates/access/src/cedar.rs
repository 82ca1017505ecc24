//! Access policies: the default one, a site's own beside it, and the question whether they permit something.
//!
//! The default policy and the schema are in `policy/`, and are compiled in. A site adds policies, and takes nothing out:
//! what `policy/guards.cedar` forbids stays forbidden, since in Cedar a `forbid` wins over every `permit`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet,
    Request, RestrictedExpression, Schema, ValidationMode, Validator,
};
use host::{FileError, Host};
use miette::Diagnostic;

use crate::principal::{Assignment, Principal, PrincipalKind};

/// The schema of access policies.
pub const SCHEMA: &str = include_str!("../policy/access.cedarschema");
/// The default policy, file by file.
pub const DEFAULT_POLICY: [(&str, &str); 2] =
    [("roles.cedar", include_str!("../policy/roles.cedar")), ("guards.cedar", include_str!("../policy/guards.cedar"))];

/// Files of a site's policies (I12).
const FILES_MAX: usize = 64;
/// Bytes of one.
const FILE_BYTES_MAX: usize = 256 << 10;

/// Why a site's policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file is no Cedar, or speaks of what the schema does not know.
    #[error("{}:{line}:{column}: {what}{}", file.display(), hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong there.
        what: String,
        /// What to do, where the parser knows.
        hint: Option<String>,
    },
    /// Too many files, or too large a one.
    #[error("{}: {what} is more than the limit of {max}; put fewer or smaller policies there", path.display())]
    Limit {
        /// The folder, or the file.
        path: PathBuf,
        /// What there is too much of.
        what: String,
        /// The limit.
        max: usize,
    },
    /// A file is not UTF-8.
    #[error("{}: it is not UTF-8 text; save it as that", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Policies, ready to be asked.
pub(crate) struct Policies {
    schema: Schema,
    /// Actions and their groups, which every request is evaluated with.
    actions: Vec<Entity>,
    set: PolicySet,
    authorizer: Authorizer,
}

/// What is asked of the policies.
pub(crate) struct Question<'a> {
    pub principal: &'a Principal,
    pub assignment: &'a Assignment,
    pub action: &'a str,
    pub on: On<'a>,
    pub now_ns: i64,
    pub purpose: Option<&'a str>,
}

/// What it is asked about.
#[derive(Clone, Copy)]
pub(crate) enum On<'a> {
    Server,
    Trail { trail: &'a str, model: Option<&'a str> },
    Field { trail: &'a str, model: Option<&'a str>, path: &'a str, label: &'a str },
    Role { role: &'a str, holder: &'a str, approved: bool },
}

/// A text of policies, and where it is from.
pub(crate) struct Source {
    pub file: PathBuf,
    pub text: String,
}

impl Policies {
    /// The default policy and a site's.
    pub fn new(site: &[Source]) -> Result<Policies, PolicyError> {
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA)
            .map_err(|error| wrong(Path::new("access.cedarschema"), SCHEMA, &error, &error))?;
        let actions =
            schema.action_entities().map_err(|error| wrong(Path::new("access.cedarschema"), SCHEMA, &error, &error))?;
        let actions = actions.into_iter().collect();
        let validator = Validator::new(schema.clone());
        let default = DEFAULT_POLICY.map(|(file, text)| Source { file: file.into(), text: text.to_owned() });
        let mut set = PolicySet::new();
        for source in default.iter().chain(site) {
            add(&mut set, &validator, source)?;
        }
        Ok(Policies { schema, actions, set, authorizer: Authorizer::new() })
    }

    /// Reads a site's policies: every `.cedar` file of a folder, in the order of their names. No folder is no policies.
    pub fn read_folder(host: &Host, folder: &Path) -> Result<Vec<Source>, PolicyError> {
        let paths = match host.list(folder, "policies") {
            Ok(paths) => paths,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let files: Vec<PathBuf> =
            paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "cedar")).collect();
        if files.len() > FILES_MAX {
            let what = format!("{} files", files.len());
            return Err(PolicyError::Limit { path: folder.to_owned(), what, max: FILES_MAX });
        }
        let read = |file: PathBuf| {
            let bytes = host.read_if_there(&file, "policies")?.unwrap_or_default();
            if bytes.len() > FILE_BYTES_MAX {
                let what = format!("{} bytes", bytes.len());
                return Err(PolicyError::Limit { path: file, what, max: FILE_BYTES_MAX });
            }
            match String::from_utf8(bytes) {
                Ok(text) => Ok(Source { file, text }),
                Err(_) => Err(PolicyError::NotText { path: file }),
            }
        };
        files.into_iter().map(read).collect()
    }

    /// Whether the policies permit it. Whatever cannot be evaluated is not permitted: a `forbid` that fails would else be
    /// no `forbid` (I11).
    pub fn permit(&self, question: &Question<'_>) -> bool {
        self.ask(question).unwrap_or(false)
    }

    fn ask(&self, question: &Question<'_>) -> Option<bool> {
        let principal = principal(question)?;
        let resource = resource(question.on)?;
        let uids = (principal.uid(), resource[0].uid());
        let entities = self.actions.iter().cloned().chain(resource).chain([principal]);
        // No schema: the actions' hierarchy is among the entities, and what is made here fits by construction, as the
        // request's check against the schema shows for the rest.
        let entities = Entities::from_entities(entities, None).ok()?;
        let context = Context::from_pairs(context(question)).ok()?;
        let action = uid("Action", question.action)?;
        let request = Request::new(uids.0, action, uids.1, context, Some(&self.schema)).ok()?;
        let response = self.authorizer.is_authorized(&request, &self.set, &entities);
        let clean = response.diagnostics().errors().next().is_none();
        Some(clean && response.decision() == Decision::Allow)
    }
}

/// Adds a file's policies, each under its file's name and number, and checks them against the schema.
fn add(set: &mut PolicySet, validator: &Validator, source: &Source) -> Result<(), PolicyError> {
    let parsed = PolicySet::from_str(&source.text).map_err(|errors| {
        let first = errors.iter().next().map(|error| wrong(&source.file, &source.text, error, error));
        first.unwrap_or_else(|| wrong(&source.file, &source.text, &errors, &errors))
    })?;
    let checked = validator.validate(&parsed, ValidationMode::Strict);
    if let Some(error) = checked.validation_errors().next() {
        let mut wrong = wrong(&source.file, &source.text, error, error);
        // The validator guesses a name that was meant, another one each time.
        if let PolicyError::Wrong { hint, .. } = &mut wrong {
            *hint = Some("the words that policies may use are in access.cedarschema".to_owned());
        }
        return Err(wrong);
    }
    if let Some(template) = parsed.templates().next() {
        let slot = source.text.find("?principal").or_else(|| source.text.find("?resource"));
        let (line, column) = lines(&source.text, slot.unwrap_or(0));
        let what = format!("{} is a template, which nothing links", template.id());
        let hint = Some("name the principal and resource in the policy".to_owned());
        return Err(PolicyError::Wrong { file: source.file.clone(), line, column, what, hint });
    }
    let file = source.file.file_name().unwrap_or_default().to_string_lossy();
    let mut policies: Vec<&Policy> = parsed.policies().collect();
    policies.sort_by_key(|policy| policy.id().to_string());
    for policy in policies {
        let name = policy.annotation("id").map_or_else(|| policy.id().to_string(), str::to_owned);
        let id = format!("{file}/{name}");
        set.add(policy.new_id(PolicyId::new(id))).map_err(|error| {
            let hint = Some("give each policy of a file an @id of its own".to_owned());
            PolicyError::Wrong { file: source.file.clone(), line: 1, column: 1, what: error.to_string(), hint }
        })?;
    }
    Ok(())
}

/// An error with the place that it is about.
fn wrong(file: &Path, text: &str, error: &dyn std::fmt::Display, diagnostic: &dyn Diagnostic) -> PolicyError {
    let label = diagnostic.labels().and_then(|mut labels| labels.next());
    let (line, column) = lines(text, label.as_ref().map_or(0, |label| label.offset()));
    let said = label.as_ref().and_then(|label| label.label());
    let what = said.map_or_else(|| error.to_string(), |said| format!("{error}: {said}"));
    let hint = diagnostic.help().map(|help| help.to_string());
    PolicyError::Wrong { file: file.to_owned(), line, column, what, hint }
}

/// Line and column of a byte, from 1.
fn lines(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
}

fn uid(kind: &str, id: &str) -> Option<EntityUid> {
    let name = EntityTypeName::from_str(&format!("OnRecord::{kind}")).ok()?;
    Some(EntityUid::from_type_name_and_id(name, EntityId::new(id)))
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

/// A time as Cedar has it, in milliseconds. Rounded down: a time box is met to the millisecond.
fn time(ns: i64) -> RestrictedExpression {
    let time = chrono::DateTime::from_timestamp_millis(ns.div_euclid(1_000_000)).unwrap_or_default();
    RestrictedExpression::new_datetime(time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

fn principal(question: &Question<'_>) -> Option<Entity> {
    let Question { principal, assignment, .. } = question;
    let holds = principal.assignments.iter().map(|assignment| text(assignment.role.name()));
    let mut attributes = HashMap::from([
        ("name".to_owned(), text(principal.rule_name())),
        ("holds".to_owned(), RestrictedExpression::new_set(holds)),
    ]);
    attributes.extend(assignment.from.map(|from| ("from".to_owned(), time(from))));
    attributes.extend(assignment.until.map(|until| ("until".to_owned(), time(until))));
    let kind = match principal.kind {
        PrincipalKind::Token => "Token",
        PrincipalKind::Person => "Person",
        PrincipalKind::Service => "Service",
    };
    let roles = HashSet::from([uid("Role", assignment.role.name())?]);
    // The id without its kind, which the type says.
    let id = principal.id.split_once(':').map_or(&*principal.id, |(_, id)| id);
    Entity::new(uid(kind, id)?, attributes, roles).ok()
}

/// The resource, and what it is in.
fn resource(on: On<'_>) -> Option<Vec<Entity>> {
    let server = Entity::new_no_attrs(uid("Server", "server")?, HashSet::new());
    let entity = |uid, parents| Entity::new_no_attrs(uid, HashSet::from([parents]));
    Some(match on {
        On::Server => vec![server],
        On::Trail { trail, .. } => vec![entity(uid("Trail", trail)?, server.uid()), server],
        On::Field { trail, path, label, .. } => {
            let trail = entity(uid("Trail", trail)?, server.uid());
            let attributes = HashMap::from([("path".to_owned(), text(path)), ("label".to_owned(), text(label))]);
            let field = Entity::new(uid("Field", path)?, attributes, HashSet::from([trail.uid()])).ok()?;
            vec![field, trail, server]
        }
        On::Role { role, .. } => vec![Entity::new_no_attrs(uid("Role", role)?, HashSet::new())],
    })
}

fn context(question: &Question<'_>) -> Vec<(String, RestrictedExpression)> {
    let mut pairs = vec![("now".to_owned(), time(question.now_ns))];
    pairs.extend(question.purpose.map(|purpose| ("purpose".to_owned(), text(purpose))));
    match question.on {
        On::Server => {}
        On::Trail { model, .. } | On::Field { model, .. } => {
            pairs.extend(model.map(|model| ("model".to_owned(), text(model))));
        }
        On::Role { holder, approved, .. } => {
            pairs.push(("holder".to_owned(), text(holder)));
            pairs.push(("approved".to_owned(), RestrictedExpression::new_bool(approved)));
        }
    }
    pairs
}
