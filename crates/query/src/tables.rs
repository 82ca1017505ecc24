//! The tables of a trail, each a view of all records.

use crate::statement::{identifier, literal};

/// A table that every trail has.
pub(crate) struct Table {
    pub name: &'static str,
    /// What its rows are.
    pub about: &'static str,
    /// The view, in SQL over other tables; `events` itself has none.
    view: Option<&'static str>,
    /// Tables that the view reads.
    pub reads: &'static [&'static str],
    /// Fields that the view names.
    pub fields: &'static [&'static str],
}

/// All of them; a view's tables stand in front of it.
pub(crate) const TABLES: [Table; 8] = [
    Table { name: "events", about: "all records, of every kind", view: None, reads: &[], fields: &[] },
    Table {
        name: "decisions",
        about: "what models decided",
        view: Some("SELECT * FROM events WHERE kind = 'decision'"),
        reads: &["events"],
        fields: &[],
    },
    Table {
        name: "explanations",
        about: "attributions that came later; about is the decision's id",
        view: Some("SELECT * FROM events WHERE kind = 'explanation'"),
        reads: &["events"],
        fields: &[],
    },
    Table {
        name: "outcomes",
        about: "ground truth and feedback; about is the decision's id",
        view: Some("SELECT * FROM events WHERE kind = 'outcome'"),
        reads: &["events"],
        fields: &[],
    },
    Table {
        name: "latest_outcomes",
        about: "of each decision the outcome that came last",
        view: Some(
            "SELECT o.* FROM outcomes o LEFT SEMI JOIN \
             (SELECT max(\"index\") AS last FROM outcomes GROUP BY about) l ON o.\"index\" = l.last",
        ),
        reads: &["events", "outcomes"],
        fields: &[],
    },
    Table {
        name: "oversights",
        about: "what people confirmed, overrode, stopped, corrected; about is the decision's id",
        view: Some("SELECT * FROM events WHERE kind = 'oversight'"),
        reads: &["events"],
        fields: &[],
    },
    Table {
        name: "latest_oversights",
        about: "of each decision the oversight that came last",
        view: Some(
            "SELECT o.* FROM oversights o LEFT SEMI JOIN \
             (SELECT max(\"index\") AS last FROM oversights GROUP BY about) l ON o.\"index\" = l.last",
        ),
        reads: &["events", "oversights"],
        fields: &[],
    },
    Table {
        name: "cases",
        about: "decisions, each with its latest outcome and oversight",
        view: Some(
            "SELECT d.*, o.\"output:json\" AS outcome, o.time AS outcome_time, \
             h.\"output:json\" AS oversight, h.\"context:json\" AS oversight_context, h.time AS oversight_time \
             FROM decisions d \
             LEFT JOIN latest_outcomes o ON o.about = d.id \
             LEFT JOIN latest_oversights h ON h.about = d.id",
        ),
        reads: &["events", "decisions", "outcomes", "latest_outcomes", "oversights", "latest_oversights"],
        fields: &["output:json", "context:json"],
    },
];

impl Table {
    pub(crate) fn get(name: &str) -> Option<&'static Table> {
        TABLES.iter().find(|table| table.name == name)
    }

    pub(crate) fn view(&self) -> Option<&'static str> {
        self.view
    }
}

/// The view of one model's decisions, with those columns.
pub(crate) fn model_view<'c>(model: &str, columns: impl IntoIterator<Item = &'c str>) -> String {
    let columns: Vec<String> = columns.into_iter().map(identifier).collect();
    let model = literal(model);
    format!("SELECT {} FROM events WHERE kind = 'decision' AND \"model.name\" = {model}", columns.join(", "))
}
