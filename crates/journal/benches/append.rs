//! How near the journal comes to the floor: a plain file, one write and one fdatasync a batch.
//!
//! `cargo bench -p journal [-- <folder on the disk to measure> [<seconds a row>]]`. Rows of one table run by turns, and each is
//! the median of its rounds, so that a disk that changes its mind is seen and not taken for a result.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on ends")]

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use host::Host;
use journal::{Delivery, Journal, Options};

const RECORD_BYTES: usize = 1400;
const FILE_BYTES: u64 = 64 << 20;
const ROUNDS: usize = 5;

type Ticket = mpsc::Sender<()>;

struct Bench {
    host: Host,
    folder: PathBuf,
    round: Duration,
    record: Vec<u8>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let base = arguments.first().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds: f64 = arguments.get(1).map_or(1.0, |seconds| seconds.parse().unwrap());
    let folder = tempfile::tempdir_in(base).unwrap();
    let host = Host::system();
    let record = (0..RECORD_BYTES / 8).flat_map(|_| host.random::<8>()).collect();
    let bench = Bench { host, folder: folder.path().to_owned(), round: Duration::from_secs_f64(seconds), record };

    println!(
        "records of {RECORD_BYTES} bytes, median of {ROUNDS} rounds of {seconds} s, in {}",
        folder.path().display()
    );
    println!("{:>6}  {:<44}{:>12}{:>10}{:>9}", "batch", "what", "records/s", "MB/s", "of floor");
    for batch in [1, 10, 100, 1000, 10_000] {
        bench.table(batch);
    }
    bench.many_appenders(64);
}

impl Bench {
    fn table(&self, batch: usize) {
        let rows: [(&str, &dyn Fn() -> f64); 4] = [
            ("floor: plain file, appended", &|| self.floor(batch, false)),
            ("floor: plain file, space reserved", &|| self.floor(batch, true)),
            ("journal, waiting for each batch", &|| self.journal(batch, 1)),
            ("journal, four batches on the way", &|| self.journal(batch, 4)),
        ];
        let mut rates = vec![Vec::new(); rows.len()];
        for _ in 0..ROUNDS {
            for (rates, (_, run)) in rates.iter_mut().zip(&rows) {
                rates.push(run());
            }
        }
        let medians: Vec<f64> = rates.into_iter().map(median).collect();
        for ((what, _), rate) in rows.iter().zip(&medians) {
            print_row(batch, what, *rate, medians[0]);
        }
    }

    /// Records a second of a plain file, written anew when it comes to the size of a segment.
    fn floor(&self, batch: usize, reserve: bool) -> f64 {
        let bytes = self.record.repeat(batch);
        let path = self.folder.join("floor");
        let (start, mut records) = (self.host.monotonic(), 0);
        while self.host.monotonic() - start < self.round {
            let file = self.host.create_new(&path, "bench").unwrap();
            if reserve {
                file.allocate(0, FILE_BYTES).unwrap();
            }
            let mut end = 0;
            while end < FILE_BYTES && self.host.monotonic() - start < self.round {
                file.write_at(end, &bytes).unwrap();
                file.sync_data().unwrap();
                end += bytes.len() as u64;
                records += batch;
            }
            self.host.remove(&path, "bench").unwrap();
        }
        records as f64 / (self.host.monotonic() - start).as_secs_f64()
    }

    /// Records a second of the journal, with so many batches on the way at once; what is settled is released.
    fn journal(&self, batch: usize, on_the_way: usize) -> f64 {
        let folder = self.folder.join("journal");
        let journal = self.open(&folder);
        let (ticket, done) = mpsc::channel();
        let (start, mut records, mut open) = (self.host.monotonic(), 0, 0);
        while self.host.monotonic() - start < self.round {
            while open < on_the_way {
                self.stage(&journal, batch, ticket.clone());
                open += 1;
            }
            done.recv().unwrap();
            open -= 1;
            records += batch;
            if journal.backlog_bytes() > 2 * FILE_BYTES {
                journal.release(journal.durable()).unwrap();
            }
        }
        let rate = records as f64 / (self.host.monotonic() - start).as_secs_f64();
        self.close(journal, &folder);
        rate
    }

    /// Threads that each wait for their one record: what group commit is for.
    fn many_appenders(&self, threads: usize) {
        let folder = self.folder.join("journal");
        let one = self.journal(1, 1);
        let journal = self.open(&folder);
        let start = self.host.monotonic();
        let records: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..threads).map(|_| scope.spawn(|| self.append_one_by_one(&journal, start))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let rate = records as f64 / (self.host.monotonic() - start).as_secs_f64();
        self.close(journal, &folder);
        print_row(1, &format!("journal, {threads} threads (against one thread)"), rate, one);
    }

    fn append_one_by_one(&self, journal: &Journal<Ticket>, start: Duration) -> usize {
        let (ticket, done) = mpsc::channel();
        let mut records = 0;
        while self.host.monotonic() - start < self.round {
            self.stage(journal, 1, ticket.clone());
            done.recv().unwrap();
            records += 1;
        }
        records
    }

    fn open(&self, folder: &Path) -> Journal<Ticket> {
        let deliver = |delivery: Delivery<Ticket>| match delivery {
            Delivery::Committed { cargo, .. } => cargo.into_iter().for_each(send),
            Delivery::Failed { stopped, .. } => eprintln!("{stopped}"),
        };
        Journal::open(&self.host, folder, Options::default(), 0, 0, |_, _| Ok(()), deliver).unwrap().0
    }

    fn close(&self, journal: Journal<Ticket>, folder: &Path) {
        journal.close().unwrap();
        for path in self.host.list(folder, "bench").unwrap() {
            self.host.remove(path, "bench").unwrap();
        }
    }

    fn stage(&self, journal: &Journal<Ticket>, records: usize, ticket: Ticket) {
        let mut batch = journal.begin().unwrap();
        for _ in 0..records {
            batch.push(&self.record).unwrap();
        }
        batch.stage(ticket).unwrap();
    }
}

fn send(ticket: Ticket) {
    // A thread whose round is over has gone, and no longer cares.
    let _ = ticket.send(());
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn print_row(batch: usize, what: &str, rate: f64, floor: f64) {
    let megabytes = rate * RECORD_BYTES as f64 / 1e6;
    println!("{batch:>6}  {what:<44}{rate:>12.0}{megabytes:>10.1}{:>8.2}x", rate / floor);
}
