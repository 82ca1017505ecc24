//! A cookie is sent by whoever has a page open, and any page can make a browser send a request. So what changes something
//! and is authorised by a cookie must show that it comes from our own page: by the session's token in a header, which no
//! other site knows or can send, and by what the browser says of where it comes from.

use http::header::ORIGIN;
use http::{HeaderMap, HeaderName, Method};

/// The session's token, which its pages send back.
pub const CSRF: HeaderName = HeaderName::from_static("onrecord-csrf");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What is missing of a request that a cookie authorises. It goes on record, and to who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrossSite {
    /// The browser says that another site's page made it.
    #[error("the request was made by a page of another site")]
    Origin,
    /// The session's token is not there, or is another's.
    #[error("the session's token is missing or wrong; send what /v1/me says as csrf in the header OnRecord-CSRF")]
    Token,
}

/// Checks a request that a cookie authorises. `own` is our own origin.
pub fn check(
    method: &Method,
    headers: &HeaderMap,
    own: &str,
    is_csrf: impl FnOnce(&str) -> bool,
) -> Result<(), CrossSite> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let from_elsewhere = text(&ORIGIN).is_some_and(|origin| origin != own)
        || text(&FETCH_SITE).is_some_and(|site| !matches!(site, "same-origin" | "none"));
    if from_elsewhere {
        return Err(CrossSite::Origin);
    }
    let csrf = text(&CSRF).filter(|_| headers.get_all(&CSRF).iter().count() == 1);
    if csrf.is_some_and(is_csrf) { Ok(()) } else { Err(CrossSite::Token) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_sites_page_changes_nothing() {
        let ask = |method: Method, given: &[(&HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.append(*name, value.parse().unwrap());
            }
            check(&method, &headers, "https://here.example", |csrf| csrf == "good")
        };
        let good = (&CSRF, "good");
        assert_eq!(ask(Method::GET, &[(&FETCH_SITE, "cross-site")]), Ok(()));
        assert_eq!(ask(Method::POST, &[good]), Ok(()));
        assert_eq!(ask(Method::POST, &[good, (&ORIGIN, "https://here.example"), (&FETCH_SITE, "same-origin")]), Ok(()));
        for origin in ["https://here.example.evil.example", "http://here.example", "https://here.example:8443", "null"]
        {
            assert_eq!(ask(Method::POST, &[good, (&ORIGIN, origin)]), Err(CrossSite::Origin), "{origin}");
        }
        for site in ["cross-site", "same-site", "?"] {
            assert_eq!(ask(Method::DELETE, &[good, (&FETCH_SITE, site)]), Err(CrossSite::Origin), "{site}");
        }
        for given in [&[][..], &[(&CSRF, "bad")], &[good, good]] {
            assert_eq!(ask(Method::PUT, given), Err(CrossSite::Token), "{given:?}");
        }
    }
}
