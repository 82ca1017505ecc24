//! The description of everything that can be asked, made from the table of routes: as OpenAPI 3.1, and as a page.

use std::fmt::Write as _;
use std::sync::LazyLock;

use access::Permission;
use http::Method;
use serde_json::Value;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HeaderBuilder, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, PathsBuilder,
    Ref, RefOr, Required, ResponseBuilder, Schema,
};

use crate::problem::{Kind, Problem};
use crate::routes::ROUTES;
use crate::schemas;
use crate::table::{Form, Need, OTHERS, Route, Values};

const TOKEN: &str = "token";
const SESSION: &str = "session";
const PAGE_OF_SESSION: &str = "csrf";
const PROBLEM: &str = "Problem";

/// Problems that any route may answer with.
const ANYWHERE: [Kind; 7] =
    [Kind::Malformed, Kind::Timeout, Kind::TooLarge, Kind::TooMany, Kind::Busy, Kind::Internal, Kind::Damaged];

/// The description, which is the same for every server of this version, and so made once.
static TEXT: LazyLock<Result<String, serde_json::Error>> = LazyLock::new(|| Ok(described()?.to_string()));
static PAGE: LazyLock<String> = LazyLock::new(made_page);

/// The document as text.
pub fn text() -> Result<&'static str, &'static serde_json::Error> {
    TEXT.as_ref().map(String::as_str)
}

/// The description as a page.
pub fn page() -> &'static str {
    &PAGE
}

/// The document, with the shapes that bodies and answers have.
fn described() -> Result<Value, serde_json::Error> {
    let mut described = serde_json::to_value(document())?;
    if let Some(known) = described.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        known.extend(schemas::all()?);
    }
    Ok(described)
}

fn document() -> OpenApi {
    let mut paths = PathsBuilder::new();
    for route in ROUTES.iter() {
        let method = match route.method {
            Method::POST => HttpMethod::Post,
            Method::DELETE => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        let item = utoipa::openapi::PathItem::new(method, operation(route));
        // A name that takes the rest of the path is a name like any other to OpenAPI.
        paths = paths.path(route.path.replace("{*", "{"), item);
    }
    let token = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("onr_…").build());
    let session = "The session of a person who has logged in, as the cookie that /login/callback sets; without TLS, which \
        there is on loopback alone, it is called onrecord. It asks in the place of a token, on every route; what is no GET \
        takes OnRecord-CSRF as well.";
    let session = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description("__Host-onrecord", session)));
    let csrf = "What GET /v1/me says as session.csrf: that a page of this server sent it.";
    let csrf = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("OnRecord-CSRF", csrf)));
    let schemes = [(TOKEN, token), (SESSION, session), (PAGE_OF_SESSION, csrf)];
    let components = schemes
        .into_iter()
        .fold(ComponentsBuilder::new(), |components, (name, scheme)| components.security_scheme(name, scheme));
    let components = components.schema(PROBLEM, problem()).build();
    let info = InfoBuilder::new().title("OnRecord").version(env!("CARGO_PKG_VERSION")).description(Some(
        "Audit trails of what machine-learning models decide. {trail} is the name of a trail, or - for the default one.",
    ));
    OpenApiBuilder::new().info(info.build()).paths(paths.build()).components(Some(components)).build()
}

