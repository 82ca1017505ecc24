//! Reads single columns of the lake's files: what is counted or looked for over all records need not be decoded whole.

use std::collections::BTreeMap;
use std::fs::File;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, RecordBatch};
use lake::Manifest;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use record::{Envelope, Part, Stored};
use trail::Snapshot;

use crate::failure::Failure;

/// How many records of which kinds, and how many decisions of which models.
#[derive(Default)]
pub struct Census {
    pub kinds: BTreeMap<String, u64>,
    pub models: BTreeMap<(String, String), u64>,
}

/// Counts every record of a snapshot.
pub fn census(snapshot: &Snapshot) -> Result<Census, Failure> {
    let mut census = Census::default();
    for file in snapshot.lake().files() {
        read(snapshot, file, &["kind", "model.name", "model.version"], &mut |batch| {
            let texts = |name: &str| batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
            let text = |name: &str, row: usize| {
                texts(name).filter(|column| column.is_valid(row)).map(|column| column.value(row).to_owned())
            };
            for row in 0..batch.num_rows() {
                let model = text("model.name", row).zip(text("model.version", row));
                census.add(&text("kind", row).unwrap_or_default(), model);
            }
        })?;
    }
    for hot in snapshot.hot() {
        census.add(hot.stored.stamp.kind.name(), model_of(&hot.stored));
    }
    Ok(census)
}

impl Census {
    fn add(&mut self, kind: &str, model: Option<(String, String)>) {
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
        if let Some(model) = model.filter(|_| kind == "decision") {
            *self.models.entry(model).or_default() += 1;
        }
    }
}

fn model_of(stored: &Stored) -> Option<(String, String)> {
    let envelope = Envelope::read(stored.parts()?.get(Part::Envelope)?).ok()?;
    envelope.model.map(|model| (model.name.to_owned(), model.version.to_owned()))
}

/// Gives every batch of some columns of a file.
fn read(
    snapshot: &Snapshot,
    file: &Manifest,
    names: &[&str],
    take: &mut dyn FnMut(&RecordBatch),
) -> Result<(), Failure> {
    let path = snapshot.lake().path(file);
    let unreadable = |cause: &dyn std::fmt::Display| {
        Failure::could_not(format!("cannot read {}: {cause}", path.display())).hint("run verify on the trail")
    };
    // The Parquet library can panic over bytes that no writer made.
    let scanned = lake::guarded(|| {
        let open = File::open(&path).map_err(|error| unreadable(&error))?;
        let mut options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        if let Some(decryption) = snapshot.lake().decryption(file).map_err(|error| unreadable(&error))? {
            options = options.with_file_decryption_properties(decryption);
        }
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(open, options);
        let builder = builder.map_err(|error| unreadable(&error))?;
        let fields = builder.schema().fields().iter().enumerate();
        let roots = fields.filter(|(_, field)| names.contains(&field.name().as_str())).map(|(at, _)| at);
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots.collect::<Vec<_>>());
        let reader = builder.with_projection(mask).build().map_err(|error| unreadable(&error))?;
        for batch in reader {
            take(&batch.map_err(|error| unreadable(&error))?);
        }
        Ok(())
    });
    scanned.unwrap_or_else(|_| Err(unreadable(&"its bytes are malformed")))
}
