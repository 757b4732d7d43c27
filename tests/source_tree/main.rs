//! Holds the source tree to the layers of `docs/ARCHITECTURE.md` and to the rules for files, folders, names and
//! language. Each rule stands in a module of `tests/source_tree/`, with tests of its own on small samples; here the
//! rules meet the tree.

#![allow(clippy::expect_used, reason = "a tree that cannot be read is a failed test")]

mod cycles;
mod imports;
mod language;
mod layers;
mod modules;
mod shape;
mod type_names;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use language::Prose;
use modules::Module;

/// A text file of the repository.
pub(crate) struct SourceFile {
    /// Relative to the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// All text files that are committed or not ignored.
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
        // An unpacked archive has no git: take everything but what a build leaves behind.
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
        } else if !["target", "data", "data-cluster", ".git"].contains(&path.as_str()) {
            walk(root, &format!("{path}/"), paths);
        }
    }
}

/// The modules of the crate.
fn modules() -> Vec<Module> {
    let modules = modules::parse(&tree()).expect("Rust");
    assert!(modules.iter().any(|module| module.file == "src/lib.rs"), "src/lib.rs is not among the files");
    modules
}

#[track_caller]
fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

// Rule 23: one client for endpoints.
#[test]
fn references_point_down_the_layers_and_crates_stay_in_their_parts() {
    assert_none(&layers::violations(&modules()));
}

#[test]
fn layer_table_has_no_unused_entry() {
    assert_none(&layers::unused_entries(&modules()));
}

#[test]
fn sibling_modules_have_no_import_cycle() {
    let cycles = cycles::find(&modules());
    assert_none(&cycles.iter().map(ToString::to_string).collect::<Vec<_>>());
}

#[test]
fn type_names_are_unique_in_production_code() {
    assert_none(&type_names::repeated(&modules()));
}

#[test]
fn folders_hold_a_limited_number_of_files() {
    assert_none(&shape::of_folders(&modules()));
}

#[test]
fn source_files_open_with_their_purpose_and_stay_short() {
    let sources = tree().into_iter().filter(|file| file.path.ends_with(".rs"));
    assert_none(&sources.flat_map(|file| shape::of_source(&file)).collect::<Vec<_>>());
}

#[test]
fn comments_are_plain_technical_english() {
    // The bundles in static/dist are generated.
    let counted = |path: &str| {
        ["src/", "tests/", "static/"].iter().any(|folder| path.starts_with(folder)) && !path.starts_with("static/dist/")
    };
    let prose = prose("comment lines", counted);
    assert!(prose.percent() < language::MAX_PERCENT, "\n{}\n", prose.found.join("\n"));
}

#[test]
fn doc_comments_name_their_subject() {
    let sources = tree().into_iter().filter(|file| file.path.ends_with(".rs"));
    assert_none(&sources.flat_map(|file| language::fragments(&file)).collect::<Vec<_>>());
}

#[test]
fn documents_are_plain_technical_english() {
    let prose = prose("lines of documents", |path| path.ends_with(".md"));
    assert!(prose.percent() < language::MAX_PERCENT, "\n{}\n", prose.found.join("\n"));
}

/// Reads the prose of the counted files, and prints the share of lines that are not plain technical English.
fn prose(lines: &str, counted: impl Fn(&str) -> bool) -> Prose {
    let mut prose = Prose::default();
    tree().iter().filter(|file| counted(&file.path)).for_each(|file| prose.add(file));
    assert!(prose.lines > 1_000, "{} {lines}", prose.lines);
    let (share, limit) = (prose.percent(), language::MAX_PERCENT);
    writeln!(std::io::stderr(), "{share:.2} % of {} {lines} hold a turn of the list, limit {limit} %", prose.lines)
        .ok();
    prose
}

#[test]
fn tests_wait_for_events_not_for_time() {
    let tests = tree().into_iter().filter(|file| file.path.starts_with("tests/") && file.path.ends_with(".rs"));
    assert_none(&tests.flat_map(|file| shape::of_test(&file)).collect::<Vec<_>>());
}

#[test]
fn each_dependency_has_a_stated_reason() {
    let manifests = tree().into_iter().filter(|file| file.path.ends_with("Cargo.toml"));
    assert_none(&manifests.flat_map(|file| shape::of_manifest(&file)).collect::<Vec<_>>());
}

#[test]
fn committed_files_name_no_machine_and_no_registry() {
    assert_none(&tree().iter().flat_map(shape::of_text).collect::<Vec<_>>());
}
