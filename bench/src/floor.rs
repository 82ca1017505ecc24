//! The floor of a durable append: a plain file, one write and one fdatasync a batch.

use std::io::{Seek as _, Write as _};
use std::path::Path;

use host::Host;

use crate::data::{Generator, Lines, Templates};
use crate::machine::Watch;

/// The file starts anew at this size, so that a fast disk is not filled.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Records a second.
pub fn run(folder: &Path, templates: &Templates, batch: usize, seconds: f64) -> f64 {
    let host = Host::system();
    let path = folder.join("floor");
    #[allow(clippy::disallowed_methods, reason = "the plain file that is the floor")]
    let mut file = std::fs::File::create(&path).unwrap();
    let mut generator = Generator::new(templates, 1);
    let mut lines = Lines::default();
    let (watch, mut records) = (Watch::start(), 0);
    while watch.seconds() < seconds {
        let now = host.now_ns();
        lines.fill(&mut generator, batch, |_| now);
        file.write_all(&lines.bytes).unwrap();
        file.sync_data().unwrap();
        records += batch;
        if file.stream_position().unwrap() > FILE_BYTES_MAX {
            file.set_len(0).unwrap();
            file.rewind().unwrap();
        }
    }
    let rate = records as f64 / watch.seconds();
    host.remove(&path, "bench").unwrap();
    rate
}
