//! Durable append: how many records a second are acknowledged.
//!
//! * `floor`: a plain file, one write and one fdatasync a batch.
//! * `PostgreSQL`: JSONB and an index on id; COPY for batches, a prepared INSERT for single records.
//! * `OnRecord, acknowledged`: parsed, validated, hashed, in the journal; settling goes on behind, and the bound on the
//!   journal is raised so that it stops nobody.
//! * `OnRecord, sustained`: default options; measured once the journal has come to its bound, so that no more is taken
//!   than is settled, or after a minute if it does not get there.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use trail::{Options, Writer};

use crate::args::{Append, Contender};
use crate::data::Templates;
use crate::figures::{Figures, Goal};
use crate::machine::{Watch, memory_mib};
use crate::ours::{self, Place};
use crate::{floor, postgres};

/// The longest wait for the journal to fill.
const FILL: Duration = Duration::from_secs(60);

const FLOOR: &str = "floor";
const POSTGRES: &str = "PostgreSQL";
const ACKNOWLEDGED: &str = "OnRecord, acknowledged";
const SUSTAINED: &str = "OnRecord, sustained";

pub fn run(args: &Append) {
    let templates = Templates::of(args.data, 20_000);
    let appenders = args.appenders.unwrap_or(if args.batch == 1 { 64 } else { 8 });
    let shape = if args.batch == 1 { "singles" } else { "batches" };
    let row = format!("append-{shape}-{}", args.data.name());
    let settings = json!({
        "batch": args.batch, "appenders": appenders, "seconds": args.seconds,
        "backlog while acknowledgements are measured, GiB": args.backlog_gib,
        "PostgreSQL": postgres::SETTINGS.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
    });
    let mut figures = Figures::new(row, "records/s", settings);
    let wanted = |contender| !args.without.contains(&contender);
    let folder = &args.place.folder;
    for _ in 0..args.place.rounds {
        if wanted(Contender::Floor) {
            // Singles of all appenders may share one fdatasync.
            let batch = if args.batch == 1 { appenders } else { args.batch };
            figures.round(FLOOR, floor::run(folder, &templates, batch, args.seconds));
        }
        if wanted(Contender::Postgres) {
            let cluster = postgres::Cluster::start(folder);
            figures.round(POSTGRES, cluster.flood(&templates, appenders, args.batch, args.seconds));
        }
        if wanted(Contender::Acknowledged) {
            // An import fills a quarter of it.
            let options = Options { backlog_bytes_max: 4 * (args.backlog_gib << 30), ..Options::default() };
            let shape = (appenders, args.batch);
            let measured = trail(folder, options, &templates, shape, |_, count| rate(count, args.seconds));
            figures.round(ACKNOWLEDGED, measured);
        }
        if wanted(Contender::Sustained) {
            let shape = (appenders, args.batch);
            let sustained = |writer: &Writer, count: &AtomicU64| sustained(writer, count, args.seconds, &mut figures);
            let measured = trail(folder, Options::default(), &templates, shape, sustained);
            figures.round(SUSTAINED, measured);
        }
    }
    figures.ratio(ACKNOWLEDGED, POSTGRES, Some(Goal::AtLeast(5.0)));
    figures.ratio(SUSTAINED, POSTGRES, Some(Goal::AtLeast(2.0)));
    figures.ratio(ACKNOWLEDGED, FLOOR, None);
    figures.note("peak memory of this process, MiB", memory_mib("VmHWM:").round());
    figures.finish();
}

fn trail(
    on: &Path,
    options: Options,
    templates: &Templates,
    shape: (usize, usize),
    measure: impl FnOnce(&Writer, &AtomicU64) -> f64,
) -> f64 {
    let folder = tempfile::tempdir_in(on).unwrap();
    let writer = Place::make(folder.path()).open(options);
    let rate = ours::flood(&writer, templates, shape, |count| measure(&writer, count));
    writer.close().unwrap();
    rate
}

fn rate(count: &AtomicU64, seconds: f64) -> f64 {
    let (watch, before) = (Watch::start(), count.load(Ordering::Relaxed));
    std::thread::sleep(Duration::from_secs_f64(seconds));
    (count.load(Ordering::Relaxed) - before) as f64 / watch.seconds()
}

fn sustained(writer: &Writer, count: &AtomicU64, seconds: f64, figures: &mut Figures) -> f64 {
    let bound = Options::default().backlog_bytes_max / 4;
    let watch = Watch::start();
    while writer.status().journal_bytes < bound / 16 * 15 && watch.elapsed() < FILL {
        std::thread::sleep(Duration::from_millis(50));
    }
    let mib = |writer: &Writer| writer.status().journal_bytes >> 20;
    let (before, settled) = (mib(writer), writer.status().settled);
    let (watch, rate) = (Watch::start(), rate(count, seconds));
    let settled = (writer.status().settled - settled) as f64 / watch.seconds();
    figures.note("sustained: MiB in the journal before and after", json!([before, mib(writer)]));
    figures.note("sustained: records settled a second", settled.round());
    rate
}
