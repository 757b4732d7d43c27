//! The table of the configuration keys: the only place with names, defaults and descriptions. The flags of the
//! commands, their help, the parser and the reference page use it.

use std::fmt::Write;
use std::path::PathBuf;

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// The name in the TOML file.
    pub name: &'static str,
    /// The value if no source sets it.
    pub default: DefaultValue,
    /// Whether the key is also a flag.
    pub flag: bool,
    /// Whether a reload applies a changed value.
    pub reload: Reload,
    /// One sentence for `--help` and the reference.
    pub description: &'static str,
}

/// The default of a key.
#[derive(Debug)]
pub enum DefaultValue {
    /// A value in the notation of the file; the same parser reads it.
    Is(&'static str),
    /// A value computed at the start; the text says how.
    Derived(&'static str),
}

/// What a reload of the configuration does with a changed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// The value is in effect at once.
    Applies,
    /// The relay must be restarted.
    NeedsRestart,
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

    const fn flag(name: &'static str, default: &'static str, description: &'static str) -> Self {
        Self { flag: true, reload: Reload::NeedsRestart, ..Self::plain(name, default, description) }
    }

    const fn plain(name: &'static str, default: &'static str, description: &'static str) -> Self {
        Self { name, default: DefaultValue::Is(default), flag: false, reload: Reload::Applies, description }
    }

    const fn derived(name: &'static str, how: &'static str, description: &'static str) -> Self {
        Self { default: DefaultValue::Derived(how), ..Self::plain(name, "", description) }
    }

    const fn needs_restart(self) -> Self {
        Self { reload: Reload::NeedsRestart, ..self }
    }
}

/// Every key, in the order of the reference page.
pub const KEYS: &[Key] = &[
    Key::flag("listen", "127.0.0.1:8080", "Public address: streams, hooks, pages. Port 0 selects a free port"),
    Key::flag(
        "admin_listen",
        "127.0.0.1:9090",
        "Admin address: metrics, probes, clients. Do not expose it to the internet",
    ),
    Key::flag("data", "./data", "Data directory with keys, admin token and database; created on first start"),
    Key::flag(
        "cluster",
        "none",
        "NATS servers of the cluster's journal, such as `nats://host:4222,nats://host2:4222`; `none` for a relay of its own",
    ),
    Key::plain("cluster_name", "docrelay", "Name of the cluster on its NATS servers: letters, digits, `-` and `_`").needs_restart(),
    Key::derived(
        "cluster_key_file",
        "required in a cluster",
        "File with the cluster's key, the same on every node; `docrelay cluster key` prints a new one",
    ).needs_restart(),
    Key::plain("cluster_replicas", "3", "NATS servers that store the journal; a majority of them must be up").needs_restart(),
    Key::plain("cluster_journal_bytes", "4GiB", "Maximum size of the journal. While it is full, hooks answer 503").needs_restart(),
    Key::derived("cluster_credentials", "none", "File with NATS credentials (`.creds`)").needs_restart(),
    Key::derived(
        "cluster_ca",
        "the system's authorities",
        "PEM file with the authorities of the NATS servers' certificates",
    ).needs_restart(),
    Key::derived(
        "tls_cert",
        "none: no TLS",
        "PEM file with the certificate of the public address and its intermediate authorities; read again when it changes",
    ),
    Key::derived("tls_key", "none", "PEM file with the private key of `tls_cert`; read again when it changes"),
    Key::derived(
        "public_url",
        "`http://`, or `https://` with `tls_cert`, and the public address",
        "Base URL of the hooks as vendors reach it, such as `https://relay.example.com`",
    ).needs_restart(),
    Key::plain(
        "cors_origins",
        "*",
        "Origins whose pages may read streams: a list such as `[\"https://app.example.com\"]`, `*` for all, `[]` or \
         `none` for none",
    ),
    Key::plain("token_ttl", "1h", "Validity of a token from `/oauth/token`"),
    Key::plain(
        "query_token",
        "any",
        "Tokens accepted in `?token=`: `any` token, `ticket` only, or none (`off`); `Authorization` accepts any token",
    ),
    Key::plain(
        "trusted_proxies",
        "none",
        "Proxies whose `X-Forwarded-For`, or else `Forwarded`, names the address of a request: a list such as \
         `[\"127.0.0.1\", \"10.1.0.0/16\"]`, or `none`",
    ),
    Key::plain(
        "proxy_protocol",
        "false",
        "Whether connections of `trusted_proxies` must begin with a header of the [PROXY protocol](#proxy-protocol), version 1 \
         or 2; those without one are then closed. With `false`, a header of version 2 is read if there is one",
    ).needs_restart(),
    Key::derived(
        "issuers",
        "none",
        "Foreign issuers whose tokens are accepted: tables `[[issuers]]`, in the environment `[{issuer = \"…\", …}]`; see \
         [tokens of other issuers](#tokens-of-other-issuers)",
    ),
    Key::derived(
        "max_connections",
        "the open-file limit less 256 and twice `delivery_concurrency`, but at least half of it, at most 200000",
        "Maximum number of connections to the public address; further connections wait in the listen queue",
    ),
    Key::plain(
        "max_concurrent_streams",
        "128",
        "Maximum number of concurrent requests and event streams on an HTTP/2 connection; further ones are refused, and a \
         connection with more than 1024 refusals is closed",
    ),
    Key::derived(
        "max_connections_per_address",
        "half of `max_connections`, but at least 11000, or nine tenths if that is less; all below 1000",
        "Maximum number of connections of an address to the public address; further connections are closed. The networks \
         `/64` of IPv6 count as one address, those of `trusted_proxies` have no limit",
    ),
    Key::plain(
        "failed_tokens_per_address",
        "30000",
        "Tokens and other credentials that an address may fail with in `failed_token_window`; further requests get 429",
    ),
    Key::plain("failed_token_window", "1m", "Time after which the failed tokens of an address are forgotten"),
    Key::derived(
        "max_followers",
        "nine tenths of `max_connections`",
        "Maximum number of streams; further streams are refused with a `retry:` delay",
    ),
    Key::derived(
        "max_followers_per_client",
        "10000, or `max_followers` if that is less",
        "Maximum number of streams of a client; further streams are refused with a `retry:` delay",
    ),
    Key::plain("max_header_bytes", "16KiB", "Maximum size of a request head; at least `8KiB`"),
    Key::plain("header_timeout", "10s", "Deadline for receiving a request head, from its first byte"),
    Key::plain(
        "keep_alive_timeout",
        "75s",
        "Maximum idle time of a connection between two requests. Keep it longer than that of the proxy in front",
    ),
    Key::plain("max_body_bytes", "256KiB", "Maximum size of a request body; a larger one gets 413"),
    Key::plain("body_timeout", "10s", "Deadline for receiving a request body; a slower one gets 408"),
    Key::plain("hook_rate", "50000", "Maximum requests per second to a hook; further requests get 429"),
    Key::plain(
        "event_rate_per_client",
        "50000",
        "Maximum requests per second to all hooks of a client, and registrations of documents; further requests get 429",
    ),
    Key::plain("history_age", "30d", "Maximum age of events; older events are pruned and cannot be replayed"),
    Key::plain(
        "history_events_per_client",
        "5000000",
        "Maximum number of events of a client; the oldest are pruned first",
    ),
    Key::plain(
        "history_bytes",
        "4GiB",
        "Maximum size of the events of a client, raw requests and documents with their callbacks included; the oldest are pruned first",
    ),
    Key::plain(
        "history_bytes_total",
        "32GiB",
        "Maximum size of the events, documents, rejects and delivery attempts of all clients; the client with most bytes \
         loses the oldest of what it has most of",
    ),
    Key::plain("rejects_age", "30d", "Maximum age of rejects"),
    Key::plain("rejects_per_client", "1000", "Maximum number of rejects of a client; the oldest are pruned first"),
    Key::plain("rejects_bytes", "64MiB", "Maximum size of the rejects of a client; the oldest are pruned first"),
    Key::plain(
        "allow_private_endpoints",
        "none",
        "Private address ranges that deliveries may call: a list such as `[\"10.1.0.0/16\"]`, or `none`",
    ),
    Key::plain(
        "dns_servers",
        "system",
        "Name servers for the hosts of endpoints: a list such as `[\"10.0.0.2\", \"10.0.0.3:5353\"]`, or those of \
         `/etc/resolv.conf` (`system`)",
    ),
    Key::plain("delivery_timeout", "10s", "Deadline for one delivery attempt, connection and response included"),
    Key::derived(
        "delivery_concurrency",
        "1024, or an eighth of the open-file limit if that is less",
        "Maximum number of concurrent delivery attempts to all endpoints",
    ),
    Key::plain(
        "delivery_memory",
        "64MiB",
        "Maximum memory of queues, events and responses that deliveries occupy; further deliveries wait in the database",
    ),
    Key::plain(
        "pending_deliveries_per_client",
        "100000",
        "Maximum number of pending deliveries of a client; the oldest become dead letters",
    ),
    Key::plain(
        "pending_deliveries_bytes",
        "1GiB",
        "Maximum size of their events, requests and attempts per client; the oldest become dead letters",
    ),
    Key::plain("deliveries_age", "7d", "Maximum age of delivered and dead deliveries with their attempts"),
    Key::plain(
        "deliveries_per_client",
        "100000",
        "Maximum number of delivered and dead deliveries of a client; the oldest are pruned first",
    ),
    Key::plain("deliveries_bytes", "256MiB", "Maximum size of their attempts per client; the oldest are pruned first"),
    Key::plain("idle_interval", "15s", "Interval of keepalives (empty lines) on an idle stream"),
    Key::plain("write_timeout", "60s", "A follower that accepts no byte for this long is disconnected"),
    Key::plain(
        "response_timeout",
        "60s",
        "Deadline for sending a response; a connection that reads it more slowly is closed. Does not apply to streams",
    ),
    Key::plain("grace", "10s", "Maximum time between SIGTERM and the exit; running requests finish within it"),
    Key::plain("log_format", "text", "`text`, or `json` with one object per line").needs_restart(),
    Key::plain("log_level", "info", "`error`, `warn`, `info`, `debug` or `trace`"),
    Key::derived(
        "admin_token",
        "the content of `<data>/admin.token`, created on first start",
        "Token of the admin address: visible ASCII without spaces. It is not a flag, because other users can read command lines",
    ).needs_restart(),
    Key::flag("demo", "false", "Adds a client `demo` and simulated vendor traffic"),
];

/// The key with this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.name == name)
}

