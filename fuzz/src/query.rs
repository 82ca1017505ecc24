//! What people hand over to be asked or compared: queries, counts from elsewhere, certificates.

use std::sync::LazyLock;

use host::Host;
use query::{By, Certificate, Engine, Labels, Limits, Policy, Theirs, View};
use trail::{Folder, KeyFolder, Reader};

/// Counts that are read are counts, and a bad row keeps none of the others away.
pub fn counts(bytes: &[u8]) {
    let Ok(theirs) = Theirs::read(bytes, By::Hour, &Labels::default()) else { return };
    assert!(theirs.bad_rows().len() as u64 <= theirs.bad_rows_count());
    let doubled = [bytes, b"\n", bytes].concat();
    if let Ok(again) = Theirs::read(&*doubled, By::Hour, &Labels::default()) {
        assert!(theirs.is_empty() || !again.is_empty(), "more rows, and no counts");
    }
}

/// A certificate that is read is written and read again as the same.
pub fn certificate(bytes: &[u8]) {
    let Ok(certificate) = Certificate::read(bytes) else { return };
    assert!(Certificate::is_like(bytes));
    assert_eq!(Certificate::read(certificate.to_json().as_bytes()).unwrap(), certificate);
}

/// Whatever is asked, the answer is rows or an error, and no library's panic.
pub fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let failed = match EMPTY.sql(text) {
        Ok(answer) => answer.filter_map(Result::err).map(|error| error.to_string()).next(),
        Err(error) => Some(error.to_string()),
    };
    if let Some(error) = failed {
        assert!(!error.contains("panic"), "{error}");
    }
}

/// A trail without records: what is fuzzed is the way to a plan.
static EMPTY: LazyLock<View> = LazyLock::new(|| {
    let (host, place) = (Host::system(), tempfile::tempdir().unwrap());
    let folder = Folder::new(place.path().join("trail"));
    trail::init(&host, &folder, Some("example.com/fuzz"), &KeyFolder(place.path().join("keys"))).unwrap();
    let snapshot = Reader::new(&host, &folder).snapshot().unwrap();
    let limits = Limits { time: std::time::Duration::from_secs(10), threads: 1, ..Limits::default() };
    Engine::new(&host, limits).unwrap().view(snapshot, Policy::default()).unwrap()
});
