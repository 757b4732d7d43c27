//! The sources of configuration values: flag, environment, file and default, in this order, and the errors that name
//! where a value was set. Knows the names of the keys, not the meaning of their values.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::keys::{self, DefaultValue, Flags, KEYS};

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
}

/// All sources of configuration values.
pub(super) struct Sources<'a> {
    flags: &'a Flags,
    env: &'a dyn Fn(&str) -> Option<String>,
    file: Option<File>,
}

struct File {
    path: PathBuf,
    /// Value and line of each key.
    entries: BTreeMap<String, (String, usize)>,
}

/// What set a value.
enum ValueSource<'a> {
    Flag(String),
    Variable(String),
    Line(&'a Path, usize),
    Default,
}

impl fmt::Display for ValueSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueSource::Flag(name) | ValueSource::Variable(name) => f.write_str(name),
            ValueSource::Line(path, line) => write!(f, "{}:{line}", path.display()),
            ValueSource::Default => f.write_str("default"),
        }
    }
}

impl<'a> Sources<'a> {
    /// Reads the file, when `--config` or `DOCRELAY_CONFIG` names one.
    pub(super) fn read(flags: &'a Flags, env: &'a dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let path = flags.config.clone().or_else(|| non_empty(env("DOCRELAY_CONFIG")).map(PathBuf::from));
        let file = path.map(File::read).transpose()?;
        Ok(Self { flags, env, file })
    }

    /// The value of a key that has a default.
    pub(super) fn get<T>(&self, name: &str, parse: fn(&str) -> Result<T, &'static str>) -> Result<T, ConfigError> {
        self.optional(name, parse)?.ok_or_else(|| invalid(&ValueSource::Default, name, "given: it has no default"))
    }

    /// The value of a key, its default if that is a value, else `None`.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        parse: fn(&str) -> Result<T, &'static str>,
    ) -> Result<Option<T>, ConfigError> {
        let Some((text, source)) = self.find(name) else {
            return Ok(None);
        };
        parse(&text).map(Some).map_err(|expected| invalid(&source, name, expected))
    }

    /// An error that names where the value was set, unless the condition holds.
    pub(super) fn require(&self, name: &str, holds: bool, expected: &'static str) -> Result<(), ConfigError> {
        if holds {
            return Ok(());
        }
        let source = self.find(name).map_or(ValueSource::Default, |(_, source)| source);
        Err(invalid(&source, name, expected))
    }

    fn find(&self, name: &str) -> Option<(String, ValueSource<'_>)> {
        let key = keys::find(name)?;
        if let Some(text) = self.flags.value(name) {
            return Some((text, ValueSource::Flag(key.option())));
        }
        if let Some(text) = non_empty((self.env)(&key.variable())) {
            return Some((text, ValueSource::Variable(key.variable())));
        }
        if let Some(file) = &self.file
            && let Some((text, line)) = file.entries.get(name)
        {
            return Some((text.clone(), ValueSource::Line(&file.path, *line)));
        }
        match key.default {
            DefaultValue::Is(text) => Some((text.to_owned(), ValueSource::Default)),
            DefaultValue::Derived(_) => None,
        }
    }
}

impl File {
    fn read(path: PathBuf) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(ConfigError::Unreadable { path, source }),
        };
        let line = |byte: usize| 1 + text.bytes().take(byte).filter(|b| *b == b'\n').count();
        let table = match DeTable::parse(&text) {
            Ok(table) => table.into_inner(),
            Err(e) => {
                let line = line(e.span().map_or(0, |span| span.start));
                return Err(ConfigError::Syntax { path, line, message: e.message().replace('\n', ", ") });
            }
        };
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let line = line(key.span().start);
            let name = key.into_inner().into_owned();
            if keys::find(&name).is_none() {
                return Err(ConfigError::UnknownKey { path, line, key: name });
            }
            let text = as_text(value.get_ref()).ok_or_else(|| {
                invalid(
                    &ValueSource::Line(&path, line),
                    &name,
                    "a string, a whole number, true, false or a list of strings",
                )
            })?;
            entries.insert(name, (text, line));
        }
        Ok(Self { path, entries })
    }
}

/// A TOML value as the environment would write it: lists are joined by commas.
fn as_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Array(items) => {
            let texts: Option<Vec<_>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            texts.map(|t| t.join(","))
        }
        _ => None,
    }
}

/// An empty variable counts as absent: compose files and shells write "not set" this way.
fn non_empty(variable: Option<String>) -> Option<String> {
    variable.filter(|text| !text.is_empty())
}

fn invalid(source: &ValueSource<'_>, key: &str, expected: &'static str) -> ConfigError {
    ConfigError::InvalidValue { set_by: source.to_string(), key: key.to_owned(), expected }
}

/// Names that begin with `DOCRELAY_` and are not known; they may be misspelt. They are not an error, because
/// orchestrators set such variables themselves (`DOCRELAY_PORT` for a service called `docrelay`).
pub fn unknown_variables(names: impl IntoIterator<Item = String>) -> Vec<String> {
    // Variables of the commands, which a shell may have set.
    let commands = [
        "DOCRELAY_CONFIG",
        "DOCRELAY_TOKEN",
        "DOCRELAY_HOOK_SECRET",
        "DOCRELAY_NOTIFICATION_SECRET",
        "DOCRELAY_NOTIFICATION_TOKEN_VALUE",
    ];
    let known = |name: &str| commands.contains(&name) || KEYS.iter().any(|k| k.variable() == name);
    names.into_iter().filter(|name| name.starts_with("DOCRELAY_") && !known(name)).collect()
}