/// The reference of the configuration as a Markdown table, which `docs/REFERENCE.md` contains.
pub fn reference() -> String {
    let mut page =
        String::from("| key | environment | flag | default | reload | description |\n|---|---|---|---|---|---|\n");
    for key in KEYS {
        let flag = if key.flag { format!("`{}`", key.option()) } else { String::new() };
        let default = match key.default {
            DefaultValue::Is(value) => format!("`{value}`"),
            DefaultValue::Derived(how) => how.to_owned(),
        };
        let reload = match key.reload {
            Reload::Applies => "yes",
            Reload::NeedsRestart => "restart",
        };
        let (name, variable, description) = (key.name, key.variable(), key.description);
        // Writing into a String cannot fail.
        let written = writeln!(page, "| `{name}` | `{variable}` | {flag} | {default} | {reload} | {description} |");
        debug_assert!(written.is_ok());
    }
    page
}

/// The flags of the configuration. They have no defaults here: an absent flag leaves the value to environment and file.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Flags {
    /// Configuration file in TOML [env: DOCRELAY_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The key `listen`.
    #[arg(long, value_name = "ADDRESS", help = help("listen"))]
    pub listen: Option<String>,
    /// The key `admin_listen`.
    #[arg(long, value_name = "ADDRESS", help = help("admin_listen"))]
    pub admin_listen: Option<String>,
    /// The key `data`.
    #[arg(long, value_name = "DIR", help = help("data"))]
    pub data: Option<String>,
    /// The key `cluster`.
    #[arg(long, value_name = "SERVERS", help = help("cluster"))]
    pub cluster: Option<String>,
    /// The key `demo`.
    #[arg(long, help = help("demo"))]
    pub demo: bool,
}

impl Flags {
    /// The value of a key on the command line.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        match name {
            "listen" => self.listen.clone(),
            "admin_listen" => self.admin_listen.clone(),
            "data" => self.data.clone(),
            "cluster" => self.cluster.clone(),
            "demo" => self.demo.then(|| "true".to_owned()),
            _ => None,
        }
    }
}

fn help(name: &str) -> String {
    let Some(key) = find(name) else {
        return String::new();
    };
    let default = match key.default {
        DefaultValue::Is("false") | DefaultValue::Derived(_) => String::new(),
        DefaultValue::Is(value) => format!(" [default: {value}]"),
    };
    format!("{}{default} [env: {}] [key: {name}]", key.description, key.variable())
}
