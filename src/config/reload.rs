//! What a reload compares and keeps: the texts that the sources have set, by key, and the settings that only a start
//! reads.

use std::collections::BTreeMap;
use std::fmt;

use super::error::ConfigError;
use super::keys::{Flags, KEYS, Reload};
use super::sources::Sources;
use super::{Config, raise_open_files};

/// Where the configuration of a running relay comes from: its flags, its environment, and the file that they name.
#[derive(Clone, Debug)]
pub struct ConfigSource {
    flags: Flags,
    /// At the start: the derived defaults stay the same.
    open_files: u64,
}

impl ConfigSource {
    /// Raises the open-file limit of the process.
    pub fn new(flags: Flags) -> Self {
        Self { flags, open_files: raise_open_files() }
    }

    /// Reads the configuration. Blocks while the file is read.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.flags, |name| std::env::var(name).ok(), self.open_files)
    }

    /// Reads the configuration for a relay that runs with `running`: what runs after the reload, and what differs.
    /// Blocks while the file is read.
    ///
    /// # Errors
    /// As [`Config::load`], and if the changed settings do not fit those that stay.
    pub fn reload(&self, running: &Config) -> Result<(Config, ConfigChanges), ConfigError> {
        let new = self.load()?;
        let changes = running.changes(&new);
        Ok((running.reloaded(new, self.open_files)?, changes))
    }
}

/// The texts of the keys that a source sets. They may be secret, so they are only compared.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct SetValues(BTreeMap<&'static str, String>);

impl SetValues {
    pub(super) fn of(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        let texts = KEYS.iter().map(|key| Ok(sources.text(key.name)?.map(|text| (key.name, text))));
        texts.filter_map(Result::transpose).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Debug for SetValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetValues")
    }
}

/// The names of the keys whose values differ between the running configuration and another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigChanges {
    /// A reload applies them.
    pub applied: Vec<&'static str>,
    /// The running value stays until a restart.
    pub need_restart: Vec<&'static str>,
}

impl Config {
    /// What differs in `new`.
    pub fn changes(&self, new: &Self) -> ConfigChanges {
        let mut changes = ConfigChanges::default();
        for key in KEYS.iter().filter(|key| self.values.0.get(key.name) != new.values.0.get(key.name)) {
            match self.reload_of(key.name, key.reload, new) {
                Reload::Applies => changes.applied.push(key.name),
                Reload::NeedsRestart => changes.need_restart.push(key.name),
            }
        }
        changes
    }

    /// The files of a certificate can be replaced; TLS cannot be turned on or off. The proxies that send a header of
    /// the PROXY protocol are not those whose request headers count, so they change together with it.
    fn reload_of(&self, name: &str, reload: Reload, new: &Self) -> Reload {
        let needs_restart = match name {
            "tls_cert" | "tls_key" => self.tls.is_some() != new.tls.is_some(),
            "trusted_proxies" => self.switches_proxy_protocol(new),
            _ => false,
        };
        if needs_restart { Reload::NeedsRestart } else { reload }
    }

    fn switches_proxy_protocol(&self, new: &Self) -> bool {
        self.proxy_protocol != new.proxy_protocol
    }

