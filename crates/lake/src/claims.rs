//! What a file says of its own values so that readers may skip them, held against the values (T26).
//!
//! Row-group statistics, page index and Bloom filters hide a row when they are wrong, and the row's digest does not
//! notice. So each claim is tried with every value: none may lie outside its bounds, be null where none is counted,
//! or be missing from its filter. A claim may be wider than the values; that costs time and hides nothing.
//!
//! NaN lies outside every bound by the rules of Parquet; whoever prunes floats by bounds has to know that.
//! List columns are not tried: nothing prunes by them.

use arrow_array::Array;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::statistics::Statistics;

use crate::columns::ColumnType;

/// A value, as statistics order it.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Cell<'a> {
    Int(i64),
    Num(f64),
    Bool(bool),
    Bytes(&'a [u8]),
}

/// A bound, owned.
#[derive(Clone, Debug)]
enum Bound {
    Int(i64),
    Num(f64),
    Bool(bool),
    Bytes(Vec<u8>),
}

impl Bound {
    fn cell(&self) -> Cell<'_> {
        match self {
            Self::Int(v) => Cell::Int(*v),
            Self::Num(v) => Cell::Num(*v),
            Self::Bool(v) => Cell::Bool(*v),
            Self::Bytes(v) => Cell::Bytes(v),
        }
    }
}

/// Which claim does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The statistics of the row group.
    RowGroup,
    /// The page index.
    Page,
    /// The Bloom filter.
    BloomFilter,
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RowGroup => "row-group statistics",
            Self::Page => "page index",
            Self::BloomFilter => "Bloom filter",
        })
    }
}

/// What is claimed of a run of rows of one column, and what was seen of it.
struct Bounds {
    rows: u64,
    least: Option<Bound>,
    greatest: Option<Bound>,
    nulls: Option<u64>,
    all_null: bool,
    seen: u64,
    seen_nulls: u64,
}

impl Bounds {
    fn see(&mut self, cell: Option<Cell<'_>>) -> bool {
        self.seen += 1;
        let Some(cell) = cell else {
            self.seen_nulls += 1;
            return true;
        };
        if matches!(cell, Cell::Num(f) if f.is_nan()) {
            return !self.all_null;
        }
        !self.all_null
            && self.least.as_ref().is_none_or(|least| least.cell() <= cell)
            && self.greatest.as_ref().is_none_or(|greatest| cell <= greatest.cell())
    }

    /// Whether the counts hold, once all rows were seen.
    fn counts_hold(&self) -> bool {
        self.seen == self.rows && self.nulls.is_none_or(|nulls| nulls == self.seen_nulls)
    }
}

/// The claims about one column in one row group.
pub(crate) struct ColumnClaims {
    group: Bounds,
    pages: Vec<Bounds>,
    /// The page that the next row is in.
    page: usize,
    filter: Option<Sbbf>,
}

impl ColumnClaims {
    pub(crate) fn new(
        group: &RowGroupMetaData,
        leaf: usize,
        index: Option<&ColumnIndexMetaData>,
        pages: Option<&[PageLocation]>,
        filter: Option<Sbbf>,
    ) -> Self {
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let statistics = group.column(leaf).statistics();
        let (least, greatest) = statistics.map_or((None, None), bounds);
        let nulls = statistics.and_then(Statistics::null_count_opt);
        let group = Bounds { rows, least, greatest, nulls, all_null: false, seen: 0, seen_nulls: 0 };
        let pages = match (index, pages) {
            (Some(index), Some(pages)) => page_bounds(index, pages, rows),
            _ => Vec::new(),
        };
        Self { group, pages, page: 0, filter }
    }

    /// Tries the values of `array`, which follow the ones before; gives the first place whose value breaks a claim.
    pub(crate) fn see(&mut self, array: &dyn Array, kind: ColumnType) -> Result<(), (usize, Claim)> {
        for row in 0..array.len() {
            let cell = array.is_valid(row).then(|| cell(array, kind, row)).flatten();
            if !self.group.see(cell) {
                return Err((row, Claim::RowGroup));
            }
            self.see_page(cell).map_err(|claim| (row, claim))?;
            if let (Some(Cell::Bytes(bytes)), Some(filter)) = (cell, &self.filter)
                && !filter.check(bytes)
            {
                return Err((row, Claim::BloomFilter));
            }
        }
        Ok(())
    }

