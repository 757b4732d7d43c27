//! The OpenAPI document and the running relay: generated requests get only documented responses, and each route allows
//! exactly the documented methods.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::command::{run, run_within};
use crate::harness::request::Request;
use crate::harness::response::{stored_event_id, string_at};
use crate::harness::tool::{find_tool, without_proxy};

const DOCUMENT: &str = include_str!("../../docs/openapi.json");

/// A Python that has schemathesis; set by `make test`.
const PYTHON: &str = "DOCRELAY_PYTHON";

/// For thousands of requests to a debug build on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(240);

/// A run of schemathesis, which generates valid and invalid requests and checks each response against the document.
struct Schemathesis<'a> {
    python: &'a str,
    url: &'a str,
    token: &'a str,
    /// The content of `schemathesis.toml`.
    config: &'a str,
    flags: &'a [&'a str],
}

impl Schemathesis<'_> {
    #[track_caller]
    fn assert_conformance(&self) {
        let directory = tempfile::Builder::new().prefix("openapi-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let directory = directory.expect("a directory");
        std::fs::write(directory.path().join("schemathesis.toml"), self.config).expect("a configuration");
        let mut command = Command::new(Path::new(self.python).with_file_name("schemathesis"));
        command.current_dir(directory.path()).arg("run");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json"));
        command.args(["--url", self.url, "--header", &format!("Authorization: Bearer {}", self.token)]);
        let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
        command.args(["--checks", checks, "--max-examples", "25", "--no-color", "--generation-database", "none"]);
        // A fixed seed makes every run send the same requests.
        command.args(["--seed", "1"]).args(self.flags);
        let output = run_within(without_proxy(&mut command), TIMEOUT);
        assert!(
            output.status.success(),
            "{}
{}",
            output.stdout,
            output.stderr
        );
        assert!(output.stdout.contains("passed"), "{}", output.stdout);
    }
}

const ADMIN: &str = "^/(livez|readyz|metrics|admin)";

#[test]
fn generated_requests_match_the_openapi_document() {
    let Some(python) = find_tool(PYTHON) else { return };
    // Generated endpoints do not exist; the timeout keeps attempts short.
    let relay = TestRelay::with_config(&[("delivery_timeout", "1s")]);
    let acme = TestClient::new(&relay, "acme");
    let url = relay.url("");
    // A stream does not end, and has its own tests.
    let flags = ["--exclude-path", "/events/client", "--exclude-path-regex", ADMIN];
    Schemathesis { python: &python, url: &url, token: &acme.token, config: "", flags: &flags }.assert_conformance();
}

