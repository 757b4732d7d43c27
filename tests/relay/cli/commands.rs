//! Commands that manage: the same, whether a relay runs and is asked, or none runs and the data is opened.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::command::CommandOutput;
use crate::harness::request::Request;
use crate::harness::response::assert_problem;

/// A vendor, the type of its proof, the secret, further flags for `hook add`, and those for `send` to prove itself so.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str], &'static [&'static str]);

/// Every vendor with every proof it has.
const HOOKS: [Row; 14] = [
    ("ppj", "none", "", &[], &[]),
    ("ppj", "ppj", "kKdBnfSJNnBjex9gczp6P9g2", &[], &["--edition", "b"]),
    ("baidu", "none", "", &["--name", "from baidu"], &[]),
    ("baidu", "baidu", "t0ken", &[], &[]),
    ("zoffice", "none", "", &["--label-cookie", "row"], &[]),
    ("zoffice", "cookie", "row=7; sid=s3cr3t", &["--label-cookie", "row"], &["--proof", "cookie"]),
    ("zoffice", "authorization", "Token s3cr3t", &["--label", "a=1", "--label", "b="], &[]),
    ("gini", "none", "", &[], &[]),
    ("gini", "authorization", "Bearer s3cr3t", &[], &[]),
    ("standard", "none", "", &[], &["--mode", "binary"]),
    ("standard", "standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &[], &["--mode", "webhook"]),
    ("generic", "none", "", &["--mapping", MAPPING], &[]),
    ("generic", "authorization", "s3cr3t", &["--mapping", MAPPING], &["--proof", "authorization"]),
    (
        "generic",
        "hmac-sha256",
        "s3cr3t",
        &["--mapping", MAPPING, "--header", "X-Sig", "--prefix", "sha256=", "--encoding", "base64"],
        &["--signature-header", "X-Sig", "--signature-prefix", "sha256=", "--signature-encoding", "base64"],
    ),
];

const MAPPING: &str = r#"{"vendorId":"/vendorId","status":"/status","title":"/title","errorCode":"/error/code",
    "statuses":{"PENDING":"PENDING","COMPLETED":"COMPLETED","ERROR":"ERROR"}}"#;

fn secret_file(directory: &Path, secret: &str) -> PathBuf {
    let path = directory.join("secret");
    fs::write(&path, format!("{secret}\n")).expect("written");
    path
}

/// Adds all hooks of [`HOOKS`]; returns their paths.
fn add_hooks(relay: &TestRelay, client: &str) -> Vec<String> {
    let home = tempfile::tempdir().expect("a directory");
    let add = |(vendor, verify, secret, flags, _): &Row| {
        let file = secret_file(home.path(), secret);
        let mut words = vec!["--verify", verify];
        if !secret.is_empty() {
            words.extend(["--secret-file", file.to_str().expect("text")]);
        }
        words.extend(*flags);
        let hook = relay.add_hook(client, vendor, &words);
        assert_eq!([&hook.json["vendor"], &hook.json["verify"]["type"]], [vendor, verify], "{}", hook.json);
        let shown = hook.json.to_string();
        assert!(secret.is_empty() || !shown.contains(secret), "{shown}");
        hook.path
    };
    HOOKS.iter().map(add).collect()
}

#[test]
fn add_commands_work_online_and_offline() {
    let mut relay = TestRelay::start();
    let running = relay.add_client("running");
    let asked = add_hooks(&relay, "running");
    relay.stop();
    let stopped = relay.add_client("stopped");
    assert_eq!((running.id.as_str(), stopped.id.as_str()), ("running", "stopped"));
    let opened = add_hooks(&relay, "stopped");
    let tokens = ["running", "stopped"].map(|client| relay.token(client));
    relay.restart();
    for ((token, hooks), client) in tokens.iter().zip([&asked, &opened]).zip(["running", "stopped"]) {
        let listed = relay.send(&Request::get("/hooks").bearer(token)).json();
        let urls: Vec<_> = listed["hooks"].as_array().expect("a list").iter().map(|h| h["url"].to_string()).collect();
        assert_eq!(urls.len(), HOOKS.len());
        assert!(urls.iter().zip(hooks).all(|(url, path)| url.contains(path)), "in the order they were made");
        let labels = &listed["hooks"][6]["labels"];
        assert_eq!((labels, &listed["hooks"][2]["name"]), (&json!({"a": "1", "b": ""}), &json!("from baidu")));
        let again = relay.token(client);
        assert_eq!(relay.send(&Request::get("/documents").bearer(&again)).status, 200);
    }
    for new in [running, stopped] {
        let form = format!("grant_type=client_credentials&client_id={}&client_secret={}", new.id, new.secret);
        assert_eq!(relay.send(&Request::post("/oauth/token").form(&form)).status, 200);
    }
}

