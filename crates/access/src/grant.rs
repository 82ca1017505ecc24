//! What was granted, and how it is found.

use std::sync::Arc;

use record::{FieldRef, Kind};

use crate::cedar::{On, Policies, Question};
use crate::kinds::Kinds;
use crate::masks::{self, MaskRule};
use crate::names::Names;
use crate::permission::Permission;
use crate::principal::{Assignment, Principal, Resource};
use crate::refused::{PURPOSE_BYTES_MAX, Reason, Refused};
use crate::settings::Settings;

/// What was granted. Whoever reads by it gives [`Grant::policy`] to every query; whoever appends by it asks
/// [`Grant::may_append`] for every record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// To whom: the principal's id, and as people call it.
    pub principal: String,
    /// As people call it.
    pub name: String,
    /// The role by which.
    pub role: String,
    /// What for.
    pub permission: Permission,
    /// Why, in the words of who asked.
    pub purpose: Option<String>,
    /// What may be seen: masks, and which records.
    pub policy: query::Policy,
    /// Which kinds of record may be appended; none if it was not asked to append.
    pub kinds: Kinds,
    /// Of which models.
    pub models: Names,
    /// Of which tenants.
    pub tenants: Names,
}

impl Grant {
    /// Whether a record of that kind, whose envelope names that model, may be appended.
    ///
    /// # Errors
    /// [`Refused`], which says what is missing.
    pub fn may_append(&self, kind: Kind, model: Option<&str>) -> Result<(), Refused> {
        let reason = match (&self.models, model) {
            _ if !self.kinds.has(kind) => Reason::Kind { kind },
            (Names::All, _) => return Ok(()),
            (Names::These(_), None) => Reason::NoModel,
            (models, Some(model)) if models.has(model) => return Ok(()),
            _ => Reason::Model,
        };
        Err(Refused { reason, permission: Some(Permission::Append), principal: Some(self.principal.clone()) })
    }
}

/// What is asked.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub principal: &'a Principal,
    pub permission: Permission,
    pub resource: Resource<'a>,
    pub purpose: Option<&'a str>,
    pub now_ns: i64,
}

/// All that decides.
#[derive(Clone)]
pub(crate) struct Rules {
    pub policies: Arc<Policies>,
    pub settings: Arc<Settings>,
    pub mask_key: [u8; 32],
    /// Of all texts that they are made of.
    pub digest: [u8; 32],
}

impl Rules {
    /// Asks for each role of the principal, in their order: the first that is granted counts. Where none is, the refusal
    /// is of the role that came nearest.
    pub fn decide(&self, asked: &Asked<'_>) -> Result<Grant, Refused> {
        let refused = |reason| Refused {
            reason,
            permission: Some(asked.permission),
            principal: Some(asked.principal.id.clone()),
        };
        let purpose = asked.purpose.map(str::trim).filter(|purpose| !purpose.is_empty());
        if purpose.is_some_and(|purpose| purpose.len() > PURPOSE_BYTES_MAX || purpose.chars().any(char::is_control)) {
            return Err(refused(Reason::PurposeMalformed));
        }
        let asked = Asked { purpose, ..*asked };
        let mut nearest = Reason::OutOfReach;
        for assignment in &asked.principal.assignments {
            match self.by(&asked, assignment) {
                Ok(grant) => return Ok(grant),
                Err(reason) if nearness(&reason) > nearness(&nearest) => nearest = reason,
                Err(_) => {}
            }
        }
        Err(refused(nearest))
    }

    fn by(&self, asked: &Asked<'_>, assignment: &Assignment) -> Result<Grant, Reason> {
        within_reach(asked, assignment)?;
        let kinds = self.kinds(asked, assignment);
        let permitted = match asked.permission {
            Permission::Append => !kinds.is_empty(),
            other => self.permits(asked, assignment, other.name()),
        };
        if !permitted {
            let stated = Asked { purpose: Some("stated"), ..*asked };
            let with_purpose = asked.purpose.is_none()
                && asked.permission != Permission::Append
                && self.permits(&stated, assignment, asked.permission.name());
            return Err(if with_purpose { Reason::Purpose } else { Reason::Policy });
        }
        let models = match asked.resource.model {
            Some(model) => Names::These([model.to_owned()].into()),
            None => assignment.models.clone(),
        };
        Ok(Grant {
            principal: asked.principal.id.clone(),
            name: asked.principal.name.clone(),
            role: assignment.role.name().to_owned(),
            permission: asked.permission,
            purpose: asked.purpose.map(str::to_owned),
            policy: query::Policy {
                masks: self.masks(asked, assignment, &models),
                rows: self.rows(asked, assignment, &models)?,
            },
            kinds,
            models,
            tenants: assignment.tenants.clone(),
        })
    }

