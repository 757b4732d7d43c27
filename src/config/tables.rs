//! Keys whose value is an array of tables, such as `[[issuers]]`: their entries, each with the place that set it. Knows
//! the form of the entries, not their meaning.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::error::ConfigError;

/// The keys with tables.
pub(super) const TABLE_KEYS: [&str; 1] = ["issuers"];

/// One table.
#[derive(Clone, Debug)]
pub(super) struct ConfigTable {
    /// The key that it belongs to.
    key: &'static str,
    /// Where it begins.
    set_by: String,
    entries: BTreeMap<String, TableEntry>,
}

#[derive(Clone, Debug)]
struct TableEntry {
    value: EntryValue,
    set_by: String,
}

#[derive(Clone, Debug)]
enum EntryValue {
    Text(String),
    List(Vec<String>),
    /// In the order of the names.
    Mapping(Vec<(String, String)>),
    Other,
}

impl EntryValue {
    fn read(value: &DeValue<'_>) -> Self {
        let all_text = |texts: Option<Vec<_>>| texts.map_or(EntryValue::Other, EntryValue::List);
        match value {
            DeValue::String(text) => EntryValue::Text(text.to_string()),
            DeValue::Array(items) => all_text(items.iter().map(|item| text_of(item.get_ref())).collect()),
            DeValue::Table(table) => {
                let entries =
                    table.iter().map(|(name, value)| Some((name.get_ref().to_string(), text_of(value.get_ref())?)));
                entries.collect::<Option<_>>().map_or(EntryValue::Other, EntryValue::Mapping)
            }
            _ => EntryValue::Other,
        }
    }
}

fn text_of(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// The name of a key in [`TABLE_KEYS`].
pub(super) fn table_key(name: &str) -> Option<&'static str> {
    TABLE_KEYS.into_iter().find(|key| *key == name)
}

/// The tables in the value of a key; `place` says where a byte of the source stands. `None` if it is not an array of
/// tables.
pub(super) fn read_tables(
    key: &'static str,
    value: &DeValue<'_>,
    place: impl Fn(usize) -> String,
) -> Option<Vec<ConfigTable>> {
    let DeValue::Array(items) = value else { return None };
    let read = |item: &toml::Spanned<DeValue<'_>>| {
        let DeValue::Table(table) = item.get_ref() else { return None };
        Some(ConfigTable { key, set_by: place(item.span().start), entries: read_entries(table, &place) })
    };
    items.iter().map(read).collect()
}

fn read_entries(table: &DeTable<'_>, place: impl Fn(usize) -> String) -> BTreeMap<String, TableEntry> {
    let entries = table.iter().map(|(name, value)| {
        let entry = TableEntry { value: EntryValue::read(value.get_ref()), set_by: place(name.span().start) };
        (name.get_ref().to_string(), entry)
    });
    entries.collect()
}

impl ConfigTable {
    /// An error unless each entry has one of these names.
    pub(super) fn check_names(&self, names: &[&str]) -> Result<(), ConfigError> {
        match self.entries.keys().find(|name| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some(unknown) => Err(self.error(unknown, "removed: there is no such key")),
        }
    }

    /// Its entries without their places, for comparisons.
    pub(super) fn text_of_entries(&self) -> String {
        self.entries.iter().map(|(name, entry)| format!("{name:?}={:?};", entry.value)).collect::<String>() + "\n"
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// A text, parsed; `None` if there is no such entry.
    pub(super) fn text<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Result<Option<T>, ConfigError> {
        match self.entries.get(name).map(|entry| &entry.value) {
            None => Ok(None),
            Some(EntryValue::Text(text)) => parse(text).map(Some).map_err(|expected| self.error(name, expected)),
            Some(_) => Err(self.error(name, "a string")),
        }
    }

    /// A list of texts; empty if there is no such entry. An empty list is an error.
    pub(super) fn list(&self, name: &str) -> Result<&[String], ConfigError> {
        match self.entries.get(name).map(|entry| &entry.value) {
            None => Ok(&[]),
            Some(EntryValue::List(texts)) if !texts.is_empty() => Ok(texts),
            Some(_) => Err(self.error(name, "a list of strings")),
        }
    }

    /// Names and texts; `None` if there is no such entry.
    pub(super) fn mapping(&self, name: &str) -> Result<Option<&[(String, String)]>, ConfigError> {
        match self.entries.get(name).map(|entry| &entry.value) {
            None => Ok(None),
            Some(EntryValue::Mapping(texts)) => Ok(Some(texts)),
            Some(_) => Err(self.error(name, "a table of strings, such as { \"read:events\" = \"events\" }")),
        }
    }

    /// An error with the place of the entry, or that of the table if there is no such entry.
    pub(super) fn error(&self, name: &str, expected: &'static str) -> ConfigError {
        let set_by = self.entries.get(name).map_or(&self.set_by, |entry| &entry.set_by).clone();
        ConfigError::InvalidValue { set_by, key: format!("{}.{name}", self.key), expected }
    }
}