fn operation(route: &Route) -> OperationBuilder {
    let about = &route.about;
    let mut operation = OperationBuilder::new().operation_id(Some(about.id)).summary(Some(about.summary));
    for name in route.names() {
        operation = operation.parameter(in_path(name));
    }
    for parameter in about.parameters.iter().filter(|parameter| parameter.name != OTHERS) {
        let schema = match parameter.values {
            Values::Text => of_type(Type::String),
            Values::OneOf(values) => one_of(values.iter().copied()),
            Values::Kind => one_of(std::iter::once("all").chain(record::Kind::all().map(record::Kind::name))),
            Values::Flag => of_type(Type::Boolean),
            Values::Number(max) => ObjectBuilder::new()
                .schema_type(SchemaType::new(Type::Integer))
                .minimum(Some(1.0))
                .maximum(Some(max as f64))
                .build()
                .into(),
        };
        let example = match parameter.values {
            Values::Number(_) | Values::Flag => parameter.example.parse().ok(),
            Values::Text | Values::OneOf(_) | Values::Kind => {
                Some(Value::from(parameter.example)).filter(|_| !parameter.example.is_empty())
            }
        };
        let built = ParameterBuilder::new().name(parameter.name).parameter_in(ParameterIn::Query);
        let required = if parameter.required { Required::True } else { Required::False };
        let built = built.required(required).description(Some(parameter.says)).schema(Some(schema));
        operation = operation.parameter(built.example(example));
    }
    if !about.bodies.is_empty() {
        let mut body = RequestBodyBuilder::new().required(Some(Required::True));
        for form in about.bodies {
            body = body.content(form.media_type, content(form, schemas::of_body(route)));
        }
        operation = operation.request_body(Some(body.build()));
    }
    let mut answer = told(about.answers.first().map_or("", |form| form.says));
    for form in about.answers {
        answer = answer.content(form.media_type, content(form, schemas::of_answer(route)));
    }
    if about.id == "proveRecord" {
        answer = answer.header("OnRecord-Digest", header("The record's digest, which is the leaf", Type::String));
        answer = answer.header("OnRecord-Log-Key", header("The log's key, as a C2SP vkey", Type::String));
    }
    if about.id == "exportRecords" {
        answer = answer.header("OnRecord-Export", header("What the export comes to, in JSON", Type::String));
    }
    operation = operation.response("200", answer.build());
    for kind in problems(route) {
        let problem = Problem::new(kind, "what happened; what to do");
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM)));
        let content = content.example(Some(problem.document())).build();
        let mut response = told(kind.name()).content("application/problem+json", content);
        if problem.retry_after_s.is_some() {
            response = response.header("Retry-After", header("Seconds until it may be tried again", Type::Integer));
        }
        if kind == Kind::Unauthenticated {
            response = response.header("WWW-Authenticate", header("How to say who asks", Type::String));
        }
        operation = operation.response(kind.status().as_str(), response.build());
    }
    if about.id == "ready" {
        let stopped = told("A trail takes no records").content("application/json", shape("Health"));
        operation = operation.response("503", stopped.build());
    }
    match route.need {
        Need::Permission(permission) => {
            let description = format!("Needs the permission {permission}.");
            operation.description(Some(description)).security(SecurityRequirement::new(TOKEN, Vec::<String>::new()))
        }
        Need::Known(why) => {
            let description = format!("Anyone may ask who is known: {why}.");
            let none = Vec::<String>::new;
            let security = match about.id {
                // Nothing else has a session to end.
                "logOut" => SecurityRequirement::new(SESSION, none()).add(PAGE_OF_SESSION, none()),
                _ => SecurityRequirement::new(TOKEN, none()),
            };
            operation.description(Some(description)).security(security)
        }
        Need::Nothing(why) => operation.description(Some(format!("Anyone may ask: {why}."))),
    }
}

/// An answer that says what every answer says.
fn told(description: &str) -> ResponseBuilder {
    let id = header("The id of the request, in the server's log and in access records", Type::String);
    ResponseBuilder::new().description(description).header("OnRecord-Request", id)
}

fn header(says: &str, kind: Type) -> utoipa::openapi::Header {
    HeaderBuilder::new().description(Some(says)).schema(Some(of_type(kind))).build()
}

fn shape(name: &str) -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(name))).build()
}

/// The problems that a route may answer with; one of several with the same status.
fn problems(route: &Route) -> Vec<Kind> {
    let mut kinds = ANYWHERE.to_vec();
    if !matches!(route.need, Need::Nothing(_)) {
        kinds.extend([Kind::Unauthenticated, Kind::Forbidden]);
    }
    if route.of_trail() {
        kinds.push(Kind::NotFound);
    }
    if !route.about.bodies.is_empty() {
        kinds.extend([Kind::UnsupportedMediaType, Kind::NothingTaken]);
    }
    if route.of_trail() {
        kinds.push(Kind::Query);
    }
    if route.need == Need::Permission(Permission::ManageTokens) {
        kinds.extend([Kind::NotFound, Kind::Conflict]);
    }
    if route.about.answers.len() > 1 {
        kinds.push(Kind::NotAcceptable);
    }
    match route.about.id {
        "proveRecord" => kinds.push(Kind::NotYet),
        "drawSample" => kinds.push(Kind::Contradicted),
        // Where no identity provider is set up.
        "logIn" | "loggedIn" | "logOut" => kinds.push(Kind::NotFound),
        _ => {}
    }
    let mut seen = Vec::new();
    kinds.retain(|kind| {
        let new = !seen.contains(&kind.status());
        seen.push(kind.status());
        new
    });
    kinds
}