    fn permits(&self, asked: &Asked<'_>, assignment: &Assignment, action: &str) -> bool {
        self.permits_on(asked, assignment, action, on(asked.resource))
    }

    fn permits_on(&self, asked: &Asked<'_>, assignment: &Assignment, action: &str, on: On<'_>) -> bool {
        let Asked { principal, purpose, now_ns, .. } = *asked;
        self.policies.permit(&Question { principal, assignment, action, on, now_ns, purpose })
    }

    /// The kinds that may be appended; none where it was not asked to append.
    fn kinds(&self, asked: &Asked<'_>, assignment: &Assignment) -> Kinds {
        if asked.permission != Permission::Append {
            return Kinds::default();
        }
        let may = |kind: &Kind| {
            assignment.kinds.as_ref().is_none_or(|kinds| kinds.has(*kind))
                && self.permits(asked, assignment, &format!("append-{}", kind.name()))
        };
        Kind::all().filter(may).collect()
    }

    fn masks(&self, asked: &Asked<'_>, assignment: &Assignment, models: &Names) -> Vec<(FieldRef, query::Mask)> {
        let Some(trail) = asked.resource.trail else { return Vec::new() };
        let masked = |rule: &&MaskRule| {
            let path = rule.field.to_string();
            let on = On::Field { trail, model: asked.resource.model, path: &path, label: &rule.label };
            rule.reaches(trail, models) && !self.permits_on(asked, assignment, "unmask", on)
        };
        let rules: Vec<&MaskRule> = self.settings.masks.iter().filter(masked).collect();
        masks::masks(&rules, &self.key_of(trail))
    }

    /// Which records may be seen, as SQL; nothing where all may.
    fn rows(&self, asked: &Asked<'_>, assignment: &Assignment, models: &Names) -> Result<Option<String>, Reason> {
        if asked.resource.trail.is_none() {
            return Ok(None);
        }
        let mut terms = Vec::new();
        if let Names::These(models) = models {
            terms.push(one_of("model.name", models));
        }
        if let Names::These(tenants) = &assignment.tenants {
            // Where no field is said to name tenants, nothing is known to be theirs.
            let field = self.settings.tenant_field.as_ref().ok_or(Reason::Policy)?;
            terms.push(one_of(&as_text(field), tenants));
        }
        // Who read what, and the words they asked in, is for who may see just that.
        if !self.permits(asked, assignment, Permission::AccessLog.name()) {
            terms.push(format!("kind <> {}", literal(Kind::Access.name())));
        }
        Ok((!terms.is_empty()).then(|| terms.join(" AND ")))
    }

    /// The key by which masks of one trail hash: another for each, so that hashes link nobody from one to the other.
    fn key_of(&self, trail: &str) -> [u8; 32] {
        let mut key = [0; 32];
        // 32 bytes are well within what the function gives, which is all that it can fail by.
        let made = hkdf::Hkdf::<sha2::Sha256>::new(None, &self.mask_key)
            .expand_multi_info(&[b"onrecord/mask/", trail.as_bytes()], &mut key);
        debug_assert!(made.is_ok());
        key
    }
}

/// The bounds of an assignment, which no policy can widen.
fn within_reach(asked: &Asked<'_>, assignment: &Assignment) -> Result<(), Reason> {
    let Resource { trail, model } = asked.resource;
    if asked.permission.of_server() != trail.is_none() {
        return Err(Reason::OutOfReach);
    }
    // The server as a whole is in reach of who reaches every trail.
    let reached = trail.map_or(assignment.trails == Names::All, |trail| assignment.trails.has(trail));
    match () {
        () if !reached => Err(Reason::OutOfReach),
        () if model.is_some_and(|model| !assignment.models.has(model)) => Err(Reason::Model),
        () if !assignment.is_in_time(asked.now_ns) => Err(Reason::Time),
        () => Ok(()),
    }
}

fn on(resource: Resource<'_>) -> On<'_> {
    let Resource { trail, model } = resource;
    trail.map_or(On::Server, |trail| On::Trail { trail, model })
}

/// How near a role came to granting, by why it did not.
fn nearness(reason: &Reason) -> u8 {
    match reason {
        Reason::Purpose => 4,
        Reason::Policy => 3,
        Reason::Time => 2,
        Reason::Model => 1,
        _ => 0,
    }
}

/// A field inside a section as text, whether any record of the trail has it or not: a filter that names a field which
/// nothing has would be an error where it must be an answer without rows.
fn as_text(field: &FieldRef) -> String {
    let keys: Vec<String> = field.keys.iter().map(|key| literal(key)).collect();
    format!("json_text({}, {})", field.part.name(), keys.join(", "))
}

fn one_of<'n>(what: &str, names: impl IntoIterator<Item = &'n String>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| literal(name)).collect();
    if names.is_empty() { "false".to_owned() } else { format!("{what} IN ({})", names.join(", ")) }
}

/// A text as SQL.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
