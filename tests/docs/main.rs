//! Compares the documents with the code: generated tables, paths, tests, routes, commands and options. With
//! `UPDATE_DOCS=1` the generated tables are written instead of compared.

#![allow(clippy::expect_used, reason = "a document that cannot be read is a failed test")]

// The tests of the build script run here: Cargo runs none in a build script itself.
#[path = "../../build/document.rs"]
mod document;
#[path = "../../build/openapi.rs"]
mod openapi;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::Command;

const REFERENCE: &str = "docs/REFERENCE.md";
const OPENAPI: &str = "docs/openapi.json";
const ASYNCAPI: &str = "docs/asyncapi.json";
const DOCUMENTS: [&str; 9] = [
    "README.md",
    "CHANGELOG.md",
    "docs/ARCHITECTURE.md",
    "docs/CLUSTER.md",
    "docs/GLOSSARY.md",
    "docs/GUIDES.md",
    "docs/PERFORMANCE.md",
    "docs/SECURITY.md",
    REFERENCE,
];

/// Directories of the repository: text in code marks that begins with one of them is a path.
const DIRECTORIES: [&str; 8] = ["src/", "tests/", "docs/", "static/", "tools/", "build/", ".ci/", ".cargo/"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

/// The text of a generated section.
#[track_caller]
fn section<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("<!-- generated: {name} -->\n")).expect(name);
    rest.split_once("<!-- end -->").expect(name).0
}

#[track_caller]
fn assert_generated(name: &str, generated: &str) {
    let text = read(REFERENCE);
    let written = section(&text, name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let (mark, end) = (format!("<!-- generated: {name} -->\n"), "<!-- end -->");
        let text = text.replace(&format!("{mark}{written}{end}"), &format!("{mark}{generated}{end}"));
        std::fs::write(root().join(REFERENCE), text).expect("written");
        return;
    }
    assert!(written == generated, "{REFERENCE}: {name} differs from the code: UPDATE_DOCS=1 cargo test --test docs");
}

// Rule 33: documented values are those of the code.
#[test]
fn reference_tables_match_the_code() {
    // In one test, because both may write the same file.
    assert_generated("routes", &docrelay::http::reference());
    assert_generated("configuration", &docrelay::config::reference());
    assert_generated("metrics", &docrelay::metrics::reference());
    assert_generated("labels", &docrelay::metrics::label_reference());
}

/// The text in code marks, without fenced blocks.
fn code_marks(text: &str) -> Vec<String> {
    let mut fenced = false;
    let prose = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    });
    prose.flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The targets of links within the repository.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let targets = targets.map(|(target, _)| target).filter(|target| !target.contains("://"));
    targets.map(str::to_owned).collect()
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

