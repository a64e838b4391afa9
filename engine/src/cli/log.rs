//! The log on stderr: text for people, JSON for everything else.

use crate::config::{LogFormat, LogLevel};
use std::io::{IsTerminal, stderr};
use tracing::level_filters::LevelFilter;

/// Starts the process-wide log. The first call counts.
pub(super) fn start(format: LogFormat, level: LogLevel) {
    let terminal = stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_max_level(filter(level))
        .with_target(false);
    let text = match format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    // A second start happens only in tests within one process, where the first log serves both.
    let _ = if text {
        builder.with_ansi(terminal && wants_colour()).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}

/// <https://no-color.org>: set and not empty means no.
fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
