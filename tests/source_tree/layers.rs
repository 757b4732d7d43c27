//! The layer table of the architecture: which part may refer to which, and which part may use which crate. A part that
//! is not in the table, and a crate that is used in a second part, is a decision that is made here.

use crate::imports::Reference;
use crate::modules::Module;

/// From the bottom to the top. References point down only; within the lowest and the highest layer the parts may refer
/// to each other.
const LAYERS: [&[&str]; 6] = [
    &["domain", "metrics"],
    &["stream/hub", "store", "journal", "vendor", "auth", "delivery/scheduler"],
    &["ingest", "stream", "delivery", "cluster"],
    &["manage"],
    &["store/sqlite", "journal/jetstream", "delivery/http_client", "http"],
    &["app", "config", "cli", "lib", "bin/docrelay"],
];

/// Plain values: knows no other part of the crate.
const LEAF: &str = "domain";

/// The store and its ports, which handlers reach through use cases only. The other types of the store are values.
const PORTS: [&str; 7] = ["Store", "Log", "Registry", "RejectStore", "Outbox", "Maintenance", "Seal"];

/// References within one layer that are allowed all the same, and why.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "auth",
    "store",
    "a token is only good while its client is registered, and the registry's port is already the narrowest way to ask",
)];

/// The parts that may use a crate, or one of its items; none if the list is empty. The first entry that fits decides,
/// so an item stands before its crate. A crate that is not listed may be used everywhere.
static HOMES: [(&str, &[&str]); 34] = [
    ("async_nats", &["journal/jetstream"]),
    ("warp", &["http"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("http_body", &["http"]),
    ("http_body_util", &["http"]),
    ("tower_service", &["http"]),
    ("governor", &["http"]),
    ("flate2", &["http"]),
    ("rusqlite", &["store/sqlite"]),
    ("jsonwebtoken", &["auth"]),
    ("aws_lc_rs", &["domain", "auth", "vendor", "store/sqlite", "http"]),
    ("dashmap", &["stream/hub", "auth"]),
    ("tokio::sync::broadcast", &[]),
    ("tokio::sync::Notify", &["stream/hub"]),
    ("tokio_stream", &["store/sqlite"]),
    ("prometheus_client", &["metrics"]),
    ("time", &["domain"]),
    ("reqwest", &["cli", "delivery/http_client"]),
    ("hickory_resolver", &["delivery/http_client"]),
    ("url", &["domain", "vendor", "journal/jetstream", "delivery/http_client"]),
    ("sse_stream", &["cli"]),
    ("clap", &["cli", "config", "bin/docrelay"]),
    ("toml", &["config"]),
    ("humantime", &["cli", "config"]),
    ("bytesize", &["config"]),
    ("tracing_subscriber", &["app"]),
    ("anyhow", &["app", "cli"]),
    ("rustix", &["app", "config", "http"]),
    ("tokio_rustls", &["http", "cli"]),
    ("arc_swap", &["domain"]),
    ("listenfd", &["app"]),
    ("sd_notify", &["app"]),
    ("tikv_jemallocator", &["bin/docrelay"]),
];

/// What in `modules` breaks the table.
pub(crate) fn violations(modules: &[Module]) -> Vec<String> {
    let mut found = Vec::new();
    for module in modules {
        let Some(part) = part_of(&module.path) else {
            found.push(format!("{}: is in no layer: add it to tests/source_tree/layers.rs", module.file));
            continue;
        };
        for reference in &module.source.references {
            let why =
                if reference.ours { wrong_direction(part, target_of(reference)) } else { stray_crate(part, reference) };
            let why = why.or_else(|| port_of_http(part, reference));
            found.extend(why.map(|why| format!("{}:{}: {why}", module.file, reference.line)));
        }
    }
    found.dedup();
    found
}

/// Entries of the tables that apply to nothing in `modules`: a part without a module, an exception or a crate's part
/// that is no longer needed.
pub(crate) fn unused_entries(modules: &[Module]) -> Vec<String> {
    let references = |part: &'static str| {
        let modules = modules.iter().filter(move |module| part_of(&module.path) == Some(part));
        modules.flat_map(|module| &module.source.references)
    };
    let mut unused = Vec::new();
    for part in LAYERS.iter().copied().flatten() {
        if !modules.iter().any(|module| module.path.join("/") == *part) {
            unused.push(format!("{part} is no module: remove it from its layer"));
        }
    }
    for (from, to, _) in EXCEPTIONS {
        if !references(from).any(|reference| reference.ours && target_of(reference) == to) {
            unused.push(format!("{from} no longer refers to {to}: remove the exception"));
        }
    }
    for (name, parts) in HOMES {
        for part in parts {
            if !references(part).any(|reference| home_of(reference).is_some_and(|(home, _)| *home == name)) {
                unused.push(format!("{part} does not use {name}: remove it from the homes of the crate"));
            }
        }
    }
    unused
}

fn port_of_http(part: &str, reference: &Reference) -> Option<String> {
    let [store, name, ..] = &reference.path[..] else { return None };
    let is_port = part == "http" && reference.ours && store == "store" && PORTS.contains(&name.as_str());
    is_port
        .then(|| format!("http must not refer to store::{name}: it calls the use cases of manage, ingest and stream"))
}

/// The part that a reference leads to. What is neither a part nor below one is an item of the root.
fn target_of(reference: &Reference) -> &'static str {
    part_of(&reference.path).unwrap_or("lib")
}

