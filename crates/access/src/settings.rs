//! `access.toml`: what a site says of masks, tenants, certificates and groups.

use std::path::{Path, PathBuf};

use host::{FileError, Host};
use record::FieldRef;
use serde::Deserialize;

use crate::certificate::CertificateRule;
use crate::masks::{MaskRule, RULES_MAX, RuleText};
use crate::principal::Assignment;

/// Bytes of the file (I12).
const FILE_BYTES_MAX: usize = 1 << 20;
/// Certificates, and groups, at most.
const MAPPED_MAX: usize = 1_000;

/// What a site says.
#[derive(Debug)]
pub(crate) struct Settings {
    pub masks: Vec<MaskRule>,
    pub tenant_field: Option<FieldRef>,
    pub certificates: Vec<CertificateRule>,
    pub groups: Vec<GroupRule>,
}

/// What a group of an identity provider is given here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupRule {
    pub group: String,
    #[serde(flatten)]
    pub assignment: Assignment,
}

/// Why `access.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It is no TOML, or has a field that is not known or of another type.
    #[error("{}: {what}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// It says something that cannot be.
    #[error("{}: {what}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What.
        what: String,
    },
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct SettingsText {
    mask: Option<Vec<RuleText>>,
    tenants: Option<TenantsText>,
    #[serde(default)]
    certificate: Vec<CertificateRule>,
    #[serde(default)]
    group: Vec<GroupRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantsText {
    field: String,
}

impl Settings {
    /// The text of the file; none is an empty one.
    pub fn text(host: &Host, path: &Path) -> Result<String, SettingsError> {
        let bytes = host.read_if_there(path, "access-settings")?.unwrap_or_default();
        let wrong = |what: String| SettingsError::Wrong { path: path.to_owned(), what };
        if bytes.len() > FILE_BYTES_MAX {
            return Err(wrong(format!("it has {} bytes, more than the limit of {FILE_BYTES_MAX}", bytes.len())));
        }
        String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text; save it as that".to_owned()))
    }

    /// What a text says, which is or would be that file's.
    pub fn parse(path: &Path, text: &str) -> Result<Settings, SettingsError> {
        let settings: SettingsText = toml::from_str(text).map_err(|error| {
            let what = error.to_string().trim_end().to_owned();
            SettingsError::Text { path: path.to_owned(), what }
        })?;
        Settings::of(settings).map_err(|what| SettingsError::Wrong { path: path.to_owned(), what })
    }

    fn of(text: SettingsText) -> Result<Settings, String> {
        let SettingsText { mask, tenants, certificate: certificates, group: groups } = text;
        let masks = match mask {
            None => MaskRule::default_rules(),
            Some(rules) if rules.len() > RULES_MAX => {
                return Err(format!("{} masks are more than the limit of {RULES_MAX}", rules.len()));
            }
            Some(rules) => rules.into_iter().map(MaskRule::of).collect::<Result<_, _>>()?,
        };
        let tenant_field = tenants.map(|tenants| tenant_field(&tenants.field)).transpose()?;
        if certificates.len() > MAPPED_MAX || groups.len() > MAPPED_MAX {
            return Err(format!("more than {MAPPED_MAX} certificates or groups are over the limit"));
        }
        for rule in &certificates {
            rule.check()?;
        }
        let assignments =
            certificates.iter().flat_map(|rule| &rule.roles).chain(groups.iter().map(|rule| &rule.assignment));
        for assignment in assignments {
            if assignment.tenants.some().is_some() && tenant_field.is_none() {
                return Err(
                    "a role is limited to tenants, and no [tenants] field says where records name them".to_owned()
                );
            }
        }
        Ok(Settings { masks, tenant_field, certificates, groups })
    }
}

fn tenant_field(path: &str) -> Result<FieldRef, String> {
    let field = FieldRef::parse(path).map_err(|error| format!("the field of tenants: {error}"))?;
    if field.part == record::Part::Envelope || field.keys.is_empty() {
        return Err(format!("{path} cannot name tenants; take a field inside a section, such as context.tenant"));
    }
    Ok(field)
}
