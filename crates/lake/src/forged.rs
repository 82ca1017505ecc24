//! Forged batches: what [`Shown`] says of them against shredding every row again.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::Schema;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use record::{Body, Part, Stored};

use crate::arbitrary;
use crate::assemble::Rows;
use crate::builder::Builder;
use crate::census::Census;
use crate::columns::{ColumnType, Columns};
use crate::facts::Facts;
use crate::layout::{Layout, slot};
use crate::shown::{Shown, compare};
use crate::shred::Shredder;

#[derive(Clone, Debug)]
enum Cell {
    Int(i64),
    Num(f64),
    Bool(bool),
    Str(String),
    Bytes(Vec<u8>),
    Nums(Vec<f64>),
    Strs(Vec<String>),
}

type Column = Vec<Option<Cell>>;

/// What is done to one cell. Columns and rows are picked anew for each.
#[derive(Clone, Debug)]
enum Forgery {
    Cleared,
    /// The value of another row.
    Copied(Index),
    /// One of the values that are odd for its type.
    Set(Index),
    /// An integer or time that is off by a little.
    Nudged(i64),
    /// The part's remainder.
    Rest(Index, Vec<u8>),
    /// Taken out of its column and put into the remainder, where that was empty.
    Moved,
}

const ODD_NAN: u64 = 0x7ff8_0000_0000_0001;

fn odd(kind: ColumnType) -> Vec<Cell> {
    let floats = [0.0, -0.0, 1.0, 0.5, f64::NAN, f64::from_bits(ODD_NAN), f64::INFINITY, 1e300, 2f64.powi(63)];
    let texts = ["", "server", "decision", "x", "0190A5C2-7B1E-7C3A-9D55-1F0F5A6B7C8D", "risk"];
    match kind {
        ColumnType::Int | ColumnType::Time => [0, -1, 1, 7, i64::MIN, i64::MAX].map(Cell::Int).to_vec(),
        ColumnType::Num => floats.map(Cell::Num).to_vec(),
        ColumnType::Bool => [true, false].map(Cell::Bool).to_vec(),
        ColumnType::Str => texts.map(|text| Cell::Str(text.to_owned())).to_vec(),
        ColumnType::Bytes => [vec![], vec![0xa0], vec![0; 16], vec![7; 32], vec![0xf6]].map(Cell::Bytes).to_vec(),
        ColumnType::Nums => floats.into_iter().map(|f| Cell::Nums(vec![f])).chain([Cell::Nums(vec![])]).collect(),
        ColumnType::Strs => [vec![], vec!["a".to_owned()]].map(Cell::Strs).to_vec(),
    }
}

/// Remainders, canonical or not, and such as columns would take something of.
fn rest() -> impl Strategy<Value = Vec<u8>> {
    let fixed: [&[u8]; 14] = [
        b"\xa0",
        b"\xa1\x61a\xa0",
        b"\xa1\x61a\xf6",
        b"\xa1\x61a\x01",
        b"\xa1\x61a\xa1\x61a\xf6",
        b"\xa1\x61a\x80",
        b"\xa1\x61a\x81\x01",
        b"\xa1\x61a\x81\x61x",
        b"\xa1\x61a\xf6\x00",
        b"\xa1\x61a\x18\x01",
        b"\xa2\x62id\xf6\x61a\xf6",
        b"\xf6",
        b"\x01",
        b"",
    ];
    prop_oneof![
        2 => prop::sample::select(fixed.map(<[u8]>::to_vec).to_vec()),
        1 => arbitrary::section().prop_map(|section| section.to_canonical()),
    ]
}

fn forgery() -> impl Strategy<Value = Forgery> {
    prop_oneof![
        Just(Forgery::Cleared),
        any::<Index>().prop_map(Forgery::Copied),
        any::<Index>().prop_map(Forgery::Set),
        prop::sample::select(vec![-1, 1, 999, 1000]).prop_map(Forgery::Nudged),
        (any::<Index>(), rest()).prop_map(|(part, rest)| Forgery::Rest(part, rest)),
        Just(Forgery::Moved),
    ]
}

