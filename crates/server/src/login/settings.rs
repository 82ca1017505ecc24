//! How people log in: the table `[login]` of the configuration.

use std::path::PathBuf;

use serde::Deserialize;
use trail::Source;
use url::Url;

/// Where the provider sends people back to.
pub const CALLBACK: &str = "/login/callback";
/// Where systemd puts what `LoadCredential=` names.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// Bytes of a client's secret.
const SECRET_BYTES_MAX: usize = 4 << 10;
/// Scopes at most.
const SCOPES_MAX: usize = 32;

/// By which identity provider people log in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginSettings {
    /// The provider, as it names itself; `/.well-known/openid-configuration` below it says the rest.
    pub issuer: String,
    /// What the provider calls this server.
    pub client_id: String,
    /// Where the client's secret is: `file:PATH`, `env:NAME` or `credential:NAME`. None for a public client.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// Where the provider sends people back to: this server's address as people know it, with `/login/callback`.
    pub redirect_url: String,
    /// The claim of the id token that lists a person's groups.
    #[serde(default = "groups")]
    pub groups_claim: String,
    /// What is asked for beside `openid`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
}

fn groups() -> String {
    "groups".to_owned()
}

fn scopes() -> Vec<String> {
    vec!["profile".to_owned()]
}

/// What is wrong with a field of `[login]`.
pub type Wrong = (&'static str, String);

impl LoginSettings {
    /// What is wrong with it, as far as that can be told without asking or opening anything.
    pub fn check(&self) -> Result<(), Wrong> {
        address(&self.issuer).map_err(|what| ("login.issuer", what))?;
        self.redirect()?;
        if self.client_id.is_empty() {
            return Err(("login.client_id", "it is empty; give what the provider calls this server".to_owned()));
        }
        if self.scopes.len() > SCOPES_MAX || self.scopes.iter().any(|scope| scope.is_empty() || scope.contains(' ')) {
            return Err(("login.scopes", format!("they are {SCOPES_MAX} words at most, without blanks in them")));
        }
        self.source().map(|_| ())
    }

    /// Where people are sent back to.
    pub fn redirect(&self) -> Result<Url, Wrong> {
        let field = "login.redirect_url";
        let url = address(&self.redirect_url).map_err(|what| (field, what))?;
        if url.path() != CALLBACK || url.query().is_some() {
            let what = format!("its path is not {CALLBACK}; give the server's address and that path, without a query");
            return Err((field, what));
        }
        Ok(url)
    }

    fn source(&self) -> Result<Option<Source>, Wrong> {
        let field = "login.client_secret";
        let Some(text) = &self.client_secret else { return Ok(None) };
        match text.parse() {
            // What was given may be the secret itself, and is not said again.
            Err(_) | Ok(Source::Passphrase(_)) => {
                Err((field, "it says no place; write file:PATH, env:NAME or credential:NAME".to_owned()))
            }
            Ok(source) => Ok(Some(source)),
        }
    }

    /// The client's secret.
    pub fn secret(&self, host: &host::Host) -> Result<Option<String>, Wrong> {
        let field = "login.client_secret";
        let Some(source) = self.source()? else { return Ok(None) };
        let missing = |what: &str| (field, format!("{source}: {what}"));
        let path = match &source {
            Source::Variable(name) => {
                let value = std::env::var(name).map_err(|_| missing("the variable is not set"))?;
                return trimmed(value).ok_or_else(|| missing("it is empty or too long")).map(Some);
            }
            Source::Credential(name) => {
                let folder =
                    std::env::var_os(CREDENTIALS).ok_or_else(|| missing("systemd hands over no credentials"))?;
                PathBuf::from(folder).join(name)
            }
            Source::File(path) | Source::Passphrase(path) => path.clone(),
        };
        let bytes = host.read_if_there(&path, "login-secret").map_err(|error| missing(&error.to_string()))?;
        let text = bytes.ok_or_else(|| missing("it is not there")).map(String::from_utf8)?;
        text.ok().and_then(trimmed).ok_or_else(|| missing("it is empty, too long or no text")).map(Some)
    }
}

fn trimmed(text: String) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= SECRET_BYTES_MAX).then(|| text.to_owned())
}

/// An address that is asked or shown to a browser: by TLS, or on this machine. What is wrong with one does not repeat it:
/// it may hold a password.
pub fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("it is no address ({error}); give one as https://…"))?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("a user, a password or a # stands in the address; leave that out".to_owned());
    }
    let local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if local => Ok(url),
        _ => Err("the address is not https://…; without TLS an address is on loopback alone".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> LoginSettings {
        LoginSettings {
            issuer: "https://id.example".to_owned(),
            client_id: "onrecord".to_owned(),
            client_secret: None,
            redirect_url: "https://audit.example/login/callback".to_owned(),
            groups_claim: groups(),
            scopes: scopes(),
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_its_field() {
        assert_eq!(settings().check(), Ok(()));
        let field = |change: fn(&mut LoginSettings)| {
            let mut settings = settings();
            change(&mut settings);
            settings.check().unwrap_err()
        };
        for (change, at) in [
            ((|it| it.issuer = "http://id.example".to_owned()) as fn(&mut LoginSettings), "login.issuer"),
            (|it| it.issuer = "https://me:secret@id.example".to_owned(), "login.issuer"),
            (|it| it.redirect_url = "https://audit.example/".to_owned(), "login.redirect_url"),
            (|it| it.redirect_url = "http://audit.example/login/callback".to_owned(), "login.redirect_url"),
            (|it| it.client_id = String::new(), "login.client_id"),
            (|it| it.scopes = vec!["a b".to_owned()], "login.scopes"),
        ] {
            assert_eq!(field(change).0, at);
        }
    }

    #[test]
    fn what_may_be_a_secret_is_not_said_again() {
        for change in [
            (|it, secret| it.client_secret = Some(secret)) as fn(&mut LoginSettings, String),
            |it, secret| it.issuer = format!("https://me:{secret}@id.example"),
            |it, secret| it.issuer = format!("https://{secret}@id.example"),
            |it, secret| it.issuer = format!("http://me:{secret}@id.example"),
            |it, secret| it.issuer = format!("https://me:{secret}/x@id.example"),
            |it, secret| it.redirect_url = format!("https://me:{secret}@audit.example/login/callback"),
            |it, secret| it.redirect_url = format!("https://audit.example/login/callback?key={secret}"),
            |it, secret| it.redirect_url = format!("https://audit.example/{secret}"),
        ] {
            let mut settings = settings();
            change(&mut settings, "hunter2".to_owned());
            let (field, what) = settings.check().unwrap_err();
            assert!(field.starts_with("login.") && !what.contains("hunter2"), "{field}: {what}");
        }
    }

    #[test]
    fn a_secret_is_read_from_where_it_is() {
        let host = host::Host::system();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let at = |path: &std::path::Path| {
            let client_secret = Some(format!("file:{}", path.display()));
            LoginSettings { client_secret, ..settings() }.secret(&host)
        };
        assert_eq!(at(&path).unwrap_err().0, "login.client_secret");
        host.put_new(&path, b"s3cret\n", "test").unwrap();
        assert_eq!(at(&path).unwrap().as_deref(), Some("s3cret"));
        assert_eq!(settings().secret(&host), Ok(None));
    }
}
