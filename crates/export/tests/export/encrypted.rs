//! Exports that are encrypted to their recipients, of trails that are encrypted too.

use std::io::Read as _;
use std::path::Path;

use age::Decryptor;
use age::x25519::Identity;
use export::{AGE, Recipient, RowFormat};

use crate::trail_of::*;

/// What every record's subject begins with.
const CANARY: &[u8] = b"s-2";

fn decrypted(path: &Path, identity: &Identity) -> Option<Vec<u8>> {
    let decryptor = Decryptor::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut clear = Vec::new();
    decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)).ok()?.read_to_end(&mut clear).unwrap();
    Some(clear)
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn recipients_decrypt_what_then_checks_and_nobody_else_reads_a_byte() {
    let trail = Trail::made(40, 20, true);
    let (one, two, other) = (Identity::generate(), Identity::generate(), Identity::generate());
    let recipients: Vec<Recipient> =
        [&one, &two].iter().map(|identity| identity.to_public().to_string().parse().unwrap()).collect();
    for format in [RowFormat::Parquet, RowFormat::Csv, RowFormat::Ndjson] {
        let name = format!("{format:?}");
        let export = trail.export_to(&name, every(), &ALL, format, (10, recipients.clone()));
        let sealed = files(&export.folder);
        assert!(sealed.len() > 5 && sealed.iter().all(|file| file.to_string_lossy().ends_with(AGE)), "{sealed:?}");
        for identity in [&one, &two] {
            let clear = tempfile::tempdir().unwrap();
            for file in &sealed {
                let bytes = std::fs::read(file).unwrap();
                assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY), "{}", file.display());
                assert!(decrypted(file, &other).is_none());
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                let bytes = decrypted(file, identity).unwrap();
                std::fs::write(clear.path().join(name.strip_suffix(AGE).unwrap()), bytes).unwrap();
            }
            let report = check(clear.path());
            assert!(report.findings.is_empty(), "{:?}", report.findings);
            let records = std::fs::read(clear.path().join("records.cbor")).unwrap();
            assert!(records.windows(CANARY.len()).any(|window| window == CANARY));
        }
    }
}

#[test]
fn a_recipient_that_is_none_is_refused_by_name() {
    for text in ["", "age1", "ssh-ed25519 AAAA", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8q"] {
        let error = text.parse::<Recipient>().unwrap_err();
        assert!(error.contains("age1…"), "{error}");
    }
}