fn cells(array: &dyn Array, kind: ColumnType) -> Column {
    let list = |row: usize| array.as_list::<i32>().value(row);
    let cell = |row: usize| match kind {
        ColumnType::Int => Cell::Int(array.as_primitive::<Int64Type>().value(row)),
        ColumnType::Time => Cell::Int(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        ColumnType::Num => Cell::Num(array.as_primitive::<Float64Type>().value(row)),
        ColumnType::Bool => Cell::Bool(array.as_boolean().value(row)),
        ColumnType::Str => Cell::Str(array.as_string::<i32>().value(row).to_owned()),
        ColumnType::Bytes => Cell::Bytes(array.as_binary::<i32>().value(row).to_vec()),
        ColumnType::Nums => Cell::Nums(list(row).as_primitive::<Float64Type>().values().to_vec()),
        ColumnType::Strs => Cell::Strs(list(row).as_string::<i32>().iter().flatten().map(str::to_owned).collect()),
    };
    (0..array.len()).map(|row| array.is_valid(row).then(|| cell(row))).collect()
}

fn batch(layout: &Layout, columns: &[Column], rows: usize) -> RecordBatch {
    let array = |(column, cells): (&crate::columns::Column, &Column)| {
        let mut builder = Builder::new(column.kind);
        for (row, cell) in cells.iter().enumerate() {
            match cell {
                Some(Cell::Int(v)) => builder.int(row, *v),
                Some(Cell::Num(v)) => builder.num(row, *v),
                Some(Cell::Bool(v)) => builder.bool(row, *v),
                Some(Cell::Str(v)) => builder.text(row, v.as_bytes()),
                Some(Cell::Bytes(v)) => builder.bytes(row, v),
                Some(Cell::Nums(v)) => builder.nums(row, v),
                Some(Cell::Strs(v)) => builder.strs(row, &v.iter().map(String::as_str).collect::<Vec<_>>()),
                None => {}
            }
        }
        builder.finish(rows).unwrap()
    };
    let schema = Schema::new(layout.columns.iter().map(|c| c.field()).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), layout.columns.iter().zip(columns).map(array).collect()).unwrap()
}

/// The columns of `records`, if every path that may be one is one; and, if `foreign`, some that no writer makes.
fn layout(records: &[(u64, Stored)], foreign: bool) -> Layout {
    let mut census = Census::default();
    for (_, stored) in records {
        (0..5).for_each(|_| stored.parts().into_iter().for_each(|parts| census.count(parts).unwrap()));
    }
    let mut columns = Columns::fixed();
    let mut used = census.choose(&mut columns);
    if foreign {
        let mut schema: serde_json::Value = serde_json::from_str(&columns.to_delta()).unwrap();
        for (name, kind) in
            [("inputs.a:n", "double"), ("inputs.a.b", "long"), ("inputs", "binary"), ("output:x", "long")]
        {
            if columns.get(name).is_none() {
                schema["fields"].as_array_mut().unwrap().push(serde_json::json!({"name": name, "type": kind}));
                used.push(name.to_owned());
            }
        }
        columns = Columns::from_delta(&schema.to_string()).unwrap();
    }
    Layout::new(&columns, used.iter().map(String::as_str))
}

fn shredded(layout: &Layout, records: &[(u64, Stored)]) -> RecordBatch {
    let mut shredder = Shredder::new(layout);
    for (index, stored) in records {
        shredder.push(*index, stored, &Facts::of(stored)).unwrap();
    }
    shredder.finish().unwrap()
}

/// What every check did before: each row shredded again, all cells compared.
fn full(layout: &Arc<Layout>, batch: &RecordBatch) -> Result<(), String> {
    let rows = Rows::new(layout, batch).map_err(|e| e.to_string())?;
    let mut shredder = Shredder::new(layout);
    for row in 0..rows.len() {
        let stored = rows.stored_in(row, record::Parts::default()).map_err(|e| e.to_string())?;
        let index = rows.index(row).map_err(|e| e.to_string())?;
        shredder.push(index, &stored, &Facts::of(&stored)).map_err(|e| e.to_string())?;
    }
    let made = shredder.finish().map_err(|e| e.to_string())?;
    compare(batch, &made).map_err(|(row, column)| format!("row {row}, {column}"))
}

/// What [`Shown`] says, and how many rows it shredded for it.
fn shown(layout: &Arc<Layout>, batch: &RecordBatch) -> (Result<(), String>, usize) {
    let mut shown = Shown::new(layout);
    let say = |shown: &mut Shown<'_>| {
        let rows = Rows::new(layout, batch).map_err(|e| e.to_string())?;
        shown.begin(&rows);
        for row in 0..rows.len() {
            let stored = rows.stored_in(row, record::Parts::default()).map_err(|e| e.to_string())?;
            let index = rows.index(row).map_err(|e| e.to_string())?;
            shown.row(&rows, row, index, &stored).map_err(|e| e.to_string())?;
        }
        shown.finish(batch).map_err(|e| e.to_string())?.map_err(|(row, column)| format!("row {row}, {column}"))
    };
    let said = say(&mut shown);
    (said, shown.shredded())
}

