//! The full check, payload to root, on one core: records a second beside SHA-256 of the same canonical bytes, and its
//! peak memory as the trail grows.

use std::hint::black_box;
use std::path::Path;

use host::Host;
use record::Part;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use trail::{Against, Options, Reader, Verdict};

use crate::args::{Data, Verify};
use crate::child::{arg, call};
use crate::figures::{Figures, Goal};
use crate::machine::{Watch, memory_mib};
use crate::ours::{self, Place};

/// Canonical bytes that are hashed for the floor are those of so many records.
const HASHED: usize = 100_000;

pub fn run(args: &Verify) {
    let folder = tempfile::tempdir_in(&args.place.folder).unwrap();
    let place = arg(folder.path());
    let data = args.data.name();
    let mut from = 0;
    for &to in &args.records {
        let settings = json!({ "records": to, "data": data, "cores": 1 });
        let mut figures = Figures::new(format!("verify-{to}"), "records/s", settings);
        let grown = call(false, &["grow", place, data, &from.to_string(), &to.to_string()]);
        figures.note("made", grown);
        from = to;
        let hashed = HASHED.min(to as usize).to_string();
        for _ in 0..args.place.rounds {
            let floor = call(true, &["hash", place, &hashed]);
            figures.round("SHA-256 of the canonical bytes", floor["records_per_s"].as_f64().unwrap());
            figures.round("all hashes of a digest", floor["digests_per_s"].as_f64().unwrap());
            let verified = call(true, &["verify", place]);
            assert_eq!(verified["records"], to, "{verified}");
            figures.round("OnRecord", verified["records_per_s"].as_f64().unwrap());
            figures.note("peak memory, MiB", verified["peak_mib"].clone());
        }
        figures.goal("OnRecord", Goal::AtLeast(150_000.0));
        figures.ratio("OnRecord", "SHA-256 of the canonical bytes", None);
        figures.ratio("OnRecord", "all hashes of a digest", None);
        figures.finish();
    }
}

/// Child: makes a trail of `to` records out of one of `from`.
pub fn grow(path: &Path, data: Data, from: u64, to: u64) -> Value {
    let place = if from == 0 { Place::make(path) } else { Place::at(path) };
    let watch = Watch::start();
    let writer = place.open(Options::default());
    assert_eq!(writer.recovered().records, from);
    ours::grow(&writer, data, from, to);
    let files = writer.snapshot().lake().files().len();
    writer.close().unwrap();
    let rate = ((to - from) as f64 / watch.seconds()).round();
    json!({ "records appended and settled a second, one appender": rate, "files": files,
            "peak MiB": memory_mib("VmHWM:").round() })
}

/// Child: the full check.
pub fn verify(path: &Path) -> Value {
    let place = Place::at(path);
    let watch = Watch::start();
    let report = trail::verify(&Host::system(), &place.folder, &Against::default(), &mut |_| {}).unwrap();
    let seconds = watch.seconds();
    assert_eq!(report.verdict, Verdict::Consistent, "{report:#?}");
    let records = report.lake_records + report.journal_records;
    json!({ "records": records, "records_per_s": records as f64 / seconds, "peak_mib": memory_mib("VmHWM:").round() })
}

/// Child: the floors. The records' parts are hashed as they stand in memory, once each record as one text, and once as
/// its digest is made of them.
pub fn hash(path: &Path, records: usize) -> Value {
    let place = Place::at(path);
    let snapshot = Reader::new(&Host::system(), &place.folder).snapshot().unwrap();
    let lake = snapshot.lake();
    let rows = lake.files().iter().flat_map(|file| lake.rows(file).unwrap());
    let stored: Vec<_> = rows.take(records).map(|placed| placed.unwrap().stored).collect();
    let watch = Watch::start();
    for record in &stored {
        let parts = record.parts().unwrap();
        let mut hash = Sha256::new();
        Part::ALL.iter().filter_map(|part| parts.get(*part)).for_each(|canonical| hash.update(canonical));
        black_box(hash.finalize());
    }
    let once = stored.len() as f64 / watch.seconds();
    let watch = Watch::start();
    for record in &stored {
        black_box(record.digest());
    }
    json!({ "records_per_s": once, "digests_per_s": stored.len() as f64 / watch.seconds() })
}
