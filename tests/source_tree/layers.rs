//! The layer table of the architecture: which part may refer to which, and which part may use which crate.
//! A part that is not in the table, or a crate that has found a second home, is a decision: it is made here.

use crate::SourceFile;
use crate::paths::{Reference, references};

/// From the bottom to the top. Arrows point down only; within layer 0 and layer 4 the parts may know each other.
const LAYERS: [&[&str]; 5] = [
    &["clock", "event", "hook", "metrics", "notification"],
    &["hub", "store", "dialect", "auth", "notify/schedule"],
    &["relay", "notify"],
    &["store/sqlite", "store/jetstream", "notify/egress", "http"],
    &["app", "config", "telemetry", "cli", "lib", "main"],
];

/// Within one layer, all the same, and why.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "auth",
    "store",
    "a token is only good while its client is registered, and the registry's port is already the narrowest way to ask",
)];

/// Where a crate, or one of its items, is at home: a technology stays in its one place.
/// The first entry that fits decides, so an item stands before its crate.
const HOMES: [(&str, &[&str]); 29] = [
    ("warp", &["http"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("http_body", &["http"]),
    ("http_body_util", &["http"]),
    ("tower_service", &["http"]),
    ("governor", &["http"]),
    ("pulldown_cmark", &["http"]),
    ("rusqlite", &["store/sqlite"]),
    ("async_nats", &["store/jetstream"]),
    ("jsonwebtoken", &["auth"]),
    ("aws_lc_rs", &["notification", "auth", "dialect", "store/sqlite", "http"]),
    ("dashmap", &["hub", "auth", "store/sqlite"]),
    ("tokio::sync::broadcast", &["hub"]),
    ("tokio::sync::Notify", &["hub"]),
    ("tokio_stream", &["hub", "relay", "notify", "store/sqlite", "store/jetstream", "http"]),
    ("prometheus_client", &["metrics"]),
    ("time", &["clock"]),
    ("reqwest", &["cli", "notify/egress"]),
    ("url", &["notification", "dialect", "cli", "notify/egress"]),
    ("sse_stream", &["cli"]),
    ("clap", &["cli", "config", "main"]),
    ("toml", &["config"]),
    ("humantime", &["cli", "config"]),
    ("bytesize", &["cli", "config"]),
    ("tracing_subscriber", &["telemetry"]),
    ("anyhow", &["app", "config", "telemetry", "cli", "lib", "main"]),
    ("rustix", &["app", "config", "http"]),
    ("tikv_jemallocator", &["main"]),
];

/// What in `files` (those below `src`) breaks the table.
pub(crate) fn violations(files: &[SourceFile]) -> Vec<String> {
    let mut found = Vec::new();
    let mut excused = Vec::new();
    for file in files {
        let module = module_of(&file.path);
        let Some(part) = part_of(&module) else {
            found
                .push(format!("{}: is in no layer: give its module a place in tests/source_tree/layers.rs", file.path));
            continue;
        };
        for reference in references(&module, &file.text) {
            let at = format!("{}:{}", file.path, reference.line);
            if !reference.ours {
                found.extend(stray_crate(part, &reference).map(|why| format!("{at}: {why}")));
                continue;
            }
            // What is neither a part nor below one is an item of the root.
            let target = part_of(&reference.path).unwrap_or("lib");
            if let Some(excuse) = EXCEPTIONS.iter().find(|(from, to, _)| (*from, *to) == (part, target)) {
                excused.push(*excuse);
            } else if let Some(why) = wrong_arrow(part, target) {
                found.push(format!("{at}: {why}"));
            }
        }
    }
    let has = |part: &str| files.iter().any(|file| part_of(&module_of(&file.path)) == Some(part));
    for exception in EXCEPTIONS.iter().filter(|(from, to, _)| has(from) && has(to)) {
        if !excused.contains(exception) {
            let (from, to, _) = exception;
            found.push(format!("tests/source_tree/layers.rs: {from} no longer refers to {to}: remove the exception"));
        }
    }
    found.dedup();
    found
}

fn wrong_arrow(from: &str, to: &str) -> Option<String> {
    let (lower, upper) = (layer_of(from), layer_of(to));
    if from == to || upper < lower {
        None
    } else if upper > lower {
        Some(format!("{from} (layer {lower}) must not know {to} (layer {upper}): arrows point down"))
    } else {
        (1..=3).contains(&lower).then(|| format!("{from} and {to} are parts of layer {lower}: they never meet"))
    }
}

fn stray_crate(part: &str, reference: &Reference) -> Option<String> {
    let begins = |name: &str| {
        let wanted: Vec<&str> = name.split("::").collect();
        wanted.len() <= reference.path.len() && wanted.iter().zip(&reference.path).all(|(a, b)| a == b)
    };
    let (name, homes) = HOMES.iter().find(|(name, _)| begins(name))?;
    (!homes.contains(&part)).then(|| format!("{name} is used in {part}, its place is {}", homes.join(", ")))
}

/// `src/store/sqlite.rs` is the module `store::sqlite`; the two roots go by their file's name.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    inner.strip_suffix(".rs").unwrap_or(inner).split('/').map(str::to_owned).collect()
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