    /// `new` with the settings of this configuration that only a start reads: what runs after a reload.
    ///
    /// # Errors
    /// [`ConfigError::NeedsRestart`] if the two do not fit.
    fn reloaded(&self, new: Self, open_files: u64) -> Result<Self, ConfigError> {
        let mut values = new.values.clone();
        for name in self.changes(&new).need_restart {
            match self.values.0.get(name) {
                Some(text) => values.0.insert(name, text.clone()),
                None => values.0.remove(name),
            };
        }
        let tls = if self.tls.is_some() && new.tls.is_some() { new.tls.clone() } else { self.tls.clone() };
        let proxies = if self.switches_proxy_protocol(&new) { self } else { &new };
        let trusted_proxies = proxies.trusted_proxies.clone();
        let merged = Self {
            listen: self.listen,
            admin_listen: self.admin_listen,
            data: self.data.clone(),
            cluster: self.cluster.clone(),
            tls,
            public_url: self.public_url.clone(),
            trusted_proxies,
            proxy_protocol: self.proxy_protocol,
            log_format: self.log_format,
            admin_token: self.admin_token.clone(),
            demo: self.demo,
            values,
            ..new
        };
        match merged.inconsistency(open_files) {
            Some((key, expected)) => Err(ConfigError::NeedsRestart { key, expected }),
            None => Ok(merged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FILES: u64 = 65_536;

    /// Sets these keys in the environment.
    fn config(values: &[(&str, &str)]) -> Config {
        let env = |name: &str| {
            let key = KEYS.iter().find(|key| key.variable() == name)?;
            values.iter().find(|(set, _)| *set == key.name).map(|(_, value)| (*value).to_owned())
        };
        Config::load(&Flags::default(), env, OPEN_FILES).expect("good")
    }

    /// A value of a key that is not its default, with the other keys that it needs.
    fn other_value(key: &'static str) -> Vec<(&'static str, &'static str)> {
        let value = match key {
            "listen" | "admin_listen" => "127.0.0.1:7777",
            "cluster" => "nats://127.0.0.1:4222",
            "cluster_replicas" => "5",
            "public_url" => "https://relay.example.com",
            "cors_origins" => "https://app.example.com",
            "query_token" => "off",
            "trusted_proxies" | "allow_private_endpoints" => "10.1.0.0/16",
            "dns_servers" => "10.0.0.2",
            "issuers" => "[{issuer = \"a\", audience = \"r\", key_file = \"k\"}]",
            "log_format" => "json",
            "log_level" => "debug",
            "demo" | "proxy_protocol" => "true",
            "max_connections_per_address" | "max_followers" | "max_followers_per_client" => "77",
            "cluster_journal_bytes" | "history_bytes" | "history_bytes_total" | "rejects_bytes" => "77MiB",
            "pending_deliveries_bytes" | "deliveries_bytes" | "delivery_memory" => "77MiB",
            "max_header_bytes" | "max_body_bytes" => "77KiB",
            name if name.ends_with("_timeout") || name.ends_with("_age") => "77s",
            "token_ttl" | "failed_token_window" | "idle_interval" | "grace" => "77s",
            "cluster_name" | "data" | "admin_token" | "cluster_key_file" | "cluster_credentials" | "cluster_ca" => "x",
            "tls_cert" | "tls_key" => "x.pem",
            _ => "777",
        };
        match key {
            "cluster" => vec![(key, value), ("cluster_key_file", "x")],
            "proxy_protocol" => vec![(key, value), ("trusted_proxies", "10.1.0.0/16")],
            "tls_cert" => vec![(key, value), ("tls_key", "1.pem")],
            "tls_key" => vec![(key, value), ("tls_cert", "1.pem")],
            _ => vec![(key, value)],
        }
    }

    #[test]
    fn reload_takes_exactly_the_values_of_keys_that_it_applies() {
        for key in KEYS {
            let running = match key.name {
                "tls_cert" | "tls_key" => config(&[("tls_cert", "1.pem"), ("tls_key", "1.pem")]),
                "proxy_protocol" => config(&[("trusted_proxies", "10.1.0.0/16")]),
                _ => config(&[]),
            };
            let new = config(&other_value(key.name));
            let changes = running.changes(&new);
            let (expected, changed) = match key.reload {
                Reload::Applies => (&new, changes.applied),
                Reload::NeedsRestart => (&running, changes.need_restart),
            };
            assert!(changed.contains(&key.name), "{}: {changed:?}", key.name);
            let reloaded = running.reloaded(new.clone(), OPEN_FILES).expect("consistent");
            assert_eq!(format!("{reloaded:?}"), format!("{expected:?}"), "{}", key.name);
            assert_eq!(reloaded.admin_token.is_some(), expected.admin_token.is_some(), "{}", key.name);
            // What needs a restart is reported by the next reload, too.
            assert_eq!(reloaded.changes(&new).need_restart.is_empty(), key.reload == Reload::Applies, "{}", key.name);
            assert_eq!(reloaded.changes(&new).applied, Vec::<&str>::new(), "{}", key.name);
        }
    }

    #[test]
    fn certificate_that_is_added_or_removed_needs_a_restart() {
        let (plain, tls) = (config(&[]), config(&[("tls_cert", "a"), ("tls_key", "b")]));
        for (running, new) in [(&plain, &tls), (&tls, &plain)] {
            let expected = ConfigChanges { applied: Vec::new(), need_restart: vec!["tls_cert", "tls_key"] };
            assert_eq!(running.changes(new), expected);
            assert_eq!(
                running.reloaded(new.clone(), OPEN_FILES).expect("consistent").tls.is_some(),
                running.tls.is_some()
            );
        }
    }

    #[test]
    fn proxy_protocol_and_its_proxies_change_together_by_a_restart() {
        let (off, on) = (config(&[]), config(&[("trusted_proxies", "10.1.0.0/16"), ("proxy_protocol", "true")]));
        for (running, new) in [(&off, &on), (&on, &off)] {
            let need_restart = vec!["trusted_proxies", "proxy_protocol"];
            assert_eq!(running.changes(new), ConfigChanges { applied: Vec::new(), need_restart });
            let reloaded = running.reloaded(new.clone(), OPEN_FILES).expect("consistent");
            assert_eq!(format!("{reloaded:?}"), format!("{running:?}"));
        }
        let elsewhere = config(&[("trusted_proxies", "10.2.0.0/16"), ("proxy_protocol", "true")]);
        assert_eq!(on.changes(&elsewhere).applied, ["trusted_proxies"]);
    }

    #[test]
    fn changed_settings_that_do_not_fit_the_running_ones_are_refused() {
        let new = config(&[]);
        let running = Config { listen: new.admin_listen, admin_listen: new.admin_listen, ..config(&[]) };
        let refused = running.reloaded(new, OPEN_FILES).expect_err("one address for two listeners");
        assert!(refused.to_string().contains("admin_listen must be different from listen: restart"), "{refused}");
    }

    #[test]
    fn moved_lines_of_a_file_are_no_change() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("relay.toml");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("written");
            Config::check(&path).expect("good")
        };
        let table = "[[issuers]]\nissuer = 'a'\naudience = 'r'\nkey_file = 'k'\n";
        let before = read(&format!("grace = '1s'\n{table}"));
        assert_eq!(before.changes(&read(&format!("# a comment\ngrace = '1s'\n\n{table}"))), ConfigChanges::default());
        let after = before.changes(&read(&table.replace("'k'", "'other'")));
        assert_eq!(after, ConfigChanges { applied: vec!["issuers", "grace"], need_restart: Vec::new() });
    }
}
