//! Holds the source tree to the layers of `docs/ARCHITECTURE.md` and to the rules of the house. The rules themselves
//! stand in `tests/source_tree/`; here they meet the tree, and samples that break them.

#![allow(clippy::expect_used, reason = "a tree that cannot be read is a failed test")]

mod layers;
mod paths;
mod shape;

use std::path::Path;
use std::process::Command;

/// A text of the repository.
pub(crate) struct SourceFile {
    /// Relative to the repository, with `/`.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

/// Everything that is committed or about to be, as far as it is text.
fn tree() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .ok()
        .filter(|output| output.status.success());
    let mut paths = Vec::new();
    match listed {
        Some(output) => {
            paths.extend(output.stdout.split(|b| *b == 0).map(|p| String::from_utf8_lossy(p).into_owned()));
        }
        // An unpacked archive has no git: everything but what a build leaves behind.
        None => walk(root, "", &mut paths),
    }
    let read = |path: String| Some(SourceFile { text: std::fs::read_to_string(root.join(&path)).ok()?, path });
    paths.into_iter().filter_map(read).collect()
}

fn walk(root: &Path, inside: &str, paths: &mut Vec<String>) {
    for entry in std::fs::read_dir(root.join(inside)).expect("a readable directory") {
        let entry = entry.expect("a readable directory");
        let path = format!("{inside}{}", entry.file_name().to_string_lossy());
        if entry.file_type().expect("a file type").is_file() {
            paths.push(path);
        } else if !["target", "data", ".git", ".venv"].contains(&path.as_str()) {
            walk(root, &format!("{path}/"), paths);
        }
    }
}

fn in_src(files: Vec<SourceFile>) -> Vec<SourceFile> {
    files.into_iter().filter(|file| file.path.starts_with("src/") && file.path.ends_with(".rs")).collect()
}

#[track_caller]
fn none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn arrows_between_modules_point_down_and_crates_stay_in_their_place() {
    let files = in_src(tree());
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the walk has lost the sources");
    none(&layers::violations(&files));
}

#[test]
fn every_source_says_what_it_owns_and_keeps_to_a_length_that_can_be_read() {
    let sources = tree().into_iter().filter(|file| file.path.ends_with(".rs"));
    none(&sources.flat_map(|file| shape::of_source(&file)).collect::<Vec<_>>());
}

#[test]
fn no_test_sleeps_to_hope() {
    let tests = tree().into_iter().filter(|file| file.path.starts_with("tests/") && file.path.ends_with(".rs"));
    none(&tests.flat_map(|file| shape::of_test(&file)).collect::<Vec<_>>());
}

#[test]
fn every_dependency_earns_its_line() {
    let manifests = tree().into_iter().filter(|file| file.path.ends_with("Cargo.toml"));
    none(&manifests.flat_map(|file| shape::of_manifest(&file)).collect::<Vec<_>>());
}

#[test]
fn nothing_committed_knows_a_machine_or_its_registries() {
    none(&tree().iter().flat_map(shape::of_text).collect::<Vec<_>>());
}

/// The violations of one file among empty ones of every part that it might refer to.
fn broken(path: &str, text: &str) -> Vec<String> {
    layers::violations(&[SourceFile { path: path.to_owned(), text: text.to_owned() }])
}

#[test]
fn each_way_to_write_an_upward_reference_is_found() {
    for text in [
        "use crate::relay::Relay;",
        "use crate::{clock, relay::{self, Relay}};",
        "fn f() { crate::relay::accept(); }",
        "fn f() -> crate::relay::Relay<'static> { 'a'; '\\''; \"//\"; todo!() }",
        "use super::relay::Relay;",
        "mod tests { mod deep { use super::super::super::relay; } }",
        "mod tests {} use super::relay as other;",
        "use docrelay::relay;",
        "pub use crate::relay::*;",
        "use crate as root;\nfn f() { root::relay::accept() }",
        "fn f() { let s = r#\"\"x\"#; crate::relay::accept(s) }",
    ] {
        assert_eq!(broken("src/hub.rs", text).len(), 1, "{text}: {:?}", broken("src/hub.rs", text));
    }
    let deep = broken("src/hub/ring.rs", "\n\nuse crate::app;");
    assert_eq!(deep, ["src/hub/ring.rs:3: hub (layer 1) must not know app (layer 4): arrows point down"]);
    assert_eq!(broken("src/relay.rs", "use crate::Options;").len(), 1, "an item of the root belongs to the top");
}

