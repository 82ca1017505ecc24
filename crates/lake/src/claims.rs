//! What a file says of its own values so that readers may skip them, held against the values (T26).
//!
//! Row-group statistics, page index and Bloom filters hide a row when they are wrong, and the row's digest does not
//! notice. So each claim is tried with every value: none may lie outside its bounds, be null where none is counted,
//! or be missing from its filter. A claim may be wider than the values; that costs time and hides nothing.
//!
//! NaN lies outside every bound by the rules of Parquet; whoever prunes floats by bounds has to know that.
//! List columns are not tried: nothing prunes by them.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, PrimitiveArray};
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
    /// Whether all the values of a run may be there.
    fn hold(&self, run: &Extremes<'_>) -> bool {
        if run.rows > run.nulls && self.all_null {
            return false;
        }
        let Some((least, greatest)) = run.bounds else { return true };
        self.least.as_ref().is_none_or(|bound| bound.cell() <= least)
            && self.greatest.as_ref().is_none_or(|bound| greatest <= bound.cell())
    }

    fn saw(&mut self, run: &Extremes<'_>) {
        self.seen += run.rows;
        self.seen_nulls += run.nulls;
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
        let mut from = 0;
        while from < array.len() {
            let left = array.len() - from;
            while self.pages.get(self.page).is_some_and(|page| page.seen >= page.rows) {
                self.page += 1;
            }
            let run = match self.pages.get(self.page) {
                Some(page) => left.min(usize::try_from(page.rows - page.seen).unwrap_or(left)),
                None if self.pages.is_empty() => left,
                // More rows than the page index has.
                None => return Err((from, Claim::Page)),
            };
            self.see_run(&*array.slice(from, run), kind).map_err(|(row, claim)| (from + row, claim))?;
            from += run;
        }
        Ok(())
    }

    /// Tries a run of rows of one page: their extremes, and only if those break a claim each row, to name one.
    fn see_run(&mut self, run: &dyn Array, kind: ColumnType) -> Result<(), (usize, Claim)> {
        if let Some(filter) = &self.filter
            && let Some(missing) = missing(filter, run, kind)
        {
            return Err((missing, Claim::BloomFilter));
        }
        let extremes = Extremes::of(run, kind);
        let page = self.pages.get_mut(self.page);
        if self.group.hold(&extremes) && page.as_ref().is_none_or(|page| page.hold(&extremes)) {
            self.group.saw(&extremes);
            page.into_iter().for_each(|page| page.saw(&extremes));
            return Ok(());
        }
        for row in 0..run.len() {
            let cell = run.slice(row, 1);
            let extremes = Extremes::of(&*cell, kind);
            if !self.group.hold(&extremes) {
                return Err((row, Claim::RowGroup));
            }
            if self.pages.get(self.page).is_some_and(|page| !page.hold(&extremes)) {
                return Err((row, Claim::Page));
            }
        }
        Err((0, Claim::RowGroup))
    }

    /// The claim whose counts do not hold, once every row of the group was seen.
    pub(crate) fn finish(&self) -> Option<Claim> {
        if !self.group.counts_hold() {
            return Some(Claim::RowGroup);
        }
        self.pages.iter().any(|page| !page.counts_hold()).then_some(Claim::Page)
    }
}

/// The least and greatest of a run of rows.
struct Extremes<'a> {
    rows: u64,
    nulls: u64,
    /// `None` if there are none, or none but NaN.
    bounds: Option<(Cell<'a>, Cell<'a>)>,
}

impl<'a> Extremes<'a> {
    fn of(run: &'a dyn Array, kind: ColumnType) -> Self {
        let bounds = match kind {
            ColumnType::Int => run.as_primitive_opt::<Int64Type>().and_then(ints),
            ColumnType::Time => run.as_primitive_opt::<TimestampMicrosecondType>().and_then(ints),
            ColumnType::Num => run.as_primitive_opt::<Float64Type>().and_then(nums),
            ColumnType::Bool => run.as_boolean_opt().and_then(|a| {
                let (any, all) = (a.true_count() > 0, a.false_count() == 0);
                (a.len() > a.null_count()).then_some((Cell::Bool(all), Cell::Bool(any)))
            }),
            ColumnType::Str => run.as_string_opt::<i32>().and_then(|a| bytes(a.iter().map(|v| v.map(str::as_bytes)))),
            ColumnType::Bytes => run.as_binary_opt::<i32>().and_then(|a| bytes(a.iter())),
            ColumnType::Nums | ColumnType::Strs => None,
        };
        Self { rows: run.len() as u64, nulls: run.logical_null_count() as u64, bounds }
    }
}

fn ints<'a, T: ArrowPrimitiveType<Native = i64>>(array: &PrimitiveArray<T>) -> Option<(Cell<'a>, Cell<'a>)> {
    let wider = |(least, greatest): (i64, i64), value: i64| (least.min(value), greatest.max(value));
    let none = (i64::MAX, i64::MIN);
    let (least, greatest) = match array.null_count() {
        0 => array.values().iter().copied().fold(none, wider),
        _ => array.iter().flatten().fold(none, wider),
    };
    (least <= greatest).then_some((Cell::Int(least), Cell::Int(greatest)))
}

/// NaN is neither less nor greater than anything, and so is passed over.
fn nums<'a>(array: &PrimitiveArray<Float64Type>) -> Option<(Cell<'a>, Cell<'a>)> {
    let first = array.iter().flatten().find(|value| !value.is_nan())?;
    let wider = |(least, greatest): (f64, f64), value: f64| {
        (if value < least { value } else { least }, if value > greatest { value } else { greatest })
    };
    let (least, greatest) = match array.null_count() {
        0 => array.values().iter().copied().fold((first, first), wider),
        _ => array.iter().flatten().fold((first, first), wider),
    };
    Some((Cell::Num(least), Cell::Num(greatest)))
}

fn bytes<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> Option<(Cell<'a>, Cell<'a>)> {
    let mut values = values.flatten();
    let first = values.next()?;
    let (mut least, mut greatest) = (first, first);
    for value in values {
        if value < least {
            least = value;
        } else if value > greatest {
            greatest = value;
        }
    }
    Some((Cell::Bytes(least), Cell::Bytes(greatest)))
}

/// The first row whose value a filter says is not there.
fn missing(filter: &Sbbf, run: &dyn Array, kind: ColumnType) -> Option<usize> {
    let missing = |value: Option<&[u8]>| value.is_some_and(|value| !filter.check(value));
    match kind {
        ColumnType::Str => run.as_string_opt::<i32>()?.iter().position(|v| missing(v.map(str::as_bytes))),
        ColumnType::Bytes => run.as_binary_opt::<i32>()?.iter().position(missing),
        _ => None,
    }
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
