//! The rules that one file can break by itself: how it opens, how long it is, what it is called, and what must not be
//! committed. Knows nothing of layers.

use crate::SourceFile;

/// Longer than this, a file has a seam that nobody has looked for.
const MOST_LINES: usize = 400;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 9] = ["utils", "util", "common", "helpers", "helper", "types", "manager", "service", "misc"];

/// Traces of somebody's machine or network. Each is put together here, so that this file does not hold it.
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
    if lines > MOST_LINES {
        found.push(format!("{}: has {lines} lines, more than {MOST_LINES}: find its seam", file.path));
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
        found.push(format!("{}: a module called `{name}` says nothing: name what it owns", file.path));
    }
    found
}

/// What a test breaks: it waits for the thing itself, not for some time to pass.
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
        traces.map(move |trace| format!("{}:{}: holds `{trace}`, which is a machine's own", file.path, at + 1))
    });
    traced.collect()
}
