//! The rules that a file, a folder or a manifest can break by itself: how a file opens, how long it is, what it is
//! called, how full a folder is, and what must not be committed. Knows nothing of layers.

use std::collections::BTreeMap;

use crate::SourceFile;
use crate::modules::Module;

/// Up to here a file can be read in one go.
const MAX_FILE_LINES: usize = 400;

/// Columns of a comment: `max_width` of `.rustfmt.toml`, which a stable rustfmt applies to code only.
const MAX_COMMENT_COLUMNS: usize = 120;

/// A folder of 15 files can still be taken in at a glance. One more is tolerated, so that a new file does not force a
/// move in the same commit.
const MAX_FOLDER_FILES: usize = 16;

/// Names that do not tell what is inside.
const EMPTY_NAMES: [&str; 9] = ["utils", "util", "common", "helpers", "helper", "types", "manager", "service", "misc"];

/// Traces of one machine or network. Each is put together here, so that this file does not hold it.
const TRACES: [&str; 9] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("index", "-url"),
    concat!("find", "-links"),
    concat!("replace", "-with"),
    concat!("[sou", "rce."),
    concat!("spar", "se+http"),
];

/// What a Rust file breaks.
pub(crate) fn of_source(file: &SourceFile) -> Vec<String> {
    let mut found = Vec::new();
    if !file.text.starts_with("//! ") {
        found.push(format!("{}: must open with `//!`: what it owns and what it must not know", file.path));
    }
    let lines = file.text.lines().count();
    if lines > MAX_FILE_LINES {
        found.push(format!(
            "{}: has {lines} lines, more than {MAX_FILE_LINES}: split it where a concept ends",
            file.path
        ));
    }
    for (at, line) in file.text.lines().enumerate().filter(|(_, line)| is_wide_comment(line)) {
        let columns = line.chars().count();
        found.push(format!(
            "{}:{}: has {columns} columns, more than {MAX_COMMENT_COLUMNS}: wrap the comment",
            file.path,
            at + 1
        ));
    }
    if file.path.ends_with("/mod.rs") {
        found.push(format!("{}: is named mod.rs: put it beside its directory", file.path));
    }
    let stem = file.path.strip_suffix(".rs").unwrap_or(&file.path);
    let inline = file.text.lines().filter_map(|line| {
        let (visible, name) = line.trim_start().split_once("mod ")?;
        let declares = visible.is_empty() || visible.starts_with("pub");
        declares.then(|| name.trim_end_matches([';', '{', ' ']))
    });
    for name in stem.split('/').chain(inline).filter(|name| EMPTY_NAMES.contains(name)) {
        found.push(format!("{}: the module name `{name}` says nothing: name what it owns", file.path));
    }
    found
}

/// Whether a line is a comment that could be wrapped and is not. A row of a table cannot.
fn is_wide_comment(line: &str) -> bool {
    let Some(comment) = line.trim_start().strip_prefix("//") else { return false };
    let is_row = comment.trim_start_matches(['/', '!', ' ']).starts_with('|');
    !is_row && line.chars().count() > MAX_COMMENT_COLUMNS
}

/// Folders below `src` with too many files. Test modules do not count.
pub(crate) fn of_folders(modules: &[Module]) -> Vec<String> {
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    for module in modules.iter().filter(|module| !module.is_test) {
        let folder = module.file.rsplit_once('/').map_or("", |(folder, _)| folder);
        *folders.entry(folder).or_default() += 1;
    }
    let full = folders.into_iter().filter(|(_, files)| *files > MAX_FOLDER_FILES);
    full.map(|(folder, files)| format!("{folder}: has {files} files, more than {MAX_FOLDER_FILES}: group them"))
        .collect()
}

/// What a test breaks: it waits for an event, not for a time to pass.
pub(crate) fn of_test(file: &SourceFile) -> Vec<String> {
    let call = concat!("sle", "ep(");
    let sleeping = file.text.lines().enumerate().filter(|(_, line)| line.contains(call));
    sleeping.map(|(at, _)| format!("{}:{}: sleeps: wait for what must happen", file.path, at + 1)).collect()
}