fn forge(layout: &Layout, columns: &mut [Column], at: &(Index, Index, Forgery)) {
    let rows = columns[slot::INDEX].len();
    let (slot, row) = (at.0.index(columns.len()), at.1.index(rows));
    let kind = layout.columns[slot].kind;
    match &at.2 {
        Forgery::Cleared => columns[slot][row] = None,
        Forgery::Copied(from) => columns[slot][row] = columns[slot][from.index(rows)].clone(),
        Forgery::Set(which) => columns[slot][row] = Some(which.get(&odd(kind)).clone()),
        Forgery::Nudged(by) => {
            let slot = [slot::TIME, slot::TIME_NS, slot::RECEIVED, slot::INDEX][slot % 4];
            if let Some(Cell::Int(value)) = &mut columns[slot][row] {
                *value = value.wrapping_add(*by);
            }
        }
        Forgery::Rest(part, rest) => {
            columns[slot::REST + part.index(Part::COUNT)][row] = Some(Cell::Bytes(rest.clone()));
        }
        Forgery::Moved => {
            let mut path = layout.columns[slot].path().split('.');
            let part = path.next().and_then(Part::section);
            let (Some(part), Some(key), None) = (part, path.next(), path.next()) else { return };
            let value = match &columns[slot][row] {
                Some(Cell::Num(value)) => record::Value::float(*value),
                Some(Cell::Str(text)) => record::Value::Text(text.clone()),
                Some(Cell::Bool(value)) => record::Value::Bool(*value),
                _ => return,
            };
            let rest = &mut columns[slot::REST + part as usize][row];
            if rest.is_none() {
                *rest = Some(Cell::Bytes(record::Value::map([(key.to_owned(), value)]).to_canonical()));
                columns[slot][row] = None;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// T26: whatever was done to the cells, the one finds it if and only if the other does.
    #[test]
    fn a_forged_cell_is_found_as_if_every_row_were_shredded_again(
        records in arbitrary::run(0, 1..8),
        forgeries in vec((any::<Index>(), any::<Index>(), forgery()), 0..4),
        foreign in prop::bool::weighted(0.2),
    ) {
        let layout = Arc::new(layout(&records, foreign));
        let good = shredded(&layout, &records);
        let mut columns: Vec<Column> =
            layout.columns.iter().zip(good.columns()).map(|(c, array)| cells(array, c.kind)).collect();
        forgeries.iter().for_each(|forgery| forge(&layout, &mut columns, forgery));
        let forged = batch(&layout, &columns, records.len());
        let (said, _) = shown(&layout, &forged);
        prop_assert_eq!(said.is_ok(), full(&layout, &forged).is_ok(), "{:?} {:?}", said, full(&layout, &forged));
    }

    /// What was shredded passes, and of whole records hardly any is shredded again.
    #[test]
    fn what_was_shredded_is_proven_without_doing_it_again(records in arbitrary::run(0, 1..12)) {
        let layout = Arc::new(layout(&records, false));
        let (said, doubtful) = shown(&layout, &shredded(&layout, &records));
        prop_assert_eq!(said, Ok(()));
        // An array that stays in the remainder, at a path where another one is a column, is looked at closely.
        let close = |stored: &Stored| !matches!(stored.body, Body::Whole { .. }) || !Facts::of(stored).agrees || {
            let rows = shredded(&layout, &[(0, stored.clone())]);
            Part::SECTIONS.iter().any(|part| rows.column(slot::REST + *part as usize).null_count() == 0)
        };
        prop_assert!(doubtful <= records.iter().filter(|(_, stored)| close(stored)).count());
    }
}

/// Each a lie that no digest notices.
#[test]
fn cells_that_no_record_is_made_of_are_found() {
    let records = arbitrary::sample(21, 0, 12);
    let whole = |stored: &Stored| matches!(stored.body, Body::Whole { .. }) && Facts::of(stored).agrees;
    let (row, _) = records.iter().enumerate().find(|(_, (_, stored))| whole(stored)).unwrap();
    let layout = Arc::new(layout(&records, false));
    let good = shredded(&layout, &records);
    let columns: Vec<Column> = layout.columns.iter().zip(good.columns()).map(|(c, a)| cells(a, c.kind)).collect();
    let change = |slot: usize, cell: Option<Cell>| {
        let mut columns = columns.clone();
        columns[slot][row] = cell;
        let forged = batch(&layout, &columns, records.len());
        assert_eq!(shown(&layout, &forged).0, full(&layout, &forged));
        shown(&layout, &forged).0
    };
    let Some(Cell::Int(us)) = columns[slot::TIME][row] else { panic!("no time") };
    assert_eq!(change(slot::TIME, columns[slot::TIME][row].clone()), Ok(()));
    assert_eq!(change(slot::TIME, Some(Cell::Int(us + 1))), Err(format!("row {row}, time")));
    assert_eq!(change(slot::TIME, None), Err(format!("row {row}, time")));
    assert!(change(slot::REST + Part::Context as usize, Some(Cell::Bytes(vec![0xa0, 0]))).is_err());
    // A list without elements, which canonical CBOR would give back as part of a remainder.
    let list = layout.columns.iter().position(|column| column.kind == ColumnType::Nums).unwrap();
    assert!(change(list, Some(Cell::Nums(vec![]))).is_err());
    assert!(change(slot::CONTENT, Some(Cell::Bytes(vec![7; 32]))).is_err());
}
