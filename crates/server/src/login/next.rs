//! Where somebody wanted to go before they were asked to log in.

/// Bytes of a path.
const NEXT_BYTES_MAX: usize = 2 << 10;
/// Where they go if they did not say.
const HOME: &str = "/v1/me";

/// A path of this server. Anything else would make the login a way to lead people elsewhere in our name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next(String);

impl Next {
    /// What was asked for, if it is a path of this server, and home if it is not.
    pub fn of(asked: Option<&str>) -> Next {
        Next(asked.and_then(path).unwrap_or_else(|| HOME.to_owned()))
    }

    /// The path, with its query.
    pub fn path(&self) -> &str {
        &self.0
    }
}

/// Read as a browser reads it: for one `\` is `/`, tabs and newlines are nothing, and `//` begins a host.
fn path(text: &str) -> Option<String> {
    if !text.starts_with('/') || text.len() > NEXT_BYTES_MAX || text.contains('\\') || text.contains(char::is_control) {
        return None;
    }
    let here = url::Url::parse("https://here.invalid").ok()?;
    let url = here.join(text).ok()?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    (url.origin() == here.origin() && !path.starts_with("//")).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        for (asked, path) in
            [("/", "/"), ("/v1/trails/a/records?limit=3", "/v1/trails/a/records?limit=3"), ("/a/../b", "/b")]
        {
            assert_eq!(Next::of(Some(asked)).path(), path);
        }
        let long = format!("/{}", "a".repeat(NEXT_BYTES_MAX));
        for elsewhere in [
            "",
            "https://evil.example",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/.//evil.example",
            "/a/..//evil.example",
            "javascript:alert(1)",
            "v1/me",
            "@evil.example",
            &long,
        ] {
            assert_eq!(Next::of(Some(elsewhere)).path(), HOME, "{elsewhere:?}");
        }
        assert_eq!(Next::of(None).path(), HOME);
    }
}
