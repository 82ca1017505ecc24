//! Start after kill -9 with a full journal, beside reading that journal, both from a cold page cache.

use std::io::Read as _;
use std::path::Path;

use host::Host;
use record::{JsonParser, Limits};
use serde_json::{Value, json};
use trail::{Intake, Options, Outcome};
use uuid::Uuid;

use crate::args::{Data, Recover};
use crate::child::{self, arg, call};
use crate::data::{Generator, Lines, Templates};
use crate::figures::{Figures, Goal};
use crate::machine::{self, Watch, memory_mib};
use crate::ours::{self, Place};

pub fn run(args: &Recover) {
    let settings = json!({ "journal, MiB": args.journal_mib });
    let mut figures = Figures::new("recover", "s", settings);
    for _ in 0..args.place.rounds {
        let folder = tempfile::tempdir_in(&args.place.folder).unwrap();
        let place = arg(folder.path());
        let mut filling = child::start(false, &["fill", place, &args.journal_mib.to_string()]);
        let full = filling.next();
        // It goes on appending: the last write may be torn.
        filling.kill();
        let journal = Place::at(folder.path()).folder.journal();
        figures.note("journal, bytes", machine::bytes_under(&journal));
        figures.note("cold cache", machine::drop_caches());
        figures.round("reading the journal", call(false, &["read", arg(&journal)])["s"].as_f64().unwrap());
        machine::drop_caches();
        let recovered = call(false, &["recover", place, full["last"].as_str().unwrap()]);
        figures.round("appends again", recovered["appended_s"].as_f64().unwrap());
        figures.round("searchable", recovered["found_s"].as_f64().unwrap());
        figures.note("recovered", recovered);
    }
    figures.ratio("appends again", "reading the journal", Some(Goal::AtMost(2.0)));
    figures.ratio("searchable", "reading the journal", Some(Goal::AtMost(10.0)));
    figures.finish();
}

/// Child: fills the journal, says so, and goes on until it is killed.
pub fn fill(path: &Path, journal_mib: u64) -> Value {
    let writer = Place::make(path).open(Options { backlog_bytes_max: u64::MAX, ..ours::only_journal() });
    let templates = Templates::of(Data::German, 0);
    let mut generator = Generator::new(&templates, 1);
    let mut parser = JsonParser::new(Limits::DEFAULT);
    let mut lines = Lines::default();
    let host = Host::system();
    let mut said = false;
    // What is appended behind the mark is little, for the parent kills at once.
    loop {
        let now = host.now_ns();
        lines.fill(&mut generator, if said { 10 } else { 1_000 }, |_| now);
        ours::append(&writer, &mut parser, &lines, Intake::Import);
        if !said && writer.status().journal_bytes >= journal_mib << 20 {
            child::say(&json!({ "last": lines.ids.last().unwrap() .to_string() }));
            said = true;
        }
    }
}

/// Child: reads every byte.
pub fn read(folder: &Path) -> Value {
    let mut buffer = vec![0; 1 << 20];
    let watch = Watch::start();
    for entry in std::fs::read_dir(folder).unwrap() {
        let mut file = std::fs::File::open(entry.unwrap().path()).unwrap();
        while file.read(&mut buffer).unwrap() > 0 {}
    }
    json!({ "s": watch.seconds() })
}

/// Child: opens the trail, appends one record, and finds one that was appended before the kill.
pub fn recover(path: &Path, last: Uuid) -> Value {
    let watch = Watch::start();
    let writer = Place::at(path).open(Options::default());
    let opened = watch.seconds();
    let record =
        JsonParser::new(Limits::DEFAULT).parse(br#"{"model":{"name":"m","version":"1"},"inputs":{},"output":1}"#);
    let outcomes = writer.append(vec![record.unwrap()], Intake::Live).unwrap();
    assert!(matches!(outcomes[..], [Outcome::Kept(_)]));
    let appended = watch.seconds();
    assert!(writer.snapshot().find(&last).unwrap().is_some(), "an acknowledged record is gone");
    let found = watch.seconds();
    json!({ "opened_s": opened, "appended_s": appended, "found_s": found,
            "records": writer.recovered().from_journal, "peak MiB": memory_mib("VmHWM:").round() })
}