fn wrong_direction(from: &str, to: &str) -> Option<String> {
    let (lower, upper) = (layer_of(from), layer_of(to));
    if from == to || EXCEPTIONS.iter().any(|(a, b, _)| (*a, *b) == (from, to)) {
        None
    } else if from == LEAF {
        Some(format!("{LEAF} must not refer to {to}, nor to any other part"))
    } else if upper > lower {
        Some(format!("{from} (layer {lower}) must not refer to {to} (layer {upper}): references point down"))
    } else {
        let inner = 1..LAYERS.len() - 1;
        (upper == lower && inner.contains(&lower))
            .then(|| format!("{from} and {to} are both in layer {lower}: they do not refer to each other"))
    }
}

fn stray_crate(part: &str, reference: &Reference) -> Option<String> {
    let (name, homes) = home_of(reference)?;
    (!homes.contains(&part)).then(|| match homes {
        [] => format!("{name} is used in {part}: no part may use it"),
        homes => format!("{name} is used in {part}: it belongs to {}", homes.join(", ")),
    })
}

/// The first entry of `HOMES` that a reference to another crate begins with.
fn home_of(reference: &Reference) -> Option<&'static (&'static str, &'static [&'static str])> {
    let begins = |name: &str| {
        let wanted: Vec<&str> = name.split("::").collect();
        wanted.len() <= reference.path.len() && wanted.iter().zip(&reference.path).all(|(a, b)| a == b)
    };
    HOMES.iter().find(|(name, _)| !reference.ours && begins(name))
}

/// The part that a path belongs to: the longest entry of the table that it begins with.
fn part_of(path: &[String]) -> Option<&'static str> {
    let begins = |part: &str| {
        let depth = part.split('/').count();
        depth <= path.len() && part.split('/').zip(path).all(|(a, b)| a == b)
    };
    LAYERS.iter().copied().flatten().copied().filter(|part| begins(part)).max_by_key(|part| part.len())
}

