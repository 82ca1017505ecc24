//! Checkpoints of the log.

use super::*;

#[test]
fn look() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::at(Host::system(), folder.path()).unwrap();
    let empty = table.create_or_recover().unwrap();
    let one = table.commit(&empty, Change { files: vec![file(A, 0, 1)], watermark: 2, ..Change::default() }).unwrap();
    let two = table.commit(&one, Change { files: vec![file(B, 2, 3)], watermark: 4, ..Change::default() }).unwrap();
    let three = table
        .commit(
            &two,
            Change {
                removed: vec![file(A, 0, 1)],
                watermark: 4,
                reason: Some(crate::Reason::Compaction),
                ..Change::default()
            },
        )
        .unwrap();
    let again = table.checkpoint(&three).unwrap();
    println!("{}", std::fs::read_to_string(table.file(Named::LastCheckpoint)).unwrap());
    let listing = table.listing().unwrap();
    println!("{listing:?} {:#?}", table.look_at(3, &listing).unwrap());
    assert_eq!(table.prove_all().unwrap(), 1);
    let _ = again;
}
