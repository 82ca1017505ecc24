//! The shapes of JSON bodies and answers, as JSON Schema (2020-12, as OpenAPI 3.1 has it). `make test-api` holds the
//! answers of a running server against them.

use serde_json::{Map, Value};

use crate::table::Route;

/// The shapes, by name.
const SCHEMAS: &str = include_str!("schemas.json");

/// Every shape.
pub fn all() -> Result<Map<String, Value>, serde_json::Error> {
    serde_json::from_str(SCHEMAS)
}

/// The shape of a route's JSON body.
pub fn of_body(route: &Route) -> Option<&'static str> {
    match route.about.id {
        "appendRecords" => Some("Batch"),
        "askInSql" => Some("Question"),
        "createToken" => Some("TokenSpec"),
        "rotateToken" => Some("Rotation"),
        "reconcileCounts" => Some("PrometheusResult"),
        _ => None,
    }
}

/// The shape of a route's JSON answer.
pub fn of_answer(route: &Route) -> Option<&'static str> {
    match route.about.id {
        "appendRecords" => Some("Appended"),
        "searchRecords" => Some("Found"),
        "readRecord" => Some("OneRecord"),
        "askInSql" => Some("Rows"),
        "stats" => Some("Stats"),
        "gaps" => Some("Gaps"),
        "listTokens" => Some("Tokens"),
        "createToken" | "rotateToken" => Some("NewToken"),
        "revokeToken" => Some("Token"),
        "compareGroups" => Some("Groups"),
        "drawSample" => Some("Certificate"),
        "reconcileCounts" => Some("Reconciled"),
        "whoAmI" => Some("Me"),
        "logOut" => Some("LoggedOut"),
        "live" | "ready" => Some("Health"),
        _ => None,
    }
}
