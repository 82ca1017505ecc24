//! Everything that can be asked.

use std::sync::LazyLock;

use access::Permission as P;
use http::Method;

use crate::table::{About, Form, OTHERS, Parameter, Route, Values};
use crate::{append, exports, figures, groups, log, login, one, open, reconcile, sample, search, sql, tokens};

/// The table. Each route names the permission that it needs, or why it needs none.
pub static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let (get, post) = (|| Method::GET, || Method::POST);
    vec![
        Route::new(post(), "/v1/trails/{trail}/records", P::Append, append::records, APPEND),
        Route::new(get(), "/v1/trails/{trail}/records", P::Search, search::search, SEARCH),
        Route::new(get(), "/v1/trails/{trail}/records/{id}", P::ReadRecord, one::record, RECORD),
        Route::new(get(), "/v1/trails/{trail}/records/{id}/proof", P::Prove, one::proof, PROOF),
        Route::new(post(), "/v1/trails/{trail}/sql", P::Sql, sql::sql, SQL),
        Route::new(get(), "/v1/trails/{trail}/stats", P::Stats, figures::stats, STATS),
        Route::new(get(), "/v1/trails/{trail}/gaps", P::Gaps, figures::gaps, GAPS),
        Route::new(get(), "/v1/trails/{trail}/log/checkpoint", P::Log, log::checkpoint, CHECKPOINT),
        Route::new(get(), "/v1/trails/{trail}/log/tile/{*tile}", P::Log, log::tile, TILE),
        Route::new(get(), "/v1/trails/{trail}/groups", P::Groups, groups::groups, GROUPS),
        Route::new(post(), "/v1/trails/{trail}/sample", P::Sample, sample::sample, SAMPLE),
        Route::new(post(), "/v1/trails/{trail}/reconcile", P::Reconcile, reconcile::reconcile, RECONCILE),
        Route::new(post(), "/v1/trails/{trail}/export", P::Export, exports::export, EXPORT),
        Route::new(get(), "/metrics", P::Metrics, open::metrics, METRICS),
        Route::new(get(), "/v1/tokens", P::ManageTokens, tokens::list, TOKENS),
        Route::new(post(), "/v1/tokens", P::ManageTokens, tokens::create, NEW_TOKEN),
        Route::new(post(), "/v1/tokens/{token}/rotate", P::ManageTokens, tokens::rotate, ROTATE_TOKEN),
        Route::new(Method::DELETE, "/v1/tokens/{token}", P::ManageTokens, tokens::revoke, REVOKE_TOKEN),
        // Who one is.
        Route::open(get(), "/login", "whoever logs in is not known yet", login::begin, LOGIN),
        Route::open(get(), "/login/callback", "whoever logs in is not known yet", login::callback, LOGGED_IN),
        Route::known(post(), "/logout", "a session is its own to end", login::logout, LOGOUT),
        Route::known(get(), "/v1/me", "what one is may be known to oneself", login::me, ME),
        Route::open(get(), "/health/live", "a supervisor asks, and it tells nothing", open::live, LIVE),
        Route::open(get(), "/health/ready", "a load balancer asks, and it tells a count alone", open::ready, READY),
        Route::open(get(), "/v1/openapi.json", "it is the same for every server", open::description, OPENAPI),
        Route::open(get(), "/v1/docs", "it is the same for every server", open::page, DOCS),
    ]
});

const NONE: About = About { id: "", summary: "", parameters: &[], bodies: &[], answers: &[] };

const fn text(name: &'static str, says: &'static str, example: &'static str) -> Parameter {
    Parameter { name, says, values: Values::Text, required: false, example }
}

const fn needed(name: &'static str, says: &'static str, example: &'static str) -> Parameter {
    Parameter { name, says, values: Values::Text, required: true, example }
}

const fn number(name: &'static str, says: &'static str, max: usize, example: &'static str) -> Parameter {
    Parameter { name, says, values: Values::Number(max), required: false, example }
}

const fn one_of(name: &'static str, says: &'static str, values: &'static [&'static str]) -> Parameter {
    Parameter { name, says, values: Values::OneOf(values), required: false, example: values[0] }
}

