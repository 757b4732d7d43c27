//! The sources of configuration values: flag, environment, file and default, in this order, and where each value was
//! set. Knows the names of the keys, not the meaning of their values.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::keys::{self, DefaultValue, Flags, KEYS, Key};
use super::tables::{ConfigTable, read_tables, table_key};

/// The form of a key with tables.
const TABLES_EXPECTED: &str = "an array of tables: [[issuers]] in the file, [{issuer = \"…\", …}] in the environment";

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
    /// The keys with tables.
    tables: BTreeMap<&'static str, Vec<ConfigTable>>,
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
        if holds { Ok(()) } else { Err(self.invalid(name, expected)) }
    }

    /// An error that names where the value was set.
    pub(super) fn invalid(&self, name: &str, expected: &'static str) -> ConfigError {
        let source = self.find(name).map_or(ValueSource::Default, |(_, source)| source);
        invalid(&source, name, expected)
    }

    /// The tables of a key that is an array of tables: those of the environment, else those of the file.
    pub(super) fn tables(&self, key: &'static str) -> Result<Vec<ConfigTable>, ConfigError> {
        let variable = keys::find(key).map(Key::variable).unwrap_or_default();
        if let Some(text) = non_empty((self.env)(&variable)) {
            let parsed = DeValue::parse(&text).ok();
            let tables = parsed.and_then(|value| read_tables(key, value.get_ref(), |_| variable.clone()));
            return tables.ok_or_else(|| invalid(&ValueSource::Variable(variable), key, TABLES_EXPECTED));
        }
        Ok(self.file.as_ref().and_then(|file| file.tables.get(key)).cloned().unwrap_or_default())
    }

    /// What the flag, the environment or the file sets, as text; `None` for a default. For comparisons only.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        if table_key(name).is_some() {
            let tables = self.tables(name)?;
            return Ok((!tables.is_empty()).then(|| tables.iter().map(ConfigTable::text_of_entries).collect()));
        }
        Ok(match self.find(name) {
            None | Some((_, ValueSource::Default)) => None,
            Some((text, _)) => Some(text),
        })
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
        let (mut entries, mut tables) = (BTreeMap::new(), BTreeMap::new());
        let place = |byte: usize| ValueSource::Line(&path, line(byte)).to_string();
        for (key, value) in table {
            let line = line(key.span().start);
            let name = key.into_inner().into_owned();
            if keys::find(&name).is_none() {
                return Err(ConfigError::UnknownKey { path, line, key: name });
            }
            if let Some(key) = table_key(&name) {
                let read = read_tables(key, value.get_ref(), place);
                let read = read.ok_or_else(|| invalid(&ValueSource::Line(&path, line), key, TABLES_EXPECTED))?;
                tables.insert(key, read);
                continue;
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
        Ok(Self { path, entries, tables })
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
