//! Names that a person may have meant.

/// How much alike two names must be for the one to be suggested for the other: 1 is the same.
const LIKENESS_MIN: f64 = 0.8;

/// Of `known` the name that is most like `name`.
pub(crate) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let likeness = |known: &str| {
        // A field is often given without its section, or in the wrong one.
        let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_lowercase();
        let whole = strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase());
        whole.max(strsim::normalized_damerau_levenshtein(&last(name), &last(known)) * 0.99)
    };
    known
        .into_iter()
        .map(|known| (likeness(known), known))
        .filter(|(likeness, known)| *likeness >= LIKENESS_MIN && *known != name)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.to_owned())
}

/// The suggestion as it stands in a message.
pub(crate) fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_forgotten_sections_are_guessed_and_nothing_else_is() {
        let known = ["inputs.income", "inputs.age", "output.score", "model.version"];
        let near = |name| nearest(name, known);
        assert_eq!(near("inputs.incme").as_deref(), Some("inputs.income"));
        assert_eq!(near("income").as_deref(), Some("inputs.income"));
        assert_eq!(near("output.income").as_deref(), Some("inputs.income"));
        assert_eq!(near("zzz"), None);
    }
}
