//! Holds a page against what a page of ours may be: known elements with known attributes, closed in order, headings in
//! order, every table with a caption and scopes. Text that came out as markup is an element that is not known, or one
//! that is not closed where it should be.

use std::collections::{HashMap, HashSet};

const ELEMENTS: &[&str] = &[
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "a",
    "header",
    "p",
    "h1",
    "h2",
    "nav",
    "ul",
    "li",
    "main",
    "section",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "div",
    "strong",
    "svg",
    "rect",
    "line",
    "figure",
    "figcaption",
    "pre",
    "details",
    "summary",
    "footer",
];
const ATTRIBUTES: &[&str] = &[
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "href",
    "id",
    "aria-labelledby",
    "aria-label",
    "aria-hidden",
    "scope",
    "role",
    "tabindex",
    "viewBox",
    "preserveAspectRatio",
    "focusable",
    "x",
    "y",
    "width",
    "height",
    "x1",
    "y1",
    "x2",
    "y2",
];
const VOID: &[&str] = &["meta"];

/// A tag: its name, its attributes, and whether it closes.
struct Tag {
    name: String,
    attributes: HashMap<String, String>,
    closes: bool,
    closed: bool,
}

/// Everything that is not as it must be.
pub fn faults(page: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(rest) = page.strip_prefix("<!DOCTYPE html>") else { return vec!["no doctype".to_owned()] };
    let (mut open, mut ids, mut links) = (Vec::new(), HashSet::new(), Vec::new());
    let (mut counts, mut level) = (HashMap::new(), 0);
    for tag in tags(rest) {
        let tag = match tag {
            Ok(tag) => tag,
            Err(fault) => {
                faults.push(fault);
                break;
            }
        };
        if !ELEMENTS.contains(&&*tag.name) {
            faults.push(format!("element {:?}", tag.name));
        }
        let unknown = tag.attributes.keys().filter(|name| !ATTRIBUTES.contains(&&***name));
        faults.extend(unknown.map(|name| format!("attribute {name:?} of {}", tag.name)));
        if tag.closes {
            if open.pop() != Some(tag.name.clone()) {
                faults.push(format!("{} closes what is not open", tag.name));
            }
            continue;
        }
        *counts.entry(tag.name.clone()).or_insert(0) += 1;
        faults
            .extend(tag.attributes.get("id").filter(|id| !ids.insert((*id).clone())).map(|id| format!("two ids {id}")));
        links.extend(["href", "aria-labelledby"].into_iter().filter_map(|name| tag.attributes.get(name).cloned()));
        if let Some(found) = tag.name.strip_prefix('h').and_then(|level| level.parse::<u32>().ok()) {
            if found > level + 1 {
                faults.push(format!("heading {found} under {level}"));
            }
            level = found;
        }
        if tag.name == "th" && !tag.attributes.contains_key("scope") {
            faults.push("a head without scope".to_owned());
        }
        if !tag.closed && !VOID.contains(&&*tag.name) {
            open.push(tag.name);
        }
    }
    faults.extend(open.iter().map(|name| format!("{name} is not closed")));
    let inside = |link: &String| ids.contains(link.trim_start_matches('#'));
    faults.extend(links.iter().filter(|link| !inside(link)).map(|link| format!("{link} leads nowhere")));
    let count = |name: &str| counts.get(name).copied().unwrap_or(0);
    for once in ["html", "title", "h1", "main", "header", "footer"] {
        if count(once) != 1 {
            faults.push(format!("{} of {once}", count(once)));
        }
    }
    if count("table") != count("caption") {
        faults.push("a table without caption".to_owned());
    }
    faults
}

fn tags(page: &str) -> impl Iterator<Item = Result<Tag, String>> {
    let mut rest = page;
    std::iter::from_fn(move || {
        let start = rest.find('<')?;
        let read = tag(&rest[start + 1..]);
        match &read {
            Ok((_, after)) => rest = after,
            Err(_) => rest = "",
        }
        Some(read.map(|(tag, _)| tag))
    })
}

fn tag(text: &str) -> Result<(Tag, &str), String> {
    let fault = || format!("a tag that cannot be read: {:?}", text.chars().take(40).collect::<String>());
    let (closes, mut rest) = text.strip_prefix('/').map_or((false, text), |rest| (true, rest));
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).ok_or_else(fault)?;
    let name = rest[..end].to_owned();
    rest = &rest[end..];
    let mut attributes = HashMap::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("/>") {
            return Ok((Tag { name, attributes, closes, closed: true }, after));
        }
        if let Some(after) = rest.strip_prefix('>') {
            return Ok((Tag { name, attributes, closes, closed: false }, after));
        }
        let (attribute, after) = rest.split_once("=\"").ok_or_else(fault)?;
        let (value, after) = after.split_once('"').ok_or_else(fault)?;
        attributes.insert(attribute.to_owned(), value.to_owned());
        rest = after;
    }
}

/// A check that finds nothing would prove nothing.
#[test]
fn text_that_became_markup_is_found() {
    let page = |body: &str| {
        format!(
            "<!DOCTYPE html><html lang=\"en\"><head><title>t</title></head><body><header><h1>t</h1></header>\
             <main>{body}</main><footer></footer></body></html>"
        )
    };
    assert_eq!(faults(&page("<p>&lt;script&gt; &#34;</p>")), Vec::<String>::new());
    for bad in [
        "<script>",
        "</td>",
        "<p onclick=\"x\"></p>",
        "<!-- -->",
        "<p",
        "<h2 id=\"a\"></h2><h2 id=\"a\"></h2>",
        "<table></table>",
        "<th></th>",
        "<a href=\"#nowhere\"></a>",
        "<a href=\"javascript:alert(1)\"></a>",
        "<h3></h3><p>",
    ] {
        assert_ne!(faults(&page(bad)), Vec::<String>::new(), "{bad}");
    }
}