fn in_path(name: &str) -> Parameter {
    let says = match name {
        "trail" => "The trail's name, or - for the default one",
        "id" => "The record's id or index",
        "token" => "The token's id, which is no secret",
        _ => "The tile's path",
    };
    let example = match name {
        "trail" => "-",
        "id" => "0",
        "token" => "3f9a52c07d1be846",
        _ => "0/000",
    };
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
    parameter.description(Some(says)).schema(Some(of_type(Type::String))).example(Some(example.into())).build()
}

fn of_type(kind: Type) -> RefOr<Schema> {
    RefOr::T(ObjectBuilder::new().schema_type(SchemaType::new(kind)).build().into())
}

fn one_of<'a>(values: impl Iterator<Item = &'a str>) -> RefOr<Schema> {
    let object = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
    RefOr::T(object.enum_values(Some(values.collect::<Vec<_>>())).build().into())
}

fn content(form: &Form, shape: Option<&str>) -> utoipa::openapi::Content {
    let is_json = form.media_type == "application/json";
    let example = match serde_json::from_str(form.example) {
        Ok(value) if is_json => Some(value),
        _ => Some(Value::from(form.example)).filter(|_| !form.example.is_empty()),
    };
    let builder = ContentBuilder::new().example(example);
    match (is_json, shape) {
        (true, Some(shape)) => builder.schema(Some(Ref::from_schema_name(shape))).build(),
        (true, None) => builder.build(),
        (false, _) => builder.schema(Some(of_type(Type::String))).build(),
    }
}

fn problem() -> RefOr<Schema> {
    let text = |says: &str| {
        let built = ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).description(Some(says));
        RefOr::T(Schema::from(built.build()))
    };
    let types: Vec<String> =
        Kind::all().map(|kind| format!("{}{}", crate::problem::TYPE_PREFIX, kind.name())).collect();
    let kind = ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).enum_values(Some(types));
    let errors =
        ArrayBuilder::new().items(Ref::from_schema_name("RecordError")).description(Some("Of a batch")).build();
    let object = ObjectBuilder::new()
        .description(Some("RFC 9457"))
        .property("type", RefOr::T(Schema::from(kind.build())))
        .property("title", text("The kind of problem"))
        .property("status", of_type(Type::Integer))
        .property("detail", text("What happened, to what"))
        .property("hint", text("What to do"))
        .property("field", text("The path of the field, or the name of the parameter, at fault"))
        .property("errors", RefOr::T(Schema::from(errors)))
        .required("type")
        .required("title")
        .required("status")
        .required("detail");
    RefOr::T(Schema::from(object.build()))
}

fn made_page() -> String {
    let mut page = String::from(HEAD);
    for route in ROUTES.iter() {
        let about = &route.about;
        let need = match route.need {
            Need::Permission(permission) => format!("needs <code>{permission}</code>"),
            Need::Known(_) => "for anyone who is known".to_owned(),
            Need::Nothing(_) => "open to anyone".to_owned(),
        };
        let _ = write!(
            page,
            "<section id=\"{id}\"><h2><code>{method} {path}</code></h2><p>{summary} <small>{need}</small></p>",
            id = escaped(about.id),
            method = route.method,
            path = escaped(route.path),
            summary = escaped(about.summary),
        );
        if !about.parameters.is_empty() {
            page.push_str("<table><tr><th>parameter</th><th>says</th><th>such as</th></tr>");
            for each in about.parameters {
                let (name, says, example) = (escaped(each.name), escaped(each.says), escaped(each.example));
                let _ =
                    write!(page, "<tr><td><code>{name}</code></td><td>{says}</td><td><code>{example}</code></td></tr>");
            }
            page.push_str("</table>");
        }
        for (title, forms) in [("Takes", about.bodies), ("Answers", about.answers)] {
            for form in forms {
                let (media, says) = (escaped(form.media_type), escaped(form.says));
                let _ = write!(page, "<h3>{title} <code>{media}</code></h3><p>{says}</p>");
                if !form.example.is_empty() {
                    let _ = write!(page, "<pre>{}</pre>", escaped(&pretty(form.example)));
                }
            }
        }
        page.push_str("</section>");
    }
    page + "</main></body></html>\n"
}