    fn see_page(&mut self, cell: Option<Cell<'_>>) -> Result<(), Claim> {
        if self.pages.is_empty() {
            return Ok(());
        }
        while self.pages.get(self.page).is_some_and(|page| page.seen == page.rows) {
            self.page += 1;
        }
        let holds = self.pages.get_mut(self.page).is_some_and(|page| page.see(cell));
        if holds { Ok(()) } else { Err(Claim::Page) }
    }

    /// The claim whose counts do not hold, once every row of the group was seen.
    pub(crate) fn finish(&self) -> Option<Claim> {
        if !self.group.counts_hold() {
            return Some(Claim::RowGroup);
        }
        self.pages.iter().any(|page| !page.counts_hold()).then_some(Claim::Page)
    }
}

fn cell(array: &dyn Array, kind: ColumnType, row: usize) -> Option<Cell<'_>> {
    Some(match kind {
        ColumnType::Int => Cell::Int(array.as_primitive_opt::<Int64Type>()?.value(row)),
        ColumnType::Time => Cell::Int(array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row)),
        ColumnType::Num => Cell::Num(array.as_primitive_opt::<Float64Type>()?.value(row)),
        ColumnType::Bool => Cell::Bool(array.as_boolean_opt()?.value(row)),
        ColumnType::Str => Cell::Bytes(array.as_string_opt::<i32>()?.value(row).as_bytes()),
        ColumnType::Bytes => Cell::Bytes(array.as_binary_opt::<i32>()?.value(row)),
        ColumnType::Nums | ColumnType::Strs => return None,
    })
}

fn bounds(statistics: &Statistics) -> (Option<Bound>, Option<Bound>) {
    match statistics {
        Statistics::Int64(s) => (s.min_opt().copied().map(Bound::Int), s.max_opt().copied().map(Bound::Int)),
        Statistics::Double(s) => (s.min_opt().copied().map(Bound::Num), s.max_opt().copied().map(Bound::Num)),
        Statistics::Boolean(s) => (s.min_opt().copied().map(Bound::Bool), s.max_opt().copied().map(Bound::Bool)),
        other => {
            let owned = |bytes: Option<&[u8]>| bytes.map(|b| Bound::Bytes(b.to_vec()));
            (owned(other.min_bytes_opt()), owned(other.max_bytes_opt()))
        }
    }
}

fn page_bounds(index: &ColumnIndexMetaData, pages: &[PageLocation], rows: u64) -> Vec<Bounds> {
    let start = |page: usize| pages.get(page).map_or(rows, |p| u64::try_from(p.first_row_index).unwrap_or(0));
    // An index for another number of pages than there are claims nothing that could be held against them.
    let indexed = !matches!(index, ColumnIndexMetaData::NONE) && index.num_pages() as usize == pages.len();
    let bounds_of = |page: usize| -> (Option<Bound>, Option<Bound>) {
        match index {
            ColumnIndexMetaData::INT64(i) => {
                (i.min_value(page).copied().map(Bound::Int), i.max_value(page).copied().map(Bound::Int))
            }
            ColumnIndexMetaData::DOUBLE(i) => {
                (i.min_value(page).copied().map(Bound::Num), i.max_value(page).copied().map(Bound::Num))
            }
            ColumnIndexMetaData::BOOLEAN(i) => {
                (i.min_value(page).copied().map(Bound::Bool), i.max_value(page).copied().map(Bound::Bool))
            }
            ColumnIndexMetaData::BYTE_ARRAY(i) => {
                let owned = |bytes: Option<&[u8]>| bytes.map(|b| Bound::Bytes(b.to_vec()));
                (owned(i.min_value(page)), owned(i.max_value(page)))
            }
            _ => (None, None),
        }
    };
    let page = |page: usize| {
        let rows = start(page + 1).saturating_sub(start(page));
        let mut bounds =
            Bounds { rows, least: None, greatest: None, nulls: None, all_null: false, seen: 0, seen_nulls: 0 };
        if indexed {
            (bounds.least, bounds.greatest) = bounds_of(page);
            bounds.nulls = index.null_count(page).and_then(|n| u64::try_from(n).ok());
            bounds.all_null = index.is_null_page(page);
        }
        bounds
    };
    (0..pages.len()).map(page).collect()
}