#[test]
fn generated_requests_for_existing_resources_match_openapi_document() {
    let Some(python) = find_tool(PYTHON) else { return };
    let relay = TestRelay::with_config(&[("delivery_timeout", "1s"), ("allow_private_endpoints", "127.0.0.0/8")]);
    let acme = TestClient::new(&relay, "acme");
    acme.add_default_notification("gini", "http://127.0.0.1:9/notify");
    let hook = acme.add_unverified_hook("standard");
    let body = json!({"type": "document.completed", "data": {"id": "job-1"}}).to_string();
    let event = stored_event_id(&relay.send(&Request::post(&hook.path).json(&body)));
    assert_eq!(relay.send(&Request::post(&hook.path).json("{}")).status, 422);
    let key = hook.path.trim_start_matches("/in/");
    let document = string_at(&acme.documents()[0], "documentId");
    let delivery = string_at(&acme.deliveries("")[0], "id");
    let reject = string_at(&acme.rejects()[0], "id");
    let mut config = format!(
        "[parameters]\n\"path.key\" = \"{key}\"\n\"path.documentId\" = \"{document}\"\n\"path.name\" = \"main\"\n"
    );
    for (paths, id) in [("events", &event), ("hooks", &hook.id), ("deliveries", &delivery), ("rejects", &reject)] {
        config += &format!(
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
    let url = relay.url("");
    Schemathesis { python: &python, url: &url, token: &acme.token, config: &config, flags: &flags }
        .assert_conformance();
}

#[test]
fn generated_admin_requests_match_the_openapi_document() {
    let Some(python) = find_tool(PYTHON) else { return };
    let relay = TestRelay::start();
    let url = format!("http://{}", relay.admin_listen);
    let token = relay.admin_token();
    let flags = ["--include-path-regex", ADMIN];
    Schemathesis { python: &python, url: &url, token: &token, config: "", flags: &flags }.assert_conformance();
}

/// Checks each pair of a schema's pointer and an instance, and prints the errors.
const VALIDATE: &str = "
import json, sys
from jsonschema import Draft202012Validator
with open(sys.argv[1]) as file:
    document = json.load(file)
for pointer, instance in json.loads(sys.argv[2]):
    schema = document | {'$ref': '#' + pointer}
    for error in Draft202012Validator(schema).iter_errors(instance):
        print(pointer, error.message)
";

#[test]
fn accepted_values_match_the_openapi_schemas() {
    let Some(python) = find_tool(PYTHON) else { return };
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("standard").path;
    // Serializers write attributes that are not set as null.
    let event = r#"{"specversion":"1.0","id":"1","source":"/","type":"a.done","subject":null,"data":{"id":"job-1"},"data_base64":null}"#;
    let request = Request::post(&hook).header("Content-Type", "application/cloudevents+json").body(event);
    stored_event_id(&relay.send(&request));
    for cursor in ["", &u64::MAX.to_string()] {
        assert_eq!(acme.get(&format!("/documents?cursor={cursor}")).status, 200);
    }
    let event: Value = serde_json::from_str(event).expect("JSON");
    let cursor = "/components/parameters/Cursor/schema";
    let accepted = json!([["/components/schemas/CloudEvent", event], [cursor, ""], [cursor, u64::MAX.to_string()]]);
    let mut validator = Command::new(python);
    // An argument of a command has at most 128 KiB.
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    validator.args(["-c", VALIDATE, document, &accepted.to_string()]);
    assert_eq!(run(&mut validator).succeeded().stdout, "");
}

/// A path of the document.
struct Route {
    path: String,
    methods: BTreeSet<String>,
    on_admin_address: bool,
}

fn documented_routes() -> Vec<Route> {
    let root: Value = serde_json::from_str(DOCUMENT).expect("JSON");
    let paths = root["paths"].as_object().expect("paths");
    let read = |(path, item): (&String, &Value)| {
        let shared = item["$ref"].as_str().and_then(|r| root.pointer(r.trim_start_matches('#')));
        let item = shared.unwrap_or(item).as_object().expect("an item");
        let methods = item.keys().filter(|key| !["parameters", "servers"].contains(&key.as_str()));
        Route {
            path: path.clone(),
            methods: methods.map(|m| m.to_uppercase()).collect(),
            on_admin_address: item.contains_key("servers"),
        }
    };
    paths.iter().map(read).collect()
}

#[test]
fn each_route_allows_exactly_the_documented_methods() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("standard");
    let admin_token = relay.admin_token();
    for Route { path, methods, on_admin_address } in documented_routes() {
        // The methods of a hook depend on its vendor.
        if path == "/in/{key}" {
            assert_eq!(relay.send(&Request::new("PURGE", &hook.path)).status, 405);
            continue;
        }
        let segments = path.split('/').map(|segment| if segment.starts_with('{') { "1" } else { segment });
        let target = segments.collect::<Vec<_>>().join("/");
        let request = Request::new("PURGE", &target);
        let response = match on_admin_address {
            true => relay.send_admin(&request.bearer(&admin_token)),
            false => relay.send(&request.bearer(&acme.token)),
        };
        assert_eq!(response.status, 405, "{path} as {target}: {response:?}");
        let allowed = response.header("allow").expect("methods").split(", ").filter(|m| *m != "OPTIONS");
        // `info` of the document says once for all operations that HEAD is allowed wherever GET is.
        let head = methods.contains("GET").then(|| "HEAD".to_owned());
        let documented: BTreeSet<_> = methods.into_iter().chain(head).collect();
        assert_eq!(allowed.map(str::to_owned).collect::<BTreeSet<_>>(), documented, "{path}");
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
