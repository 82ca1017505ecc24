//! What a policy may not touch, where an answer is to be the same for whoever sees everything: the population of a sample,
//! the query of an export, what groups and counts are made of. All of it is decided by the names of fields: nothing is
//! said of what records hold.

use record::{FieldRef, Part};

use crate::error::QueryError;
use crate::face::{Face, Shape, Source};
use crate::search::Search;
use crate::statement;
use crate::view::View;

impl View {
    /// A predicate that finds, for whoever sees everything, the records that `predicate` finds here: what the row filter
    /// hides is told in it.
    ///
    /// # Errors
    /// [`QueryError::Hidden`] if there is none: it reads what is masked here, or other records than the one it judges.
    pub(crate) fn repeatable_predicate(&self, predicate: &str) -> Result<String, QueryError> {
        let predicate = statement::predicate(predicate)?;
        self.reads_plain(&predicate, "what it finds")?;
        let Some(rows) = &self.policy.rows else { return Ok(predicate) };
        // A query inside of it is asked of the records that this reader sees, and later of all.
        if statement::has_queries(&predicate)? {
            let what = "a query inside of a filter reads records that your role does not see, so what it finds could not \
                        be checked; write the filter without one";
            return Err(QueryError::Hidden(what.to_owned()));
        }
        self.reads_plain(&statement::predicate(rows)?, "what your role sees")?;
        statement::predicate(&format!("({predicate}) AND ({rows})"))
    }

    /// The search that finds, for whoever sees everything, the records that `search` finds here.
    ///
    /// # Errors
    /// [`QueryError::Hidden`] if there is none: it reads what is masked here, or other records than the one it judges.
    pub fn repeatable(&self, search: &Search) -> Result<Search, QueryError> {
        if self.policy.is_open() {
            return Ok(search.clone());
        }
        self.repeatable_predicate(&search.condition()?)?;
        let Some(rows) = &self.policy.rows else { return Ok(search.clone()) };
        let matches = match &search.matches {
            Some(given) => format!("({}) AND ({rows})", statement::predicate(given)?),
            None => rows.clone(),
        };
        Ok(Search { matches: Some(statement::predicate(&matches)?), ..search.clone() })
    }

    /// Refuses where a mask covers anything in one of these parts: whoever is shown a part is shown all of it.
    pub(crate) fn shows_parts(&self, parts: &[Part]) -> Result<(), QueryError> {
        let masked = self.policy.masks.iter().find(|(field, _)| parts.contains(&field.part));
        let Some((field, _)) = masked else { return Ok(()) };
        Err(QueryError::Hidden(format!(
            "{field} is masked for your role, and of a part of which a column is all is shown; leave out the columns of {}",
            field.part.name()
        )))
    }

    /// Refuses an expression that names anything that a mask covers, or that has something masked in it.
    pub(crate) fn reads_plain(&self, expression: &str, made: &str) -> Result<(), QueryError> {
        if self.policy.masks.is_empty() {
            return Ok(());
        }
        match self.named_in(expression)?.iter().find(|face| self.is_masked(face)) {
            Some(face) => Err(masked(&face.name, made)),
            None => Ok(()),
        }
    }

    /// Refuses where one of these fields is masked.
    pub(crate) fn sees_plain(&self, fields: &[&str], made: &str) -> Result<(), QueryError> {
        let field = |name: &&&str| FieldRef::parse(name).is_ok_and(|field| self.policy.mask_of(&field).is_some());
        match fields.iter().find(field) {
            Some(name) => Err(masked(name, made)),
            None => Ok(()),
        }
    }

    fn is_masked(&self, face: &Face) -> bool {
        face.mask.is_some()
            || match &face.source {
                Source::Field(field, Shape::Json) => !self.policy.masks_within(field).is_empty(),
                Source::Rest => true,
                _ => false,
            }
    }
}

/// What is said of something masked, of which something would be made.
pub(crate) fn masked(name: &str, made: &str) -> QueryError {
    QueryError::Hidden(format!(
        "{name} is masked for your role, and {made} would be made of the masks; name fields that you see as they are"
    ))
}