fn pretty(example: &str) -> String {
    let value: Option<Value> = serde_json::from_str(example).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| example.to_owned())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>OnRecord: HTTP</title>\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>\
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;color:#1a1a1a;background:#fff}\
code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f4f4f4;padding:.75rem;overflow:auto}\
table{border-collapse:collapse}td,th{border:1px solid #999;padding:.25rem .5rem;text-align:left}\
h2{font-size:1.1rem;margin-top:2rem}h3{font-size:1rem;font-weight:normal}</style></head><body><main>\
<h1>OnRecord: HTTP</h1><p>Send a token with each request: <code>Authorization: Bearer onr_…</code>. \
<code>{trail}</code> is the name of a trail, or <code>-</code> for the default one. A reader who must state a purpose \
sends it as <code>OnRecord-Purpose</code>. The same for programs: <code>/v1/openapi.json</code>.</p>";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn every_route_is_described_once_and_with_an_example() {
        let document: Value = serde_json::from_str(text().unwrap()).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
        let ids: BTreeSet<&str> = ROUTES.iter().map(|route| route.about.id).collect();
        assert_eq!(ids.len(), ROUTES.len());
        for route in ROUTES.iter() {
            let method = route.method.as_str().to_lowercase();
            let operation = &document["paths"][route.path.replace("{*", "{")][&method];
            assert_eq!(operation["operationId"], route.about.id, "{}", route.path);
            assert_eq!(
                operation["parameters"].as_array().map_or(0, Vec::len),
                route.names().count() + route.about.parameters.iter().filter(|it| it.name != OTHERS).count()
            );
            assert!(route.about.answers.iter().any(|form| !form.example.is_empty()) || route.about.id == "tile");
            assert!(page().contains(&escaped(route.path)));
        }
        assert_eq!(document["paths"]["/v1/trails/{trail}/sql"]["post"]["security"], json!([{"token": []}]));
        assert_eq!(document["paths"]["/health/live"]["get"]["security"], Value::Null);
        assert_eq!(document["paths"]["/logout"]["post"]["security"], json!([{"session": [], "csrf": []}]));
        let schemes = &document["components"]["securitySchemes"];
        assert_eq!((&schemes["session"]["in"], &schemes["csrf"]["in"]), (&json!("cookie"), &json!("header")));
    }

    /// Every shape that is named is there, and every JSON body and answer has one.
    #[test]
    fn shapes_are_named_and_there() {
        let document = described().unwrap();
        let known = document["components"]["schemas"].as_object().unwrap();
        let text = document.to_string();
        let named: BTreeSet<&str> =
            text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(named, known.keys().map(String::as_str).collect());
        for route in ROUTES.iter().filter(|route| route.about.id != "openapi") {
            let json = |forms: &[Form]| forms.iter().any(|form| form.media_type == "application/json");
            assert_eq!(json(route.about.bodies), schemas::of_body(route).is_some(), "{}", route.path);
            assert_eq!(json(route.about.answers), schemas::of_answer(route).is_some(), "{}", route.path);
        }
    }

    /// I12: who asks needs no token, and so it costs nothing to answer.
    #[test]
    fn the_description_is_made_once() {
        assert!(std::ptr::eq(text().unwrap(), text().unwrap()) && std::ptr::eq(page(), page()));
    }

    #[test]
    fn kinds_are_those_of_records() {
        let document = described().unwrap();
        let kinds: Vec<&str> = record::Kind::all().map(record::Kind::name).collect();
        assert_eq!(document["components"]["schemas"]["Record"]["properties"]["kind"]["enum"], json!(kinds));
        let asked = &document["paths"]["/v1/trails/{trail}/records"]["get"]["parameters"];
        let kind = asked.as_array().unwrap().iter().find(|parameter| parameter["name"] == "kind").unwrap();
        assert_eq!(kind["schema"]["enum"], json!([&["all"], &kinds[..]].concat()));
    }

    /// Who leaves out what has to be there is told so in advance.
    #[test]
    fn what_has_to_be_there_is_said() {
        let document = described().unwrap();
        let required = |path: &str, method: &str| -> Vec<&str> {
            let parameters = document["paths"][path][method]["parameters"].as_array().unwrap();
            let needed = parameters.iter().filter(|it| it["in"] == "query" && it["required"] == true);
            needed.map(|parameter| parameter["name"].as_str().unwrap()).collect()
        };
        assert_eq!(required("/v1/trails/{trail}/groups", "get"), ["by", "outcome"]);
        assert_eq!(required("/v1/trails/{trail}/sample", "post"), ["nonce"]);
        assert!(required("/v1/trails/{trail}/records", "get").is_empty());
        let sample = &document["paths"]["/v1/trails/{trail}/sample"]["post"]["responses"];
        assert_eq!(sample["409"]["description"], "contradicted");
        let export = &document["paths"]["/v1/trails/{trail}/export"]["post"]["responses"]["200"];
        assert!(export["headers"]["OnRecord-Export"].is_object(), "{export}");
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = page();
        for outside in ["http://", "https://", "<script", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
