//! The log: one line an event on stderr, of names, counts and times. Nothing of a record's stands in it, nor of a query.

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use crate::config::{Log, LogFormat, LogLevel};

/// Begins to write the log of this process to stderr; where something writes one already, that goes on.
pub fn begin(log: &Log) {
    begin_to(log, std::io::stderr);
}

/// The same, to somewhere else.
pub fn begin_to(log: &Log, to: impl for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static) {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // Ours alone: what libraries say may hold anything.
    let ours = tracing_subscriber::filter::Targets::new().with_target("server", level);
    let lines = fmt::layer().with_writer(to).with_ansi(false).with_target(false);
    let _ = match log.format {
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(false);
            tracing_subscriber::registry().with(lines.with_filter(ours)).try_init()
        }
        LogFormat::Text => tracing_subscriber::registry().with(lines.with_filter(ours)).try_init(),
    };
}
