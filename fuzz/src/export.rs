//! The files of an export, as whoever was handed one reads them.

use export::{Manifest, reread};

/// A manifest that is read is written and read again as the same, and names no file but those that it may.
pub fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::read(bytes) else { return };
    assert!(manifest.files.iter().all(|file| !file.name.contains(['/', '\\'])));
    assert_eq!(manifest.row_files().iter().filter_map(|file| file.rows).sum::<u64>(), manifest.rows);
    let written = manifest.to_bytes().unwrap();
    assert_eq!(Manifest::read(&written).unwrap(), manifest);
}

/// Records that are read have one spelling.
pub fn records(bytes: &[u8]) {
    if let Ok(again) = reread(bytes) {
        assert_eq!(again, bytes);
    }
}
