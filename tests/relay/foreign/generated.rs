//! A client that openapi-python-client generates from the OpenAPI document: it has every operation, makes a
//! notification and follows the stream.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{PYTHON, python_program};
use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::command::run;
use crate::harness::receiver::Receiver;
use crate::harness::tool::{find_tool, without_proxy};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");

/// Generates the package `docrelay_api` into a directory.
#[track_caller]
fn generate_client(python: &str, directory: &Path) {
    // The generated code needs no formatting.
    let config = directory.join("config.json");
    std::fs::write(&config, json!({"post_hooks": []}).to_string()).expect("written");
    let mut generator = Command::new(Path::new(python).with_file_name("openapi-python-client"));
    generator.args(["generate", "--meta", "none", "--path", DOCUMENT]).arg("--config").arg(config);
    run(without_proxy(&mut generator).arg("--output-path").arg(directory.join("docrelay_api"))).succeeded();
}

/// The names of the generated operations.
#[track_caller]
fn generated_operations(directory: &Path) -> BTreeSet<String> {
    let files = |path: &Path| -> Vec<_> {
        std::fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry").path()).collect()
    };
    let tags = files(&directory.join("docrelay_api/api")).into_iter().filter(|path| path.is_dir());
    let modules = tags.flat_map(|tag| files(&tag));
    let names = modules.map(|module| module.file_stem().expect("a name").to_string_lossy().into_owned());
    names.filter(|name| name != "__init__").collect()
}

/// The `operationId`s of the document in snake case.
#[track_caller]
fn documented_operations() -> BTreeSet<String> {
    let document: Value = serde_json::from_slice(&std::fs::read(DOCUMENT).expect("a document")).expect("JSON");
    let items = document["paths"].as_object().expect("paths").values();
    let ids =
        items.flat_map(|item| item.as_object().expect("an item").values()).filter_map(|o| o["operationId"].as_str());
    let snake_case = |id: &str| {
        let mut name = String::new();
        for c in id.chars() {
            if c.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(c.to_ascii_lowercase());
        }
        name
    };
    ids.map(snake_case).collect()
}

#[test]
fn generated_client_makes_notification_and_follows_stream() {
    let Some(python) = find_tool(PYTHON) else { return };
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    generate_client(&python, directory.path());
    assert_eq!(generated_operations(directory.path()), documented_operations());

    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let receiver = Receiver::ok();
    let mut program = python_program(&python, "generated.py");
    program.env("PYTHONPATH", directory.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    program.env("RELAY", relay.url("")).env("TOKEN", &acme.token).env("ENDPOINT", receiver.url("/"));
    let expected = json!({
        "notification": ["main", "standard", "active", true],
        "hook": ["standard", "standard", "generated"],
        "ticket": true,
        "event": ["job-1", "a.docx", "PENDING"],
        "isSame": true,
        "history": [true],
        "deliveries": [true],
        "listed": ["main"],
        "removed": 200,
    });
    assert_eq!(run(&mut program).json(), expected);
}
