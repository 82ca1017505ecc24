//! Services known by their certificates.

use access::{Access, Credential, Principal, PrincipalKind, Reason, Refused};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

use crate::place::{NOW, Place};

const SETTINGS: &str = r#"
[[certificate]]
name = "scorer"
dns = "scorer.example.com"
roles = [{ role = "writer", trails = ["credit"] }]

[[certificate]]
name = "batch"
uri = "spiffe://example.com/batch"
roles = [{ role = "writer", trails = ["credit"], models = ["risk"], kinds = ["outcome"] }]

[[certificate]]
name = "report"
subject = "O=Example, CN=report"
roles = [{ role = "reader", trails = ["*"] }]
"#;

fn certificate(names: Vec<SanType>, common_name: &str) -> Vec<u8> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = names;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2026, 12, 31);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn who(access: &Access, der: &[u8]) -> Result<Principal, Refused> {
    access.authenticate(&Credential::Certificate { der }, NOW)
}

#[test]
fn a_service_is_known_by_what_its_certificate_says() {
    let access = Place::with(SETTINGS).open();
    let name = |der: &[u8]| who(&access, der).map(|principal| principal.name).map_err(|refused| refused.reason);
    assert_eq!(
        name(&certificate(vec![dns("other.example.com"), dns("Scorer.example.com")], "x")),
        Ok("scorer".to_owned())
    );
    let uri = SanType::URI("spiffe://example.com/batch".try_into().unwrap());
    let der = certificate(vec![uri], "x");
    assert_eq!(name(&der), Ok("batch".to_owned()));
    let batch = who(&access, &der).unwrap();
    assert_eq!((&*batch.id, batch.kind), ("service:batch", PrincipalKind::Service));
    assert_eq!(batch.assignments[0].kinds.as_ref().unwrap().to_string(), "outcome");
    assert_eq!(name(&certificate(Vec::new(), "report")), Ok("report".to_owned()));
}

#[test]
fn a_certificate_that_says_something_else_is_nobodys() {
    let access = Place::with(SETTINGS).open();
    for (names, common_name) in [
        (Vec::new(), "scorer.example.com"),
        (vec![dns("scorer.example.com.evil.org")], "x"),
        (vec![dns("*.example.com")], "x"),
        (vec![SanType::URI("scorer.example.com".try_into().unwrap())], "x"),
        (vec![SanType::URI("spiffe://example.com/batch/2".try_into().unwrap())], "x"),
        (Vec::new(), "report, CN=report"),
    ] {
        let refused = who(&access, &certificate(names.clone(), common_name)).unwrap_err();
        assert_eq!(refused.reason, Reason::Unknown, "{names:?} {common_name}");
    }
    let mut folded = CertificateParams::new(Vec::new()).unwrap();
    folded.distinguished_name = DistinguishedName::new();
    folded.distinguished_name.push(DnType::OrganizationName, "Example, CN=report");
    let folded = folded.self_signed(&KeyPair::generate().unwrap()).unwrap();
    assert_eq!(who(&access, folded.der()).unwrap_err().reason, Reason::Unknown, "one value that reads as two");
    let good = certificate(vec![dns("scorer.example.com")], "x");
    let late = access.authenticate(&Credential::Certificate { der: &good }, 1_830_000_000_000_000_000).unwrap_err();
    assert_eq!(late.reason, Reason::Expired);
    for bad in [&b""[..], &good[..good.len() - 1], &[good.clone(), vec![0]].concat(), &[0x30; 100_000]] {
        assert_eq!(who(&access, bad).unwrap_err().reason, Reason::Malformed);
    }
    assert_eq!(who(&Place::new().open(), &good).unwrap_err().reason, Reason::Unknown);
}
