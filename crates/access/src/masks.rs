//! Which fields are masked, for whom: rules of a site, lifted for who may see them.

use query::{BucketWidth, Mask};
use record::FieldRef;
use serde::Deserialize;

use crate::names::Names;

/// Mask rules at most (I12).
pub(crate) const RULES_MAX: usize = 256;
/// The label of a rule that says none.
const LABEL: &str = "personal";

/// A rule: this field is masked, so, in decisions of these models of these trails.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MaskRule {
    pub field: FieldRef,
    pub how: How,
    pub label: String,
    pub trails: Names,
    pub models: Names,
}

/// How a field is masked. Ordered from what hides most, which wins where two rules meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum How {
    Drop,
    Hash,
    LastFour,
    Bucket(BucketWidth),
}

/// A rule as `access.toml` has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleText {
    field: String,
    #[serde(rename = "as")]
    how: HowText,
    width: Option<f64>,
    #[serde(default = "label")]
    label: String,
    #[serde(default = "all")]
    trails: Names,
    #[serde(default = "all")]
    models: Names,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum HowText {
    Drop,
    Hash,
    #[serde(rename = "last-4")]
    LastFour,
    Bucket,
}

fn label() -> String {
    LABEL.to_owned()
}

fn all() -> Names {
    Names::All
}

impl MaskRule {
    /// The default: who a decision is about shows as a keyed hash, by which it can be found and grouped.
    pub fn default_rules() -> Vec<MaskRule> {
        let subject = FieldRef { part: record::Part::Subject, keys: Vec::new() };
        vec![MaskRule { field: subject, how: How::Hash, label: label(), trails: Names::All, models: Names::All }]
    }

    pub fn of(text: RuleText) -> Result<MaskRule, String> {
        let RuleText { field, how, width, label, trails, models } = text;
        let wrong = |what: &dyn std::fmt::Display| format!("mask of {field:?}: {what}");
        let parsed = FieldRef::parse(&field).map_err(|error| wrong(&error))?;
        let one = query::Policy { masks: vec![(parsed.clone(), Mask::Drop)], rows: None };
        one.check().map_err(|error| wrong(&error))?;
        let how = match (how, width) {
            (HowText::Bucket, Some(width)) => How::Bucket(BucketWidth::new(width).map_err(|error| wrong(&error))?),
            (HowText::Bucket, None) => return Err(wrong(&"a bucket takes a width, such as width = 1000")),
            (_, Some(_)) => return Err(wrong(&"a width is for a bucket alone; leave it out")),
            (HowText::Drop, None) => How::Drop,
            (HowText::Hash, None) => How::Hash,
            (HowText::LastFour, None) => How::LastFour,
        };
        if !crate::names::is_name(&label) {
            return Err(wrong(&"the label is no name"));
        }
        Ok(MaskRule { field: parsed, how, label, trails, models })
    }

    /// Whether the rule is about what is read here.
    pub fn reaches(&self, trail: &str, models: &Names) -> bool {
        let model = match (&self.models, models) {
            (Names::All, _) | (_, Names::All) => true,
            (Names::These(ours), Names::These(theirs)) => !ours.is_disjoint(theirs),
        };
        model && self.trails.has(trail)
    }
}

impl How {
    fn rank(self) -> u8 {
        match self {
            How::Drop => 0,
            How::Hash => 1,
            How::LastFour => 2,
            How::Bucket(_) => 3,
        }
    }

    /// Whether it hides at least as much.
    fn hides_more(self, other: How) -> bool {
        match (self, other) {
            (How::Bucket(wide), How::Bucket(narrow)) => wide.get() >= narrow.get(),
            _ => self.rank() < other.rank(),
        }
    }

    fn mask(self, key: &[u8; 32]) -> Mask {
        match self {
            How::Drop => Mask::Drop,
            How::Hash => Mask::Hash { key: *key },
            How::LastFour => Mask::LastFour,
            How::Bucket(width) => Mask::Bucket { width },
        }
    }
}

/// The masks that rules come to. Of rules that meet in one field, or one inside the other, the outermost field is
/// masked, the way that hides most: a mask never lets more through because there is another.
pub(crate) fn masks(rules: &[&MaskRule], key: &[u8; 32]) -> Vec<(FieldRef, Mask)> {
    let mut outermost: Vec<(&FieldRef, How)> = Vec::new();
    for rule in rules {
        let inside = rules.iter().any(|other| rule.field != other.field && rule.field.is_within(&other.field));
        if !inside && !outermost.iter().any(|(field, _)| **field == rule.field) {
            let within = rules.iter().filter(|other| other.field.is_within(&rule.field)).map(|other| other.how);
            let how = within.fold(rule.how, |most, how| if how.hides_more(most) { how } else { most });
            outermost.push((&rule.field, how));
        }
    }
    outermost.into_iter().map(|(field, how)| (field.clone(), how.mask(key))).collect()
}
