//! The OpenAPI document against the running relay: generated requests find no response that it does not describe, and each
//! address takes the methods that it names.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::command::run_within;
use crate::harness::request::Request;
use crate::harness::response::{stored_event_id, string_at};
use crate::harness::tool::find_tool;

const DOCUMENT: &str = include_str!("../../docs/openapi.json");

/// A Python that has schemathesis; set by `make test`.
const PYTHON: &str = "DOCRELAY_PYTHON";

/// Thousands of requests of a debug build, on a machine that has other things to do.
const TIMEOUT: Duration = Duration::from_secs(240);

/// Has schemathesis send what the document allows, and what it does not allow, and look at every response.
#[track_caller]
fn conforms(python: &str, url: &str, token: &str, configuration: &str, flags: &[&str]) {
    let here =
        tempfile::Builder::new().prefix("openapi-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    std::fs::write(here.path().join("schemathesis.toml"), configuration).expect("a configuration");
    let mut command = Command::new(Path::new(python).with_file_name("schemathesis"));
    command.current_dir(here.path()).arg("run").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json"));
    command.args(["--url", url, "--header", &format!("Authorization: Bearer {token}")]);
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    command.args(["--checks", checks, "--max-examples", "25", "--no-color", "--generation-database", "none"]);
    // The same requests at every run: what fails here fails everywhere.
    command.args(["--seed", "1"]).args(flags);
    for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    let ran = run_within(&mut command, TIMEOUT);
    assert!(ran.status.success(), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("passed"), "{}", ran.stdout);
}

const ADMIN: &str = "^/(livez|readyz|metrics|admin)";

#[test]
fn generated_requests_match_the_openapi_document() {
    let Some(python) = find_tool(PYTHON) else { return };
    // Endpoints that are made up lead nowhere, and need not be waited for.
    let relay = TestRelay::with_config(&[("delivery_timeout", "1s")]);
    let acme = TestClient::new(&relay, "acme");
    let url = relay.url("");
    // The stream never ends; other tests hold it to every byte.
    let flags = ["--exclude-path", "/events/client", "--exclude-path-regex", ADMIN];
    conforms(&python, &url, &acme.token, "", &flags);
}

#[test]
fn generated_requests_for_existing_resources_match_openapi_document() {
    let Some(python) = find_tool(PYTHON) else { return };
    let relay = TestRelay::with_config(&[("delivery_timeout", "1s"), ("allow_private_endpoints", "127.0.0.0/8")]);
    let acme = TestClient::new(&relay, "acme");
    acme.add_default_notification("gini", "http://127.0.0.1:9/hear");
    let hook = acme.add_unverified_hook("standard");
    let body = json!({"type": "document.completed", "data": {"id": "job-1"}}).to_string();
    let event = stored_event_id(&relay.send(&Request::post(&hook.path).json(&body)));
    assert_eq!(relay.send(&Request::post(&hook.path).json("{}")).status, 422);
    let key = hook.path.trim_start_matches("/in/");
    let document = string_at(&acme.documents()[0], "documentId");
    let delivery = string_at(&acme.deliveries("")[0], "id");
    let reject = string_at(&acme.rejects()[0], "id");
    let mut known = format!(
        "[parameters]\n\"path.key\" = \"{key}\"\n\"path.documentId\" = \"{document}\"\n\"path.name\" = \"main\"\n"
    );
    for (paths, id) in [("events", &event), ("hooks", &hook.id), ("deliveries", &delivery), ("rejects", &reject)] {
        known += &format!(
            "[[operations]]\ninclude-path-regex = \"^/{paths}/\"\nparameters = {{ \"path.id\" = \"{id}\" }}\n"
        );
    }
    let flags = [
        "--include-path-regex",
        "\\{",
        "--exclude-path-regex",
        "^/(admin|v1)",
        "--exclude-method",
        "DELETE",
        "--phases",
        "examples,coverage,fuzzing",
    ];
    conforms(&python, &relay.url(""), &acme.token, &known, &flags);
}

#[test]
fn generated_admin_requests_match_the_openapi_document() {
    let Some(python) = find_tool(PYTHON) else { return };
    let relay = TestRelay::start();
    let url = format!("http://{}", relay.admin_listen);
    conforms(&python, &url, &relay.admin_token(), "", &["--include-path-regex", ADMIN]);
}

/// Each path of the document with its methods, and whether it is on the admin address.
fn documented() -> Vec<(String, BTreeSet<String>, bool)> {
    let root: Value = serde_json::from_str(DOCUMENT).expect("JSON");
    let paths = root["paths"].as_object().expect("paths");
    let read = |(path, item): (&String, &Value)| {
        let shared = item["$ref"].as_str().and_then(|r| root.pointer(r.trim_start_matches('#')));
        let item = shared.unwrap_or(item).as_object().expect("an item");
        let methods = item.keys().filter(|key| !["parameters", "servers"].contains(&key.as_str()));
        (path.clone(), methods.map(|m| m.to_uppercase()).collect(), item.contains_key("servers"))
    };
    paths.iter().map(read).collect()
}

#[test]
fn each_route_allows_exactly_the_documented_methods() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("standard");
    let admin_token = relay.admin_token();
    for (path, methods, admin) in documented() {
        // A hook takes the methods of its vendor.
        if path == "/in/{key}" {
            assert_eq!(relay.send(&Request::new("PURGE", &hook.path)).status, 405);
            continue;
        }
        let segments = path.split('/').map(|segment| if segment.starts_with('{') { "1" } else { segment });
        let target = segments.collect::<Vec<_>>().join("/");
        let asked = Request::new("PURGE", &target);
        let response = match admin {
            true => relay.send_admin(&asked.bearer(&admin_token)),
            false => relay.send(&asked.bearer(&acme.token)),
        };
        assert_eq!(response.status, 405, "{path} as {target}: {response:?}");
        let allowed = response.header("allow").expect("methods").split(", ").filter(|m| *m != "OPTIONS");
        assert_eq!(allowed.map(str::to_owned).collect::<BTreeSet<_>>(), methods, "{path}");
    }
}

#[test]
fn openapi_and_asyncapi_documents_are_served_with_etag() {
    let relay = TestRelay::start();
    let asyncapi = include_str!("../../docs/asyncapi.json");
    for (path, document) in [("/openapi.json", DOCUMENT), ("/asyncapi.json", asyncapi)] {
        let response = relay.send(&Request::get(path));
        assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
        assert_eq!(response.text(), document);
        let tag = response.header("etag").expect("a tag");
        let again = relay.send(&Request::get(path).header("If-None-Match", tag));
        assert_eq!((again.status, again.header("etag")), (304, Some(tag)));
    }
}