#[test]
fn add_command_errors_are_equal_online_and_offline() {
    let mut relay = TestRelay::start();
    relay.add_client("acme");
    let mut told: Vec<Vec<String>> = Vec::new();
    for stopped in [false, true] {
        if stopped {
            relay.stop();
        }
        let wrong: [&[&str]; 6] = [
            &["client", "add", "acme"],
            &["token", "--client", "nobody"],
            &["hook", "add", "--client", "nobody", "--vendor", "ppj"],
            &["hook", "add", "--client", "acme", "--vendor", "generic"],
            &["hook", "add", "--client", "acme", "--vendor", "ppj", "--label-cookie", "a"],
            &["hook", "add", "--client", "acme", "--vendor", "ppj", "--verify", "ppj"],
        ];
        let sentence = |words: &&[&str]| {
            let CommandOutput { status, stdout, stderr } = relay.cli(words);
            assert_eq!(
                (status.code(), stdout.as_str(), stderr.lines().count()),
                (Some(1), "", 1),
                "{words:?} {stderr}"
            );
            stderr
        };
        told.push(wrong.iter().map(sentence).collect());
    }
    assert_eq!(told[0], told[1]);
    assert!(told[0][1].contains("docrelay client add nobody") && told[0][2] == told[0][1], "{told:?}");
    let asked_wrongly: [&[&str]; 4] = [
        &["client", "add", "a b"],
        &["token"],
        &["token", "--client", "acme", "--ttl", "0s"],
        &["hook", "add", "--client", "acme", "--vendor", "acme"],
    ];
    for words in asked_wrongly {
        assert_eq!(relay.cli(words).status.code(), Some(2), "{words:?}");
    }
}

#[test]
fn token_command_honours_scope_and_ttl() {
    let relay = TestRelay::start();
    relay.add_client("acme");
    let ran = relay.cli(&["token", "--client", "acme", "--scope", "events", "--ttl", "1s"]).succeeded();
    assert_eq!((ran.stdout.lines().count(), ran.stderr.as_str()), (1, ""), "alone on stdout");
    let token = ran.stdout.trim();
    assert_problem(&relay.send(&Request::get("/hooks").bearer(token)), 403);
    let mut follower = relay.follow(token);
    assert_eq!(follower.next_event().data, "auth_failed", "it expires while it follows");
    assert_problem(&relay.send(&Request::get("/documents").bearer(token)), 401);
}

#[test]
fn send_command_signs_for_every_vendor() {
    let relay = TestRelay::start();
    relay.add_client("acme");
    let token = relay.token("acme");
    let home = tempfile::tempdir().expect("a directory");
    let hooks = add_hooks(&relay, "acme");
    let (mut expected, url) = (Vec::new(), |path: &str| format!("http://{}{path}", relay.listen));
    for ((vendor, verify, secret, _, flags), path) in HOOKS.iter().zip(&hooks) {
        let file = secret_file(home.path(), secret);
        let proof = ["--secret-file", file.to_str().expect("text")];
        let proof: &[&str] = if secret.is_empty() { &[] } else { &proof };
        let url = url(path);
        for (status, more) in [("completed", &["--title", "a b.docx"][..]), ("error", &["--error-code", "2"])] {
            let words = [&["send", vendor, &url, "--status", status], more, proof, flags].concat();
            let ran = relay.cli_without_data(&words).succeeded();
            assert!(ran.stdout.starts_with("HTTP/1.1 200 OK\n{}"), "{ran:?}");
            expected.push((*vendor, status.to_uppercase()));
        }
        if !secret.is_empty() {
            let unproven = relay.cli_without_data(&["send", vendor, &url, "--proof", "none"]);
            assert_eq!(unproven.status.code(), Some(1), "{vendor} {verify}");
            assert!(unproven.stdout.contains("401"), "{unproven:?}");
            assert!(!format!("{unproven:?}").contains(path), "the key is not repeated");
        }
        if *vendor == "ppj" {
            let edition: &[&str] = if secret.is_empty() { &["--edition", "0"] } else { &["--edition", "a"] };
            let ran =
                relay.cli_without_data(&[&["send", "ppj", &url, "--verify"], edition, proof].concat()).succeeded();
            assert!(ran.stderr.contains("the nonce came back"), "{ran:?}");
        }
    }
    let events = relay.follow_from(&token, "earliest").events(expected.len());
    let told: Vec<_> = events.iter().map(|e| e.json()).collect();
    for (json, (vendor, status)) in told.iter().zip(expected) {
        assert_eq!([&json["vendor"], &json["status"]], [&json!(vendor), &json!(status)]);
    }
    assert_eq!(told[10]["labels"], json!({"row": "7"}));
    let nobody = relay.cli_without_data(&["send", "ppj", &url("/in/nobody")]);
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
}