/// What a manifest breaks: each dependency stands on a line of its own that says what it spares.
pub(crate) fn of_manifest(file: &SourceFile) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for (at, line) in file.text.lines().enumerate() {
        let at = format!("{}:{}", file.path, at + 1);
        if let Some(table) = line.strip_prefix('[') {
            inside = table.trim_end().ends_with("dependencies]");
            if table.contains("dependencies.") {
                found.push(format!("{at}: write the dependency on one line, with what it spares beside it"));
            }
        } else if inside && line.contains('=') && !line.starts_with('#') {
            let reason = line.rsplit_once(" # ").map_or("", |(_, reason)| reason.trim());
            if reason.is_empty() {
                found.push(format!("{at}: say beside the dependency what would be written here without it"));
            }
        }
    }
    found
}

/// What any committed text breaks.
pub(crate) fn of_text(file: &SourceFile) -> Vec<String> {
    let traced = file.text.lines().enumerate().flat_map(|(at, line)| {
        let traces = TRACES.iter().filter(move |trace| line.contains(**trace));
        traces.map(move |trace| format!("{}:{}: holds `{trace}`, which belongs to one machine", file.path, at + 1))
    });
    traced.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules;

    fn file(path: &str, text: impl Into<String>) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn opening_length_and_name_of_a_file_are_checked() {
        let source = |path: &str, text: &str| of_source(&file(path, text)).len();
        assert_eq!(source("src/hub.rs", "//! Fan-out.\n"), 0);
        assert_eq!(source("src/hub.rs", "// Fan-out.\n"), 1);
        assert_eq!(source("src/hub.rs", &format!("//! Fan-out.\n{}", "\n".repeat(399))), 0);
        assert_eq!(source("src/hub.rs", &format!("//! Fan-out.\n{}", "\n".repeat(400))), 1);
        assert_eq!(source("src/hub.rs", &format!("//! Fan-out.\n    // {}\n", "é ".repeat(56))), 0);
        assert_eq!(source("src/hub.rs", &format!("//! Fan-out.\n    // {}\n", "é ".repeat(57))), 1);
        assert_eq!(source("src/hub.rs", &format!("//! Fan-out.\n/// | {} |\n", "a ".repeat(99))), 0, "a table");
        assert_eq!(source("src/hub/mod.rs", "//! Fan-out.\n"), 1);
        assert_eq!(source("src/utils.rs", "//! Things.\n"), 1);
        assert_eq!(source("src/common/ring.rs", "//! Things.\n"), 1);
        assert_eq!(source("src/hub.rs", "//! Fan-out.\npub(crate) mod types {\n}\nmod helpers;\n"), 2);
    }

    #[test]
    fn folder_with_too_many_files_is_found() {
        let folder = |files: usize, more: &[SourceFile]| {
            let files = (0..files).map(|number| file(&format!("src/hub/f{number}.rs"), ""));
            let more = more.iter().map(|other| file(&other.path, other.text.clone()));
            of_folders(&modules::parse(&files.chain(more).collect::<Vec<_>>()).expect("Rust")).len()
        };
        assert_eq!(folder(16, &[]), 0);
        assert_eq!(folder(17, &[]), 1);
        assert_eq!(folder(16, &[file("src/hub.rs", "#[cfg(test)] mod tests;"), file("src/hub/tests.rs", "")]), 0);
        assert_eq!(folder(16, &[file("src/hub/deep/one.rs", "")]), 0);
    }

    #[test]
    fn test_that_sleeps_is_found() {
        let test = concat!("fn f() { std::thread::sle", "ep(d) }");
        assert_eq!(of_test(&file("tests/x.rs", test)).len(), 1);
    }

    #[test]
    fn dependency_without_a_reason_is_found() {
        let manifest = |text: &str| of_manifest(&file("Cargo.toml", text)).len();
        assert_eq!(
            manifest("[package]\nname = \"x\"\n[dependencies]\nhttp = \"1\" # names of headers\n# the wire\n"),
            0
        );
        assert_eq!(
            manifest("[dependencies]\nhttp = \"1\"\n[dev-dependencies]\ntempfile = { version = \"3\" } # \n"),
            2
        );
        assert_eq!(manifest("[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n"), 1);
        assert_eq!(manifest("[dependencies.http]\nversion = \"1\" # x\n"), 1);
    }

    #[test]
    fn machine_specific_path_is_found() {
        let text = |text: String| of_text(&file("docs/x.md", text)).len();
        assert_eq!(text("see /usr/share/doc and ./data".to_owned()), 0);
        assert_eq!(text(format!("cd /{}/docrelay", "work")), 1);
        assert_eq!(text(format!("pip install --{}-url x", "index")), 1);
    }
}
