//! What can be asked for. The defaults are those of the figures in `docs/performance.md`.

use std::path::PathBuf;

/// Figures beside peers.
#[derive(clap::Parser)]
#[command(name = "bench", disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    pub row: Row,
}

/// The rows of `docs/performance.md`, one command each.
#[derive(clap::Subcommand)]
pub enum Row {
    /// Durable append beside PostgreSQL 15 and a plain file with one fdatasync a batch
    Append(Append),
    /// Bytes a decision at rest beside zstd JSON lines, PostgreSQL JSONB and ClickHouse's JSON type (chDB)
    Bytes(Bytes),
    /// Full verify on one core beside SHA-256 of the same canonical bytes, and its peak memory as a trail grows
    Verify(Verify),
    /// Start after kill -9 with a full journal beside reading that journal
    Recover(Recover),
    /// Append to inclusion under a signed checkpoint at a steady rate; acknowledgement with and without the work behind
    Seal(Seal),
    /// Search among millions of decisions beside DuckDB and ClickHouse (chDB), and one decision by id and subject
    Query(Query),
    /// Memory of a writer that takes records at a steady rate
    Memory(Memory),
    /// A part of a row that needs a process of its own
    #[command(hide = true)]
    Child {
        #[command(subcommand)]
        part: crate::child::Part,
    },
}

/// Where files of a run are kept.
#[derive(clap::Args, Clone)]
pub struct Place {
    /// An existing folder on the disk to measure; what is made there is removed again
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub folder: PathBuf,
    /// Rounds; the contenders of one round run one after the other
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
}

/// `append`
#[derive(clap::Args)]
pub struct Append {
    #[command(flatten)]
    pub place: Place,
    /// Seconds that each contender runs in a round
    #[arg(long, default_value_t = 60.0)]
    pub seconds: f64,
    /// Records in a batch; 1 makes each appender send single records
    #[arg(long, default_value_t = 1_000)]
    pub batch: usize,
    /// Appenders: threads of OnRecord, connections of PostgreSQL; 8 with batches, 64 with single records
    #[arg(long)]
    pub appenders: Option<usize>,
    /// The bound on the journal while acknowledgements alone are measured, GiB
    #[arg(long, default_value_t = 16)]
    pub backlog_gib: u64,
    /// The data
    #[arg(long, default_value = "german")]
    pub data: Data,
    /// Contenders to leave out
    #[arg(long, value_delimiter = ',')]
    pub without: Vec<Contender>,
}

/// The contenders of `append`.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    Floor,
    Postgres,
    Acknowledged,
    Sustained,
}

/// `bytes`
#[derive(clap::Args)]
pub struct Bytes {
    /// An existing folder on the disk to use; what is made there is removed again
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub folder: PathBuf,
    /// Records of each data set
    #[arg(long, default_value_t = 100_000)]
    pub records: u64,
    /// A Python that has chdb; without one ClickHouse is left out
    #[arg(long, env = "ONRECORD_BENCH_PYTHON")]
    pub python: Option<PathBuf>,
}

/// `verify`
#[derive(clap::Args)]
pub struct Verify {
    #[command(flatten)]
    pub place: Place,
    /// Sizes of the trail, in records; it grows from one to the next
    #[arg(long, value_delimiter = ',', default_values_t = [1_000_000, 10_000_000])]
    pub records: Vec<u64>,
    /// The data
    #[arg(long, default_value = "made-up")]
    pub data: Data,
}

/// The data sets.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Data {
    /// 950 records of a credit model on real applicants, over and over, each with ids, times and traces of its own
    German,
    /// The same, but each feature with its attribution is that of another applicant, so that no record repeats one
    Applicants,
    /// 20 features and 20 attributions from a seed
    MadeUp,
}

impl Data {
    /// The name that names it as an argument.
    pub fn name(self) -> &'static str {
        match self {
            Data::German => "german",
            Data::Applicants => "applicants",
            Data::MadeUp => "made-up",
        }
    }
}

/// `recover`
#[derive(clap::Args)]
pub struct Recover {
    #[command(flatten)]
    pub place: Place,
    /// Bytes in the journal when the writer is killed, MiB; the default bound on a journal is 1,024
    #[arg(long, default_value_t = 1_000)]
    pub journal_mib: u64,
}

/// `seal`
#[derive(clap::Args)]
pub struct Seal {
    #[command(flatten)]
    pub place: Place,
    /// Seconds of each run
    #[arg(long, default_value_t = 60.0)]
    pub seconds: f64,
    /// Records a second, sent whether or not the last ones are done
    #[arg(long, default_value_t = 5_000.0)]
    pub rate: f64,
    /// Threads that send
    #[arg(long, default_value_t = 64)]
    pub appenders: usize,
}

/// `query`
#[derive(clap::Args)]
pub struct Query {
    #[command(flatten)]
    pub place: Place,
    /// Sizes of the trail, in records; it grows from one to the next
    #[arg(long, value_delimiter = ',', default_values_t = [1_000_000, 10_000_000])]
    pub records: Vec<u64>,
    /// A folder in which the trail of an earlier run is gone on with, and stays
    #[arg(long)]
    pub trail: Option<PathBuf>,
    /// A Python that has duckdb and chdb; without one the peers are left out
    #[arg(long, env = "ONRECORD_BENCH_PYTHON")]
    pub python: Option<PathBuf>,
}

/// `memory`
#[derive(clap::Args)]
pub struct Memory {
    /// An existing folder on the disk to use; what is made there is removed again
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub folder: PathBuf,
    /// Records in all
    #[arg(long, default_value_t = 10_000_000)]
    pub records: u64,
    /// Records a second
    #[arg(long, default_value_t = 20_000.0)]
    pub rate: f64,
}
