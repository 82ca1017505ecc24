//! Services known by their certificate.

use serde::Deserialize;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::names::is_name;
use crate::principal::{Assignment, Principal, PrincipalKind};
use crate::refused::Reason;

/// Bytes of a certificate (I12).
const CERTIFICATE_BYTES_MAX: usize = 64 << 10;

/// Which certificates are which service, by exactly one of what they say. Who issued them is for TLS to check.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateRule {
    /// The service, as people call it.
    pub name: String,
    /// A subject alternative name that is a DNS name, compared without regard to case.
    dns: Option<String>,
    /// A subject alternative name that is a URI, such as a SPIFFE id, compared to the byte.
    uri: Option<String>,
    /// The whole subject in the certificate's order, such as `O=Example, CN=scorer`, compared to the byte.
    subject: Option<String>,
    pub roles: Vec<Assignment>,
}

impl CertificateRule {
    pub fn check(&self) -> Result<(), String> {
        let named = [&self.dns, &self.uri, &self.subject].into_iter().flatten().collect::<Vec<_>>();
        match *named {
            _ if !is_name(&self.name) => Err(format!("certificate {:?}: the name is no name", self.name)),
            [one] if !one.trim().is_empty() => Ok(()),
            _ => Err(format!("certificate {:?}: say exactly one of dns, uri and subject", self.name)),
        }
    }

    /// The service.
    pub fn principal(&self) -> Principal {
        Principal {
            id: format!("service:{}", self.name),
            kind: PrincipalKind::Service,
            name: self.name.clone(),
            assignments: self.roles.clone(),
        }
    }

    fn is_of(&self, certificate: &X509Certificate<'_>) -> bool {
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.map(|extension| &*extension.value.general_names).unwrap_or_default();
        if let Some(dns) = &self.dns {
            return names.iter().any(|name| matches!(name, GeneralName::DNSName(it) if it.eq_ignore_ascii_case(dns)));
        }
        if let Some(uri) = &self.uri {
            return names.iter().any(|name| matches!(name, GeneralName::URI(it) if it == uri));
        }
        // Written out, a value that holds what stands between values would read as several.
        let plain = |value: &str| !value.contains([',', '=', '+', '"', '\\', '\n']);
        let mut values = certificate.subject().iter_attributes().map(|attribute| attribute.as_str());
        let subject = self.subject.as_ref().filter(|_| values.all(|value| value.is_ok_and(plain)));
        subject.is_some_and(|subject| certificate.subject().to_string() == *subject)
    }
}

/// The service whose certificate that is. Of several rules that it meets, the first counts.
pub(crate) fn service(rules: &[CertificateRule], der: &[u8], now_ns: i64) -> Result<Principal, Reason> {
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(Reason::Malformed);
    }
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| Reason::Malformed)?;
    if !rest.is_empty() {
        return Err(Reason::Malformed);
    }
    // TLS has checked that when the connection was made, and connections last.
    let seconds = now_ns.div_euclid(1_000_000_000);
    if certificate.validity().not_after.timestamp() < seconds {
        return Err(Reason::Expired);
    }
    rules.iter().find(|rule| rule.is_of(&certificate)).map(CertificateRule::principal).ok_or(Reason::Unknown)
}