const fn flag(name: &'static str, says: &'static str) -> Parameter {
    Parameter { name, says, values: Values::Flag, required: false, example: "true" }
}

const fn form(media_type: &'static str, says: &'static str, example: &'static str) -> Form {
    Form { media_type, says, example }
}

const KIND: Parameter = Parameter {
    name: "kind",
    says: "The kind of record, or all; decision if it is not said",
    values: Values::Kind,
    required: false,
    example: "decision",
};
const MODEL: Parameter = text("model", "The model's name", "credit-risk");
const VERSION: Parameter = text("version", "The model's version", "1.2.0");
const SUBJECT: Parameter = text("subject", "Whom it is about: subject.id", "customer-991");
const CASE: Parameter = text("case", "The case: subject.case", "application-88123");
const TRACE: Parameter = text("trace", "The trace: trace.trace_id", "4bf92f3577b34da6a3ce929d0e0e4736");
const SINCE: Parameter = text("since", "From then on: a time, a day, a span before now (2h, 7d), or FROM..UNTIL", "7d");
const UNTIL: Parameter = text("until", "Until then; a day is meant whole", "2026-11-08");
const WHERE: Parameter =
    text("where", "A predicate in SQL, over fields by their names", "inputs.income < 50000 AND result.adverse");

const A_RECORD: &str = r#"{"id":"0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d","model":{"name":"credit-risk","version":"1.2.0"},"inputs":{"income":42000},"output":{"score":0.37,"decision":"deny"},"result":{"class":"deny","adverse":true}}"#;

const APPEND: About = About {
    id: "appendRecords",
    summary: "Put records on the trail. Those that are records are taken, the others are told by position (from 0).",
    parameters: &[
        one_of("wait", "Answer once everything is under a signed checkpoint, with proofs", &["sealed"]),
        flag("import", "Take ids of any age, and wait for room in the journal"),
    ],
    bodies: &[
        form("application/json", "One record, or an array of them", A_RECORD),
        form("application/x-ndjson", "One record a line", A_RECORD),
        form("application/cbor-seq", "A sequence of records in CBOR", ""),
        form("application/vnd.apache.arrow.stream", "An Arrow IPC stream, a record a row; structs are maps", ""),
    ],
    answers: &[form(
        "application/json",
        "Receipts of those that are on record, in order, and what is wrong with the others",
        r#"{"receipts":[{"trail":"example.com/credit","id":"0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d","index":0,"content":"7d3c…","digest":"91b0…","stamp":{"v":1}}],"errors":[{"position":1,"error":{"type":"urn:onrecord:problem:record","detail":"inputs.income: expected a number, got a map","field":"inputs.income"}}]}"#,
    )],
};

