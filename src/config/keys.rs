//! The table of the configuration's keys: the one place that holds names, defaults and meanings. Parsing, `--help` and
//! the reference page all read it.

use std::fmt::Write;

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// Its name in the TOML file.
    pub name: &'static str,
    /// What holds when nobody says anything.
    pub default: Preset,
    /// Whether it is a flag, too.
    pub flag: bool,
    /// What it decides.
    pub meaning: &'static str,
}

/// A default.
#[derive(Debug)]
pub enum Preset {
    /// This value, written as in the file; it goes through the same parser.
    Is(&'static str),
    /// Found out at the start; the words say how.
    Derived(&'static str),
}

impl Key {
    /// The environment variable: `DOCRELAY_LISTEN`.
    pub fn variable(&self) -> String {
        format!("DOCRELAY_{}", self.name.to_ascii_uppercase())
    }

    /// The flag: `--admin-listen`.
    pub fn option(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    const fn flag(name: &'static str, default: &'static str, meaning: &'static str) -> Self {
        Self { name, default: Preset::Is(default), flag: true, meaning }
    }

    const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Self {
        Self { name, default: Preset::Is(default), flag: false, meaning }
    }

    const fn derived(name: &'static str, how: &'static str, meaning: &'static str) -> Self {
        Self { name, default: Preset::Derived(how), flag: false, meaning }
    }
}

/// Every key, in the order of the reference page.
pub const KEYS: &[Key] = &[
    Key::flag("listen", "127.0.0.1:8080", "Public address: streams, hooks, pages. Port 0 takes a free one"),
    Key::flag("admin_listen", "127.0.0.1:9090", "Admin address: metrics, probes, clients. Keep it off the internet"),
    Key::flag("data", "./data", "Directory of the keys, the admin token and the database; made on first start"),
    Key::flag("store", "sqlite", "Where events are kept: `sqlite`, a database file in the data directory"),
    Key::derived(
        "public_url",
        "`http://` and the address that listens",
        "Base of the hooks' addresses, as vendors reach it: `https://relay.example.com`",
    ),
    Key::plain(
        "cors_origins",
        "*",
        "Origins whose pages may read streams: a list such as `[\"https://app.example.com\"]`, `*` for all, `[]` or \
         `none` for none",
    ),
    Key::plain("token_ttl", "1h", "How long a token from `/oauth/token` is valid"),
    Key::plain(
        "query_token",
        "any",
        "What a stream takes in `?token=`: `any` token, a `ticket` only, or nothing (`off`); `Authorization` takes any",
    ),
    Key::derived(
        "max_connections",
        "the open-file limit less 256 and twice `delivery_concurrency`, but at least half of it, at most 200000",
        "Open connections to the public address; more wait to be accepted",
    ),
    Key::derived(
        "max_followers",
        "nine tenths of `max_connections`",
        "Open streams in all; more are told to come back",
    ),
    Key::derived(
        "max_followers_per_client",
        "10000, or `max_followers` when that is less",
        "Open streams of one client; more are told to come back",
    ),
    Key::plain("max_header_bytes", "16KiB", "Size of a request's head; at least `8KiB`"),
    Key::plain("header_timeout", "10s", "Time for a request's head to arrive"),
    Key::plain("max_body_bytes", "256KiB", "Size of a request's body; larger ones are answered 413"),
    Key::plain("body_timeout", "10s", "Time for a request's body to arrive; slower ones are answered 408"),
    Key::plain("hook_rate", "50000", "Requests per second to one hook; more are answered 429"),
    Key::plain("history_age", "30d", "How long events are kept and can be replayed"),
    Key::plain("history_events_per_client", "5000000", "Events kept of each client; the oldest go first"),
    Key::plain(
        "history_bytes",
        "4GiB",
        "Bytes of events kept of each client, raw requests included; the oldest go first",
    ),
    Key::plain("rejects_age", "30d", "How long requests that were not understood are kept"),
    Key::plain("rejects_per_client", "1000", "Rejects kept of each client; the oldest go first"),
    Key::plain("rejects_bytes", "64MiB", "Bytes of rejects kept of each client; the oldest go first"),
    Key::plain(
        "allow_private_endpoints",
        "none",
        "Private ranges that notifications may call: a list such as `[\"10.1.0.0/16\"]`, or `none`",
    ),
    Key::plain("delivery_timeout", "10s", "Time for one attempt of a delivery, connection and answer included"),
    Key::derived(
        "delivery_concurrency",
        "1024, or an eighth of the open-file limit when that is less",
        "Attempts of deliveries at the same time, to all endpoints together",
    ),
    Key::plain("deliveries_age", "7d", "How long delivered and dead deliveries are kept, with their attempts"),
    Key::plain(
        "deliveries_per_client",
        "100000",
        "Delivered and dead deliveries kept of each client; the oldest go first",
    ),
    Key::plain("deliveries_bytes", "256MiB", "Bytes of their attempts kept of each client; the oldest go first"),
    Key::plain("idle_interval", "15s", "Time between two empty lines on an idle stream"),
    Key::plain("write_timeout", "60s", "A follower that accepts no byte for so long is disconnected"),
    Key::plain("grace", "10s", "Time between SIGTERM and the exit, for running requests to finish"),
    Key::plain("log_format", "text", "`text`, or `json` with one object a line"),
    Key::plain("log_level", "info", "`error`, `warn`, `info`, `debug` or `trace`"),
    Key::derived(
        "admin_token",
        "the content of `<data>/admin.token`, made on first start",
        "Token of the admin address; visible ASCII without spaces. Never a flag: command lines can be read by others",
    ),
    Key::flag("demo", "false", "Adds a client `demo` and simulated vendor traffic"),
];

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.name == name)
}

/// The reference of the configuration as a Markdown table. `docs/REFERENCE.md` holds it word for word.
pub fn reference() -> String {
    let mut page = String::from("| key | environment | flag | default | meaning |\n|---|---|---|---|---|\n");
    for key in KEYS {
        let flag = if key.flag { format!("`{}`", key.option()) } else { String::new() };
        let default = match key.default {
            Preset::Is(value) => format!("`{value}`"),
            Preset::Derived(how) => how.to_owned(),
        };
        // Writing into a String cannot fail.
        let written =
            writeln!(page, "| `{}` | `{}` | {flag} | {default} | {} |", key.name, key.variable(), key.meaning);
        debug_assert!(written.is_ok());
    }
    page
}
