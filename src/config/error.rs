//! Why a configuration cannot be used. Every error names the place that set the value.

use std::io;
use std::path::PathBuf;

/// An invalid configuration. The message does not repeat values, because some of them are secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: {message}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The message of the parser.
        message: String,
    },
    /// The file contains an unknown key.
    #[error("{}:{line}: there is no key `{key}`: correct or remove it", .path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// A value is invalid.
    #[error("{set_by}: {key} must be {expected}")]
    InvalidValue {
        /// The flag, the variable, or file and line.
        set_by: String,
        /// The key.
        key: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The changed settings do not fit those that need a restart.
    #[error("with the settings that need a restart, {key} must be {expected}: restart the relay")]
    NeedsRestart {
        /// The key.
        key: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}
