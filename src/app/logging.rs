//! Sets up the log: its output, format and level.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::LogFormat;

/// Starts logging to stderr; stdout is reserved for the output of commands.
///
/// # Errors
/// A logger is installed already.
pub fn init(format: LogFormat, level: Level) -> Result<(), TryInitError> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives(level)))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.finish().try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).finish().try_init(),
    }
}

/// The level applies to docrelay only: below `warn`, other crates log headers, and with them credentials.
fn directives(level: Level) -> String {
    let others = level.min(Level::WARN);
    format!("{others},docrelay={level}").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_crates_stay_quiet_at_every_level() {
        assert_eq!(directives(Level::TRACE), "warn,docrelay=trace");
        assert_eq!(directives(Level::INFO), "warn,docrelay=info");
        assert_eq!(directives(Level::ERROR), "error,docrelay=error");
    }
}