const ROWS: &[Form] = &[
    form(
        "application/json",
        "One object with the rows, where the next page begins, and what is to be known beside them",
        r#"{"covers":{"from":0,"until":950,"sealed":950},"records":[{"index":7,"id":"0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d"}],"next":null,"cut":false,"notes":[]}"#,
    ),
    form("application/x-ndjson", "One row a line", r#"{"index":7,"id":"0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d"}"#),
    form("text/csv", "RFC 4180, with a line of names", "index,id\r\n7,0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d\r\n"),
    form("application/vnd.apache.arrow.stream", "An Arrow IPC stream", ""),
];

const SEARCH: About = About {
    id: "searchRecords",
    summary: "Find records, newest first.",
    parameters: &[
        KIND,
        MODEL,
        VERSION,
        SUBJECT,
        CASE,
        TRACE,
        SINCE,
        UNTIL,
        WHERE,
        text("columns", "Fields to show, with commas between", "index,id,output.score"),
        number("limit", "Records of the page; 100 if it is not said", 1_000_000, "100"),
        text("cursor", "Where the page begins: next of the page before, as it was", ""),
    ],
    bodies: &[],
    answers: ROWS,
};

const RECORD: About = About {
    id: "readRecord",
    summary: "One record, by its id or its index.",
    parameters: &[flag("about", "And the records about it: outcomes, overrides, late explanations, reads")],
    answers: &[form(
        "application/json",
        "The record; without loss, where the reader may see all of it",
        r#"{"document":"record","version":1,"trail":{"origin":"example.com/credit","records":950,"sealed":950},"index":7,"record":{"id":"0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d","kind":"decision"},"stamp":{"v":1},"content":"7d3c…","digest":"91b0…"}"#,
    )],
    ..NONE
};

const PROOF: About = About {
    id: "proveRecord",
    summary: "The proof that a record is in the log: a C2SP tlog-proof. The record's digest is in the field onrecord-digest.",
    answers: &[form("text/plain", "The proof", "c2sp.org/tlog-proof@v1\nindex 7\n…")],
    ..NONE
};

const SQL: About = About {
    id: "askInSql",
    summary: "Ask in SQL, which can only read.",
    bodies: &[form(
        "application/json",
        "The query",
        r#"{"query":"SELECT result.class, count(*) AS n FROM decisions GROUP BY 1"}"#,
    )],
    answers: &[
        form(
            "application/json",
            "One object with the rows, and what is to be known beside them",
            r#"{"covers":{"from":0,"until":950,"sealed":950},"rows":[{"result.class":"deny","n":300}],"cut":false,"notes":[]}"#,
        ),
        ROWS[1],
        ROWS[2],
        ROWS[3],
    ],
    ..NONE
};

const STATS: About = About {
    id: "stats",
    summary: "What the trail holds, in figures.",
    answers: &[form(
        "application/json",
        "The figures",
        r#"{"origin":"example.com/credit","records":950,"sealed":950}"#,
    )],
    ..NONE
};

const GAPS: About = About {
    id: "gaps",
    summary: "What is missing of the producers' sequences, declared and not.",
    parameters: &[
        text("since", "Findings from then on", "7d"),
        text("until", "Findings until then", "today"),
        text("producer", "One producer alone", "credit-api"),
    ],
    answers: &[form(
        "application/json",
        "The report",
        r#"{"verdict":"NO HOLES","undeclared":0,"declared":0,"instances":[]}"#,
    )],
    ..NONE
};

const GROUPS: About = About {
    id: "compareGroups",
    summary: "How often an outcome falls on groups of people, with intervals, tests and ratios.",
    parameters: &[
        needed(
            "by",
            "What makes the groups: one or two fields or expressions, with a comma between",
            "inputs.age < 25",
        ),
        needed("outcome", "What is counted: a predicate in SQL", "result.adverse"),
        flag("favourable", "The outcome is what people hope for, and not what is adverse to them"),
        text(
            "reference",
            "The group that others are compared to, its values with commas; the largest if not said",
            "true",
        ),
        MODEL,
        VERSION,
        SUBJECT,
        CASE,
        TRACE,
        SINCE,
        UNTIL,
        WHERE,
    ],
    answers: &[form(
        "application/json",
        "The groups, largest first",
        r#"{"by":["inputs.age < 25"],"outcome":"result.adverse","favourable":false,"filter":"kind = 'decision'","reference":["false"],"weighted":false,"records":602,"unknown_group":0,"unknown_outcome":0,"groups":[{"values":["false"],"n":510,"hits":140,"unknown":0,"total":510.0,"effective_n":510.0,"rate":0.27,"interval":{"from":0.24,"until":0.31},"compared":null}]}"#,
    )],
    ..NONE
};

const SAMPLE: About = About {
    id: "drawSample",
    summary: "Draw a sample that nobody could steer, with a certificate that re-checks.",
    parameters: &[
        number("n", "Records of the sample; 59 if it is not said", query::SAMPLE_MAX, "59"),
        needed("nonce", "What the auditor said once they had the checkpoint", "dice 4 2 6 1 3 3 5 2"),
        KIND,
        MODEL,
        VERSION,
        SUBJECT,
        CASE,
        TRACE,
        SINCE,
        UNTIL,
        WHERE,
    ],
    bodies: &[form(
        "text/plain",
        "The checkpoint that the auditor holds",
        "example.com/credit\n950\n5uX0…=\n\n— example.com/credit 8vWk…\n",
    )],
    answers: &[form(
        "application/json",
        "The certificate",
        r#"{"format":"onrecord/sample/v1","nonce":"dice 4 2 6 1 3 3 5 2","filter":"kind = 'decision'","n":59,"population":602,"excluded":348,"erased":0,"chosen":[{"index":7,"id":"0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d","hash":"0012…","digest":"91b0…"}]}"#,
    )],
};

const RECONCILE: About = About {
    id: "reconcileCounts",
    summary: "Hold the trail's counts against counts from elsewhere.",
    parameters: &[
        one_of("by", "How long an interval is; day if it is not said", &["hour", "minute", "day", "week"]),
        text("model_label", "Of a result of Prometheus: the label that says the model", "model"),
        text("version_label", "Of a result of Prometheus: the label that says the version", "version"),
    ],
    bodies: &[
        form(
            "text/csv",
            "The counts: model, version (if told apart), time and count",
            "model,time,count\ncredit-risk,2026-11-01T12:00:00Z,310\n",
        ),
        form("application/json", "A result of Prometheus, of /api/v1/query_range", r#"{"status":"success","data":{}}"#),
    ],
    answers: &[form(
        "application/json",
        "The report",
        r#"{"verdict":"agree","by":"hour","rows":[],"unnamed":0,"erased":0,"bad_rows":[],"bad_rows_count":0}"#,
    )],
};

const EXPORT: About = About {
    id: "exportRecords",
    summary: "Take records out, in a folder that checks offline: rows, manifest, and what proves them.",
    parameters: &[
        KIND,
        MODEL,
        VERSION,
        SUBJECT,
        CASE,
        TRACE,
        SINCE,
        UNTIL,
        WHERE,
        number("limit", "Records at most, the newest; all if it is not said", exports::LIMIT_MAX, "1000"),
        text(
            "columns",
            "Fields to export, with commas between; all of a record if it is not said",
            "index,id,output.score",
        ),
        one_of("format", "How rows are written; parquet if it is not said", &["csv", "ndjson", "parquet"]),
        text(
            "recipients",
            "Encrypt every file to these (age), with commas between",
            "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
        ),
    ],
    answers: &[form(
        "application/x-tar",
        "The folder's files; onrecord-export in the head says what they come to, in JSON",
        "manifest.json",
    )],
    ..NONE
};

const CHECKPOINT: About = About {
    id: "checkpoint",
    summary: "The last signed checkpoint (C2SP tlog-checkpoint).",
    answers: &[form("text/plain", "A signed note", "example.com/credit\n950\n5uX0…=\n\n— example.com/credit 8vWk…\n")],
    ..NONE
};

const TILE: About = About {
    id: "tile",
    summary: "A hash tile or an entry bundle (C2SP tlog-tiles): <level>/<index>[.p/<width>] or entries/<index>[.p/<width>].",
    answers: &[form("application/octet-stream", "Hashes of 32 bytes; or entries, each after its length", "")],
    ..NONE
};

const METRICS: About = About {
    id: "metrics",
    summary: "What the server counts, for Prometheus.",
    answers: &[form("application/openmetrics-text", "Figures", "onrecord_trail_records{trail=\"default\"} 950\n")],
    ..NONE
};

const A_TOKEN: &str = r#"{"id":"3f9a52c07d1be846","name":"credit-api","role":"writer","trails":["credit"],"created":"2026-11-08T08:00:00Z","created_by":"person:248289761001","revoked":"2026-11-08T13:00:00Z","state":"revoked"}"#;

const SHOWN_ONCE: &[Form] = &[form(
    "application/json",
    "The token and its text, which is shown now and never again",
    r#"{"token":{"id":"3f9a52c07d1be846","name":"credit-api","role":"writer","trails":["credit"],"created":"2026-11-08T08:00:00Z","created_by":"person:248289761001","state":"good"},"text":"onr_3f9a52c07d1be846_9b1c…"}"#,
)];

const TOKENS: About = About {
    id: "listTokens",
    summary: "What tokens there are, and when each was used last, to the minute.",
    answers: &[form(
        "application/json",
        "The tokens, oldest first, without anything that lets anybody in",
        r#"{"tokens":[{"id":"3f9a52c07d1be846","name":"credit-api","role":"writer","trails":["credit"],"created":"2026-11-08T08:00:00Z","created_by":"person:248289761001","last_used":"2026-11-08T12:00:00Z","state":"good"}]}"#,
    )],
    ..NONE
};

const NEW_TOKEN: About = About {
    id: "createToken",
    summary: "Make a token. One principal alone gives what its policy lets it give alone, by default writers' tokens; nobody gives itself one.",
    bodies: &[form(
        "application/json",
        "Who or what it is for, and what it gives",
        r#"{"name":"credit-api","role":"writer","trails":["credit"],"kinds":["decision"],"until":"2027-01-01T00:00:00Z"}"#,
    )],
    answers: SHOWN_ONCE,
    ..NONE
};

const ROTATE_TOKEN: About = About {
    id: "rotateToken",
    summary: "Give a token a new secret; the old one counts for a while more. It takes the right to give what the token gives.",
    bodies: &[form(
        "application/json",
        "Seconds for which the old secret counts, 30 days at most; 24 hours if it is not said",
        r#"{"overlap_s":86400}"#,
    )],
    answers: SHOWN_ONCE,
    ..NONE
};

const REVOKE_TOKEN: About = About {
    id: "revokeToken",
    summary: "Take a token back, for good.",
    answers: &[form("application/json", "The token, which is revoked", A_TOKEN)],
    ..NONE
};

const A_PAGE: &[Form] = &[form("text/html", "A page that says why not; else 303 leads on", "<!doctype html>")];

const LOGIN: About = About {
    id: "logIn",
    summary: "Begin to log in: leads to the identity provider.",
    parameters: &[text("next", "A path of this server to go to then", "/v1/me")],
    answers: A_PAGE,
    ..NONE
};

const LOGGED_IN: About = About {
    id: "loggedIn",
    summary: "Where the identity provider leads back to: sets a session's cookie.",
    parameters: &[
        text("code", "What the provider gives an id token for", ""),
        text("state", "What the browser was sent away with", ""),
        text("iss", "The provider, as it names itself", ""),
        text("error", "Why it let nobody in", "access_denied"),
        text(OTHERS, "What else a provider sends is passed over", ""),
    ],
    answers: A_PAGE,
    ..NONE
};

const LOGOUT: About = About {
    id: "logOut",
    summary: "End the session whose cookie asks. As everything that a cookie authorises and that is no GET, it takes the header OnRecord-CSRF.",
    answers: &[form("application/json", "It has ended", r#"{"logged_out":true}"#)],
    ..NONE
};

const ME: About = About {
    id: "whoAmI",
    summary: "Who asks, what they may be on which trails, and until when.",
    answers: &[form(
        "application/json",
        "Who asks; for who has logged in with the session and what its pages send back as OnRecord-CSRF",
        r#"{"id":"person:248289761001","name":"Ada Example","kind":"person","roles":[{"role":"reader","trails":["credit"]}],"session":{"until":"2026-11-08T20:00:00Z","until_unused":"2026-11-08T08:30:00Z","csrf":"9f1c…"}}"#,
    )],
    ..NONE
};

const LIVE: About = About {
    id: "live",
    summary: "Whether the process answers.",
    answers: &[form("application/json", "It does", r#"{"status":"live"}"#)],
    ..NONE
};

const READY: About = About {
    id: "ready",
    summary: "Whether every trail takes records; 503 if one does not.",
    answers: &[form("application/json", "They do", r#"{"status":"ready","trails_stopped":0}"#)],
    ..NONE
};

const OPENAPI: About = About {
    id: "openapi",
    summary: "This description.",
    answers: &[form("application/json", "OpenAPI 3.1", r#"{"openapi":"3.1.0"}"#)],
    ..NONE
};

const DOCS: About = About {
    id: "docs",
    summary: "This description as a page.",
    answers: &[form("text/html", "The page", "<!doctype html>")],
    ..NONE
};