#[test]
fn documented_paths_and_links_exist() {
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        let text = read(document);
        let beside = Path::new(document).parent().expect("a directory");
        for link in links(&text) {
            let (file, part) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { document.into() } else { beside.join(file) };
            // An image is not UTF-8.
            let Ok(linked) = std::fs::read(root().join(&target)).map(|b| String::from_utf8_lossy(&b).into_owned())
            else {
                missing.push(format!("{document}: the link {link}"));
                continue;
            };
            let headings = linked.lines().filter(|line| line.starts_with('#'));
            if !part.is_empty() && !headings.map(|h| anchor(h.trim_start_matches('#'))).any(|a| a == part) {
                missing.push(format!("{document}: the heading of {link}"));
            }
        }
        for mark in code_marks(&text) {
            // `src/ingest.rs:40` and `tests/source_tree/main.rs::name` refer to the file.
            let path = mark.split([':', ' ', '*']).next().unwrap_or_default();
            if DIRECTORIES.iter().any(|d| path.starts_with(d)) && !root().join(path).exists() {
                missing.push(format!("{document}: the path {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

#[test]
fn tests_named_in_documents_exist() {
    let mut sources = String::new();
    let listed = Command::new("git").args(["ls-files", "src", "tests"]).current_dir(root()).output().expect("git");
    for path in String::from_utf8_lossy(&listed.stdout).lines().filter(|path| path.ends_with(".rs")) {
        sources += &read(path);
    }
    // A name of at least four words is the name of a test or of a setting.
    let is_name = |mark: &String| mark.matches('_').count() >= 3 && !mark.contains(['/', ':', ' ', '(']);
    for document in ["docs/ARCHITECTURE.md", "docs/SECURITY.md"] {
        let names: Vec<_> = code_marks(&read(document)).into_iter().filter(is_name).collect();
        assert!(names.len() > 10, "{document} names the tests of its invariants");
        let gone: Vec<_> = names.iter().filter(|name| !sources.contains(name.as_str())).collect();
        assert!(gone.is_empty(), "{document}: no such test: {gone:?}");
    }
}

/// The rows of the table of bounds, without its head and the rows that begin a group.
fn bounds(reference: &str) -> Vec<Vec<String>> {
    let (_, chapter) = reference.split_once("\n## Bounds\n").expect("a chapter on bounds");
    let chapter = chapter.split("\n## ").next().expect("the chapter");
    let rows = chapter.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|')).skip(1);
    let cells = rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>());
    cells.filter(|cells| !cells[0].starts_with("**")).collect()
}

/// Whether a configuration key limits something, by the parts of its name.
fn is_bound(key: &str) -> bool {
    let parts = ["max", "timeout", "bytes", "age", "rate", "concurrency", "grace", "ttl"];
    key.ends_with("_per_client") || key.split('_').any(|part| parts.contains(&part))
}

// Rule 33: documented values are those of the code.
#[test]
fn bounds_match_configuration_and_metrics() {
    use docrelay::config::{DefaultValue, KEYS};
    use docrelay::metrics::{ExpositionFormat, IngestOutcome, Label, Metrics};

    let reference = read(REFERENCE);
    let rows = bounds(&reference);
    assert!(rows.len() > 50, "{} rows", rows.len());
    let keys_of = |row: &[String]| -> Vec<String> {
        // Text in code marks that is written like a key; the others are keys of JSON.
        code_marks(&row[0])
            .into_iter()
            .filter(|mark| mark.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
            .collect()
    };
    let mut wrong = Vec::new();
    for row in &rows {
        assert_eq!(row.len(), 4, "{row:?}");
        let names_metric = code_marks(&row[3]).iter().any(|mark| mark.starts_with("docrelay_"));
        if !names_metric && row[3].strip_prefix("none: ").is_none_or(str::is_empty) {
            wrong.push(format!("{}: no metric, and no reason as in \"none: …\"", row[0]));
        }
        for mark in keys_of(row) {
            match KEYS.iter().find(|key| key.name == mark) {
                Some(key) => {
                    if let DefaultValue::Is(value) = key.default
                        && !row[1].contains(&format!("`{value}`"))
                    {
                        wrong.push(format!("the default of {mark} is {value}"));
                    }
                }
                // Keys of JSON that limit one object.
                None if ["secret", "statuses", "header", "prefix", "standard"].contains(&mark.as_str()) => {}
                None => wrong.push(format!("there is no configuration key {mark}")),
            }
        }
    }
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| keys_of(row)).collect();
    let missing = KEYS.iter().filter(|key| is_bound(key.name) && !listed.contains(key.name));
    wrong.extend(missing.map(|key| format!("the configuration key {} is missing", key.name)));

    let metrics = Metrics::new("");
    let exported = metrics.render(ExpositionFormat::Text);
    for mark in rows.iter().flat_map(|row| code_marks(&row[3])) {
        let (name, labels) = mark.split_once('{').map_or((mark.as_str(), ""), |(name, labels)| (name, labels));
        let value = labels.split('"').nth(1).unwrap_or_default();
        let exists = metrics.entries().iter().any(|entry| entry.name == name)
            && match name {
                // Exported for a label only after its first use.
                "docrelay_events_in_total" => IngestOutcome::ALL.iter().any(|outcome| outcome.as_str() == value),
                "docrelay_http_responses_total" => value.parse::<u16>().is_ok(),
                _ => labels.is_empty() || exported.contains(&mark),
            };
        if !exists {
            wrong.push(format!("there is no metric {mark}"));
        }
    }
    assert!(wrong.is_empty(), "{REFERENCE}, bounds:\n{}", wrong.join("\n"));
}

#[track_caller]
fn json(path: &str) -> serde_json::Value {
    serde_json::from_str(&read(path)).expect(path)
}

/// The HTTP methods as keys of a path item.
const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

/// A path item of the OpenAPI document, references followed.
fn path_item<'a>(root: &'a serde_json::Value, item: &'a serde_json::Value) -> &'a serde_json::Value {
    let target = item["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    target.map_or(item, |pointer| root.pointer(pointer).expect(pointer))
}

#[test]
fn openapi_operations_match_the_routes() {
    let root = json(OPENAPI);
    let mut described = BTreeSet::new();
    for (path, item) in root["paths"].as_object().expect("paths") {
        let item = path_item(&root, item).as_object().expect(path);
        let methods = item.keys().filter(|key| METHODS.contains(&key.as_str()));
        described.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let routed: BTreeSet<String> = docrelay::http::routes()
        .iter()
        .flat_map(|route| route.methods.iter().map(|method| format!("{method} {}", route.path)))
        // The response to a preflight request is the same everywhere.
        .filter(|operation| operation != "OPTIONS /events/client")
        .collect();
    let missing: Vec<_> = routed.difference(&described).collect();
    assert!(missing.is_empty(), "{OPENAPI} does not list {missing:?}");
    let invented: Vec<_> = described.difference(&routed).collect();
    assert!(invented.is_empty(), "{OPENAPI} lists {invented:?}, which have no route");
}

/// A parameter, references followed, as generators of clients name it: without case and punctuation.
#[track_caller]
fn parameter_identifier(root: &serde_json::Value, parameter: &serde_json::Value) -> String {
    let name = path_item(root, parameter)["name"].as_str().expect("a name");
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[test]
fn openapi_operations_have_unique_ids_and_parameter_identifiers() {
    let root = json(OPENAPI);
    let (mut ids, mut found) = (BTreeSet::new(), Vec::new());
    for (path, item) in root["paths"].as_object().expect("paths") {
        // Generators of clients skip an item that is only a reference.
        if item.get("$ref").is_some() {
            found.push(format!("{path}: is a reference"));
        }
        let item = path_item(&root, item);
        for (method, operation) in
            item.as_object().expect(path).iter().filter(|(key, _)| METHODS.contains(&key.as_str()))
        {
            if !operation["operationId"].as_str().is_some_and(|id| ids.insert(id.to_owned())) {
                found.push(format!("{method} {path}: the operationId is missing or used twice"));
            }
            let parameters = [item, operation].into_iter().flat_map(|level| level["parameters"].as_array()).flatten();
            let mut identifiers = BTreeSet::new();
            let repeated =
                parameters.map(|p| parameter_identifier(&root, p)).filter(|id| !identifiers.insert(id.clone()));
            found.extend(repeated.map(|id| format!("{method} {path}: two parameters become {id}")));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn openapi_document_is_valid() {
    const PYTHON: &str = "DOCRELAY_PYTHON";
    let Some(python) = std::env::var_os(PYTHON).filter(|python| !python.is_empty()) else {
        assert!(std::env::var_os("CI").is_none(), "{PYTHON} is not set, and CI requires it");
        writeln!(std::io::stderr(), "SKIPPED: {PYTHON} is not set: make test finds or installs it").ok();
        return;
    };
    let script = "import json, sys; from openapi_spec_validator import OpenAPIV31SpecValidator as V; \
                  V(json.load(open(sys.argv[1]))).validate()";
    let ran = Command::new(python).args(["-c", script]).arg(root().join(OPENAPI)).output().expect("a Python");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn openapi_and_asyncapi_agree_on_event_and_version() {
    let (openapi, asyncapi) = (json(OPENAPI), json(ASYNCAPI));
    for document in [&openapi, &asyncapi] {
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
    for name in ["Event", "DocumentId", "Status", "Vendor", "VendorId", "Failure", "EventId"] {
        let pointer = format!("/components/schemas/{name}");
        assert!(openapi.pointer(&pointer).is_some(), "{name}");
        assert_eq!(openapi.pointer(&pointer), asyncapi.pointer(&pointer), "{name}");
    }
}

/// The help text of a command.
#[track_caller]
fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_docrelay")).args(words).arg("--help").output().expect("the program");
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn subcommands(help: &str) -> Vec<String> {
    let Some((_, rest)) = help.split_once("Commands:\n") else { return Vec::new() };
    let lines = rest.lines().take_while(|line| !line.is_empty());
    // A name is indented by two spaces, a continued description by more.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|n| *n != "help").map(str::to_owned).collect()
}

/// Every command without subcommands: `client add`, not `client`.
fn commands(before: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for name in subcommands(&help(before)) {
        let words: Vec<&str> = before.iter().copied().chain([name.as_str()]).collect();
        let below = commands(&words);
        if below.is_empty() {
            found.insert(words.join(" "));
        }
        found.extend(below);
    }
    found
}

/// The options in a text, with `--`.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.filter(|w| w.starts_with("--") && w.len() > 2).map(str::to_owned).collect()
}

#[test]
fn reference_matches_every_command_and_option() {
    let reference = read(REFERENCE);
    let (_, cli) = reference.split_once("\n## Commands\n").expect("a chapter on commands");
    let cli = cli.split("\n## ").next().expect("the chapter");
    let sections: Vec<(&str, &str)> =
        cli.split("\n### `docrelay ").skip(1).filter_map(|s| s.split_once("`\n")).collect();
    let named: BTreeSet<String> = sections.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named, commands(&[]), "commands of {REFERENCE} and of the program");

    let serve = options(&help(&["serve"]));
    for (name, text) in sections {
        let words: Vec<&str> = name.split(' ').collect();
        let mut has = options(&help(&words));
        has.remove("--help");
        let mut listed = options(text);
        if name != "serve" {
            // The options of the configuration are listed once, with `serve`.
            has.retain(|option| !serve.contains(option));
            listed.retain(|option| !serve.contains(option));
        }
        // A section may name an option of another command; it names all of its own.
        let missing: Vec<_> = has.difference(&listed).collect();
        assert!(missing.is_empty(), "{REFERENCE}, docrelay {name}: {missing:?}");
        let invented: Vec<_> = listed.iter().filter(|o| !has.contains(*o) && !serve.contains(*o)).collect();
        assert!(invented.is_empty(), "{REFERENCE}, docrelay {name} has no {invented:?}");
    }
}