#[test]
fn what_is_not_code_and_what_points_down_is_no_violation() {
    for (path, text) in [
        ("src/hub.rs", "// use crate::relay;\n/* crate::relay::x /* crate::app::y */ */ /// [`crate::http::z`]"),
        ("src/hub.rs", "const S: &str = \"use crate::relay::x\"; const R: &str = r##\"crate::app::\"# y\"##;"),
        (
            "src/hub.rs",
            "use self::ring::Ring; mod ring; use crate::event::Event; fn f<'a>(x: &'a u8) { x.map::<u8>() }",
        ),
        ("src/hub.rs", "mod tests { use super::*; }"),
        ("src/store/sqlite.rs", "use super::{Log, Store}; use crate::clock::Timestamp; use rusqlite::Connection;"),
        ("src/http/hooks.rs", "use super::limits; use crate::relay::Relay; use warp::Filter; use http::Method;"),
        ("src/relay.rs", "use tokio::time; fn f() { time::interval() }"),
        ("src/app.rs", "use crate::{cli, config, http, hub, store::sqlite};"),
    ] {
        none(&broken(path, text));
    }
}

#[test]
fn parts_of_one_layer_never_meet() {
    for (path, text) in [
        ("src/dialect/ppj.rs", "use crate::store::Raw;"),
        ("src/store.rs", "use crate::auth::Token;"),
        ("src/http/events.rs", "use crate::store::sqlite::Sqlite;"),
        ("src/store/sqlite/writer.rs", "use crate::http::Problem;"),
        ("src/notify.rs", "use crate::relay::Relay;"),
        ("src/store.rs", "pub mod sqlite;\npub use sqlite::Sqlite;"),
    ] {
        assert_eq!(broken(path, text).len(), 1, "{path} {text}: {:?}", broken(path, text));
    }
}

#[test]
fn an_exception_that_nobody_needs_any_more_is_found() {
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
    none(&layers::violations(&[file("src/auth.rs", "use crate::store::Registry;"), file("src/store.rs", "")]));
    assert_eq!(layers::violations(&[file("src/auth.rs", ""), file("src/store.rs", "")]).len(), 1);
}

#[test]
fn a_module_without_a_layer_and_a_crate_without_a_home_are_found() {
    for (path, text) in [
        ("src/gossip.rs", ""),
        ("src/relay.rs", "use warp::Filter;"),
        ("src/relay.rs", "use tokio::sync::{mpsc, broadcast};"),
        ("src/relay.rs", "use tokio::sync; fn f() { sync::broadcast::channel(1); }"),
        ("src/http/hooks.rs", "fn f() { rusqlite::Connection::open(\"x\") }"),
        ("src/hub.rs", "fn f() -> anyhow::Result<()> {}"),
        ("src/config.rs", "use reqwest as client;"),
        ("src/hub.rs", "#[derive(clap::Parser)] struct S;"),
        ("src/auth.rs", "use ::warp::Filter;"),
    ] {
        assert_eq!(broken(path, text).len(), 1, "{path} {text}: {:?}", broken(path, text));
    }
}

#[test]
fn each_rule_of_a_files_shape_is_held() {
    let source = |path: &str, text: &str| shape::of_source(&SourceFile { path: path.into(), text: text.into() }).len();
    assert_eq!(source("src/hub.rs", "//! Fan-out.\n"), 0);
    assert_eq!(source("src/hub.rs", "// Fan-out.\n"), 1);
    assert_eq!(source("src/hub.rs", &format!("//! Fan-out.\n{}", "\n".repeat(399))), 0);
    assert_eq!(source("src/hub.rs", &format!("//! Fan-out.\n{}", "\n".repeat(400))), 1);
    assert_eq!(source("src/hub/mod.rs", "//! Fan-out.\n"), 1);
    assert_eq!(source("src/utils.rs", "//! Things.\n"), 1);
    assert_eq!(source("src/common/ring.rs", "//! Things.\n"), 1);
    assert_eq!(source("src/hub.rs", "//! Fan-out.\npub(crate) mod types {\n}\nmod helpers;\n"), 2);

    let test = concat!("fn f() { std::thread::sle", "ep(d) }");
    assert_eq!(shape::of_test(&SourceFile { path: "tests/x.rs".into(), text: test.into() }).len(), 1);

    let manifest = |text: &str| shape::of_manifest(&SourceFile { path: "Cargo.toml".into(), text: text.into() }).len();
    assert_eq!(manifest("[package]\nname = \"x\"\n[dependencies]\nhttp = \"1\" # names of headers\n# the wire\n"), 0);
    assert_eq!(manifest("[dependencies]\nhttp = \"1\"\n[dev-dependencies]\ntempfile = { version = \"3\" } # \n"), 2);
    assert_eq!(manifest("[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n"), 1);
    assert_eq!(manifest("[dependencies.http]\nversion = \"1\" # x\n"), 1);

    let text = |text: String| shape::of_text(&SourceFile { path: "docs/x.md".into(), text }).len();
    assert_eq!(text("see /usr/share/doc and ./data".to_owned()), 0);
    assert_eq!(text(format!("cd /{}/docrelay", "work")), 1);
    assert_eq!(text(format!("pip install --{}-url x", "index")), 1);
}
