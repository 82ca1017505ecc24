//! Records → columns → records, in memory.

use std::sync::Arc;

use proptest::prelude::*;
use record::Stored;

use crate::arbitrary;
use crate::assemble::Rows;
use crate::census::Census;
use crate::columns::Columns;
use crate::facts::Facts;
use crate::layout::Layout;
use crate::shred::Shredder;

/// Through columns and back. With `every`, every path that may be a column is one.
fn through_columns(records: &[(u64, Stored)], columns: &mut Columns, every: bool) -> Vec<(u64, Stored)> {
    let mut census = Census::default();
    for (_, stored) in records {
        for _ in 0..if every { 5 } else { 1 } {
            stored.parts().into_iter().for_each(|parts| census.count(parts).unwrap());
        }
    }
    let used = census.choose(columns);
    let layout = Arc::new(Layout::new(columns, used.iter().map(String::as_str)));
    let mut shredder = Shredder::new(&layout);
    for (index, stored) in records {
        shredder.push(*index, stored, &Facts::of(stored)).unwrap();
    }
    let batch = shredder.finish().unwrap();
    let rows = Rows::new(&layout, &batch).unwrap();
    (0..rows.len())
        .map(|row| (rows.index(row).unwrap(), rows.stored_in(row, record::Parts::default()).unwrap()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// I7: what comes back is, to the canonical byte, what went in, whichever paths are columns.
    #[test]
    fn any_record_comes_back_byte_for_byte(records in arbitrary::run(0, 1..24), every in any::<bool>()) {
        let back = through_columns(&records, &mut Columns::fixed(), every);
        for ((index, before), (again, after)) in records.iter().zip(&back) {
            prop_assert_eq!(index, again);
            prop_assert_eq!(before.digest(), after.digest());
            prop_assert!(before == after, "{:?}\n{:?}", before.parts(), after.parts());
        }
        prop_assert_eq!(records.len(), back.len());
    }
}