fn layer_of(part: &str) -> usize {
    LAYERS.iter().position(|parts| parts.contains(&part)).unwrap_or(LAYERS.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceFile, assert_none, modules};

    fn violations_of(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(path, text)| SourceFile { path: (*path).into(), text: (*text).into() });
        violations(&modules::parse(&files.collect::<Vec<_>>()).expect("Rust"))
    }

    #[track_caller]
    fn assert_one(path: &str, text: &str) {
        let found = violations_of(&[(path, text)]);
        assert_eq!(found.len(), 1, "{path}: {text}: {found:?}");
    }

    #[test]
    fn upward_reference_in_each_spelling_is_found() {
        for text in [
            "use crate::ingest::Relay;",
            "use crate::{domain, ingest::{self, Relay}};",
            "fn f() { crate::ingest::accept(); }",
            "fn f() -> crate::ingest::Relay<'static> { 'a'; '\\''; \"//\"; todo!() }",
            "use super::ingest::Relay;",
            "mod tests { mod deep { use super::super::super::ingest; } }",
            "mod tests {} use super::ingest as other;",
            "use docrelay::ingest;",
            "pub use crate::ingest::*;",
            "use crate as root;\nfn f() { root::ingest::accept() }",
            "fn f() { let s = r#\"\"x\"#; crate::ingest::accept(s) }",
            "fn f() { vec![crate::ingest::accept()]; }",
            "macro_rules! m { () => { $crate::ingest::accept() }; }",
            "fn f() { Vec::<crate::ingest::Relay>::new(); }",
            "#[derive(crate::ingest::Derive)] struct S;",
            "impl S { fn f(&self) -> impl Fn(crate::ingest::Relay) {} }",
        ] {
            assert_one("src/vendor.rs", text);
        }
        let deep = violations_of(&[("src/vendor/ring.rs", "\n\nuse crate::app;")]);
        assert_eq!(
            deep,
            ["src/vendor/ring.rs:3: vendor (layer 1) must not refer to app (layer 5): references point down"]
        );
        // An item of the root belongs to the highest layer.
        assert_one("src/ingest.rs", "use crate::Options;");
    }

    #[test]
    fn comments_strings_and_downward_references_are_allowed() {
        for (path, text) in [
            (
                "src/vendor.rs",
                "// use crate::ingest;\n/* crate::ingest::x /* crate::app::y */ */ /// [`crate::http::z`]\nuse a;",
            ),
            ("src/vendor.rs", "const S: &str = \"use crate::ingest::x\"; const R: &str = r##\"crate::app::\"# y\"##;"),
            (
                "src/vendor.rs",
                "use self::ring::Ring; mod ring; use crate::domain::Event; fn f<'a>(x: &'a u8) { x.map::<u8>() }",
            ),
            ("src/vendor.rs", "mod tests { use super::*; }"),
            ("src/store/sqlite.rs", "use super::{Log, Store}; use crate::domain::Timestamp; use rusqlite::Connection;"),
            ("src/http/hooks.rs", "use super::limits; use crate::ingest::Relay; use warp::Filter; use http::Method;"),
            ("src/ingest.rs", "use tokio::time; fn f() { time::interval() }"),
            ("src/app.rs", "use crate::{cli, config, http, vendor, store::sqlite};"),
        ] {
            assert_none(&violations_of(&[(path, text)]));
        }
    }

    #[test]
    fn reference_within_a_layer_is_found() {
        for (path, text) in [
            ("src/vendor/ppj.rs", "use crate::store::Raw;"),
            ("src/store.rs", "use crate::auth::Token;"),
            ("src/http/events.rs", "use crate::store::sqlite::Sqlite;"),
            ("src/store/sqlite/writer.rs", "use crate::http::Problem;"),
            ("src/stream.rs", "use crate::ingest::Relay;"),
            ("src/store.rs", "pub mod sqlite;\npub use sqlite::Sqlite;"),
            ("src/http/api/hooks.rs", "use crate::store::{Registry, StoreError};"),
        ] {
            assert_one(path, text);
        }
    }

    #[test]
    fn reference_of_domain_to_another_part_is_found() {
        assert_one("src/domain/event.rs", "use crate::metrics::Metrics;");
        assert_none(&violations_of(&[("src/metrics.rs", "use crate::domain::Vendor;")]));
    }

    #[test]
    fn unused_entry_of_a_table_is_found() {
        let unused = |text: &str| {
            let file = SourceFile { path: "src/auth.rs".into(), text: text.into() };
            unused_entries(&modules::parse(&[file]).expect("Rust"))
        };
        let before = unused("");
        for (text, entry) in [
            ("", "store is no module: remove it from its layer"),
            ("use crate::store::Registry;", "auth no longer refers to store: remove the exception"),
            ("use dashmap::DashMap;", "auth does not use dashmap: remove it from the homes of the crate"),
        ] {
            assert!(before.iter().any(|found| found == entry), "{entry}");
            assert_eq!(unused(text).iter().any(|found| found == entry), text.is_empty(), "{entry}");
        }
    }

    #[test]
    fn unknown_module_and_misplaced_crate_are_found() {
        for (path, text) in [
            ("src/gossip.rs", ""),
            ("src/ingest.rs", "use warp::Filter;"),
            ("src/ingest.rs", "use tokio::sync::{mpsc, broadcast};"),
            ("src/ingest.rs", "use tokio::sync; fn f() { sync::broadcast::channel(1); }"),
            ("src/http/hooks.rs", "fn f() { rusqlite::Connection::open(\"x\") }"),
            ("src/vendor.rs", "fn f() -> anyhow::Result<()> {}"),
            ("src/config.rs", "use reqwest as client;"),
            ("src/vendor.rs", "#[derive(clap::Parser)] struct S;"),
            ("src/auth.rs", "use ::warp::Filter;"),
        ] {
            assert_one(path, text);
        }
    }
}
