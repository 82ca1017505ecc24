//! Cookies: few, all of our own, none that a script can read.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// What a cookie is called, and who gets it back.
#[derive(Clone, Debug)]
pub struct Cookie {
    name: String,
    secure: bool,
}

impl Cookie {
    /// One that a browser sends over TLS and to this host alone, which its prefix makes it hold to: nobody who owns a
    /// neighbouring host can set it. Without TLS, which there is on loopback alone, it has no prefix.
    pub fn new(name: &str, tls: bool) -> Cookie {
        let prefix = if tls { "__Host-" } else { "" };
        Cookie { name: format!("{prefix}{name}"), secure: tls }
    }

    /// What came with a request. Nothing if it is there twice: one of them would be somebody else's.
    pub fn of<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        // Taken apart as bytes: what other cookies of this host hold is no reason to lose ours.
        let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
        let mut values = pairs.filter_map(|pair| self.value(pair.trim_ascii()));
        let value = values.next().filter(|value| !value.is_empty() && values.next().is_none())?;
        std::str::from_utf8(value).ok()
    }

    fn value<'h>(&self, pair: &'h [u8]) -> Option<&'h [u8]> {
        pair.strip_prefix(self.name.as_bytes())?.strip_prefix(b"=")
    }

    /// Sets it, for so many seconds. Other sites' pages send it when they lead here, and not when they post or fetch.
    pub fn set(&self, value: &str, seconds: u64) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", self.name);
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    /// Takes it away.
    pub fn clear(&self) -> Option<HeaderValue> {
        self.set("", 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cookie: &Cookie, lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        cookie.of(&headers).map(str::to_owned)
    }

    #[test]
    fn a_cookie_is_found_once_or_not_at_all() {
        let cookie = Cookie::new("onrecord", true);
        assert_eq!(of(&cookie, &["a=b; __Host-onrecord=x=y;c=d"]).as_deref(), Some("x=y"));
        assert_eq!(of(&cookie, &["a=b", "__Host-onrecord=z"]).as_deref(), Some("z"));
        for none in [&["onrecord=x"][..], &["__Host-onrecord="], &["__Host-onrecord=x; __Host-onrecord=y"], &[]] {
            assert_eq!(of(&cookie, none), None, "{none:?}");
        }
        assert_eq!(of(&cookie, &["__Host-onrecord=x", "__Host-onrecord=x"]), None);
        assert_eq!(of(&cookie, &["a=\u{e9}; __Host-onrecord=x; b=\u{1f980}"]).as_deref(), Some("x"), "others' bytes");
        for none in ["__Host-onrecord-login=x", "__Host-onrecord", "a=__Host-onrecord=x"] {
            assert_eq!(of(&cookie, &[none]), None, "{none}");
        }
    }

    #[test]
    fn it_goes_to_this_host_alone_and_to_no_script() {
        let set = |tls| Cookie::new("onrecord", tls).set("x", 60).unwrap();
        assert_eq!(set(true), "__Host-onrecord=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(set(false), "onrecord=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
        assert!(Cookie::new("onrecord", true).set("x\r\nSet-Cookie: y=z", 60).is_none());
    }
}
