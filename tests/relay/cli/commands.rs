//! Management commands: online they call the running relay, offline they open its data. Both have the same effect.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::command::{CommandOutput, docrelay, run};
use crate::harness::request::Request;
use crate::harness::response::assert_problem;

/// A hook, and the flags with which `send` passes its verification.
struct HookCase {
    vendor: &'static str,
    /// The type of verification.
    verify: &'static str,
    /// Empty without verification.
    secret: &'static str,
    add_flags: &'static [&'static str],
    send_flags: &'static [&'static str],
}

/// A hook without verification.
const UNVERIFIED: HookCase = HookCase { vendor: "", verify: "none", secret: "", add_flags: &[], send_flags: &[] };

/// Every vendor with every type of verification that it supports.
const HOOKS: [HookCase; 14] = [
    HookCase { vendor: "ppj", ..UNVERIFIED },
    HookCase {
        vendor: "ppj",
        verify: "ppj",
        secret: "kKdBnfSJNnBjex9gczp6P9g2",
        send_flags: &["--edition", "b"],
        ..UNVERIFIED
    },
    HookCase { vendor: "baidu", add_flags: &["--name", "from baidu"], ..UNVERIFIED },
    HookCase { vendor: "baidu", verify: "baidu", secret: "t0ken", ..UNVERIFIED },
    HookCase { vendor: "zoffice", add_flags: &["--label-cookie", "row"], ..UNVERIFIED },
    HookCase {
        vendor: "zoffice",
        verify: "cookie",
        secret: "row=7; sid=s3cr3t",
        add_flags: &["--label-cookie", "row"],
        send_flags: &["--verify", "cookie"],
    },
    HookCase {
        vendor: "zoffice",
        verify: "authorization",
        secret: "Token s3cr3t",
        add_flags: &["--label", "a=1", "--label", "b="],
        ..UNVERIFIED
    },
    HookCase { vendor: "gini", ..UNVERIFIED },
    HookCase { vendor: "gini", verify: "authorization", secret: "Bearer s3cr3t", ..UNVERIFIED },
    HookCase { vendor: "standard", send_flags: &["--mode", "binary"], ..UNVERIFIED },
    HookCase {
        vendor: "standard",
        verify: "standard",
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        send_flags: &["--mode", "webhook"],
        ..UNVERIFIED
    },
    HookCase { vendor: "generic", add_flags: &["--mapping", MAPPING], ..UNVERIFIED },
    HookCase {
        vendor: "generic",
        verify: "authorization",
        secret: "s3cr3t",
        add_flags: &["--mapping", MAPPING],
        send_flags: &["--verify", "authorization"],
    },
    HookCase {
        vendor: "generic",
        verify: "hmac-sha256",
        secret: "s3cr3t",
        add_flags: &["--mapping", MAPPING, "--header", "X-Sig", "--prefix", "sha256=", "--encoding", "base64"],
        send_flags: &["--signature-header", "X-Sig", "--signature-prefix", "sha256=", "--signature-encoding", "base64"],
    },
];

const MAPPING: &str = r#"{"vendorId":"/vendorId","status":"/status","title":"/title","errorCode":"/error/code",
    "statuses":{"PENDING":"PENDING","COMPLETED":"COMPLETED","ERROR":"ERROR"}}"#;

fn secret_file(directory: &Path, secret: &str) -> PathBuf {
    let path = directory.join("secret");
    fs::write(&path, format!("{secret}\n")).expect("written");
    path
}

/// Adds all hooks of [`HOOKS`]. Returns their paths.
fn add_hooks(relay: &TestRelay, client: &str) -> Vec<String> {
    let home = tempfile::tempdir().expect("a directory");
    let add = |case: &HookCase| {
        let file = secret_file(home.path(), case.secret);
        let mut flags = vec!["--verify", case.verify];
        if !case.secret.is_empty() {
            flags.extend(["--secret-file", file.to_str().expect("text")]);
        }
        flags.extend(case.add_flags);
        let hook = relay.add_hook(client, case.vendor, &flags);
        assert_eq!([&hook.json["vendor"], &hook.json["verify"]["type"]], [case.vendor, case.verify], "{}", hook.json);
        let shown = hook.json.to_string();
        assert!(case.secret.is_empty() || !shown.contains(case.secret), "{shown}");
        hook.path
    };
    HOOKS.iter().map(add).collect()
}

#[test]
fn add_commands_work_online_and_offline() {
    let mut relay = TestRelay::start();
    let online = relay.add_client("online");
    let online_hooks = add_hooks(&relay, "online");
    relay.stop();
    let offline = relay.add_client("offline");
    assert_eq!((online.id.as_str(), offline.id.as_str()), ("online", "offline"));
    let offline_hooks = add_hooks(&relay, "offline");
    let tokens = ["online", "offline"].map(|client| relay.token(client));
    relay.restart();
    for ((token, hooks), client) in tokens.iter().zip([&online_hooks, &offline_hooks]).zip(["online", "offline"]) {
        let listed = relay.send(&Request::get("/hooks").bearer(token)).json();
        let urls: Vec<_> = listed["hooks"].as_array().expect("a list").iter().map(|h| h["url"].to_string()).collect();
        assert_eq!(urls.len(), HOOKS.len());
        assert!(urls.iter().zip(hooks).all(|(url, path)| url.contains(path)), "in the order of their creation");
        let labels = &listed["hooks"][6]["labels"];
        assert_eq!((labels, &listed["hooks"][2]["name"]), (&json!({"a": "1", "b": ""}), &json!("from baidu")));
        let second = relay.token(client);
        assert_eq!(relay.send(&Request::get("/documents").bearer(&second)).status, 200);
    }
    for new in [online, offline] {
        let form = format!("grant_type=client_credentials&client_id={}&client_secret={}", new.id, new.secret);
        assert_eq!(relay.send(&Request::post("/oauth/token").form(&form)).status, 200);
    }
}

#[test]
fn add_command_errors_are_equal_online_and_offline() {
    let mut relay = TestRelay::start();
    relay.add_client("acme");
    let mut errors: Vec<Vec<String>> = Vec::new();
    for offline in [false, true] {
        if offline {
            relay.stop();
        }
        let wrong: [&[&str]; 6] = [
            &["client", "add", "acme"],
            &["token", "--client", "unknown"],
            &["hook", "add", "--client", "unknown", "--vendor", "ppj"],
            &["hook", "add", "--client", "acme", "--vendor", "generic"],
            &["hook", "add", "--client", "acme", "--vendor", "ppj", "--label-cookie", "a"],
            &["hook", "add", "--client", "acme", "--vendor", "ppj", "--verify", "ppj"],
        ];
        let error = |arguments: &&[&str]| {
            let CommandOutput { status, stdout, stderr } = relay.cli(arguments);
            assert_eq!(
                (status.code(), stdout.as_str(), stderr.lines().count()),
                (Some(1), "", 1),
                "{arguments:?} {stderr}"
            );
            stderr
        };
        errors.push(wrong.iter().map(error).collect());
    }
    assert_eq!(errors[0], errors[1]);
    assert!(errors[0][1].contains("docrelay client add unknown") && errors[0][2] == errors[0][1], "{errors:?}");
    let usage_errors: [&[&str]; 4] = [
        &["client", "add", "a b"],
        &["token"],
        &["token", "--client", "acme", "--ttl", "0s"],
        &["hook", "add", "--client", "acme", "--vendor", "acme"],
    ];
    for arguments in usage_errors {
        assert_eq!(relay.cli(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn token_command_honours_scope_and_ttl() {
    let relay = TestRelay::start();
    relay.add_client("acme");
    let output = relay.cli(&["token", "--client", "acme", "--scope", "events", "--ttl", "1s"]).succeeded();
    assert_eq!(
        (output.stdout.lines().count(), output.stderr.as_str()),
        (1, ""),
        "standard output holds the token alone"
    );
    let token = output.stdout.trim();
    let mut follower = relay.follow(token);
    assert_eq!(follower.next_event().data, "auth_failed", "the token expires while the stream is open");
    assert_problem(&relay.send(&Request::get("/documents").bearer(token)), 401);
    let valid = relay.token_with_scope("acme", "events");
    assert_eq!(relay.send(&Request::get("/documents").bearer(&valid)).status, 200);
    assert_problem(&relay.send(&Request::get("/hooks").bearer(&valid)), 403);
}

#[test]
fn send_command_signs_for_every_vendor() {
    let relay = TestRelay::start();
    relay.add_client("acme");
    let token = relay.token("acme");
    let home = tempfile::tempdir().expect("a directory");
    let hooks = add_hooks(&relay, "acme");
    let mut expected = Vec::new();
    for (case, path) in HOOKS.iter().zip(&hooks) {
        let HookCase { vendor, verify, secret, send_flags, .. } = case;
        let file = secret_file(home.path(), secret);
        let secret_flags = ["--secret-file", file.to_str().expect("text")];
        let secret_flags: &[&str] = if secret.is_empty() { &[] } else { &secret_flags };
        let url = relay.url(path);
        for (status, more) in [("completed", &["--title", "a b.docx"][..]), ("error", &["--error-code", "2"])] {
            let arguments = [&["send", vendor, &url, "--status", status], more, secret_flags, send_flags].concat();
            let output = relay.cli_without_data(&arguments).succeeded();
            assert!(output.stdout.starts_with("HTTP/1.1 200 OK\n{}"), "{output:?}");
            expected.push((*vendor, status.to_uppercase()));
        }
        if !secret.is_empty() {
            let unsigned = relay.cli_without_data(&["send", vendor, &url, "--verify", "none"]);
            assert_eq!(unsigned.status.code(), Some(1), "{vendor} {verify}");
            assert!(unsigned.stdout.contains("401"), "{unsigned:?}");
            assert!(!format!("{unsigned:?}").contains(path), "the error contains the key of the hook");
        }
        if *vendor == "ppj" {
            let edition: &[&str] = if secret.is_empty() { &["--edition", "0"] } else { &["--edition", "a"] };
            let output = relay
                .cli_without_data(&[&["send", "ppj", &url, "--handshake"], edition, secret_flags].concat())
                .succeeded();
            assert!(output.stderr.contains("the response contains the nonce"), "{output:?}");
        }
    }
    let events = relay.follow_from(&token, "earliest").events(expected.len());
    let received: Vec<_> = events.iter().map(|e| e.json()).collect();
    for (json, (vendor, status)) in received.iter().zip(expected) {
        assert_eq!([&json["vendor"], &json["status"]], [&json!(vendor), &json!(status)]);
    }
    assert_eq!(received[10]["labels"], json!({"row": "7"}));
    let unknown = relay.cli_without_data(&["send", "ppj", &relay.url("/in/unknown")]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
}

#[test]
fn secret_without_verify_is_never_dropped() {
    let relay = TestRelay::start();
    relay.add_client("acme");
    let home = tempfile::tempdir().expect("a directory");
    let file = secret_file(home.path(), "s3cr3t-value");
    let add = |vendor: &str, flags: &[&str]| {
        let file = file.to_str().expect("text");
        relay.cli(&[&["hook", "add", "--client", "acme", "--vendor", vendor, "--secret-file", file], flags].concat())
    };
    // A vendor with one type of verification gets it.
    for vendor in ["ppj", "baidu"] {
        assert_eq!(add(vendor, &[]).succeeded().json()["verify"]["type"], vendor);
    }
    assert_eq!(add("gini", &[]).succeeded().json()["verify"]["type"], "authorization");
    // Otherwise, and with an explicit `none`, the command is refused.
    for (vendor, flags, named) in [
        ("zoffice", &[][..], "cookie"),
        ("generic", &["--mapping", MAPPING], "hmac-sha256"),
        ("ppj", &["--verify", "none"], "none"),
    ] {
        let refused = add(vendor, flags);
        assert!(!refused.status.success(), "{vendor}: {}", refused.stdout);
        assert!(refused.stderr.contains("--verify") && refused.stderr.contains(named), "{}", refused.stderr);
        assert!(!refused.stderr.contains("s3cr3t-value"), "{}", refused.stderr);
    }
}

#[test]
fn secret_that_would_not_be_used_is_refused() {
    let relay = TestRelay::start();
    relay.add_client("acme");
    let home = tempfile::tempdir().expect("a directory");
    let file = secret_file(home.path(), "s3cr3t");
    let file = file.to_str().expect("text");
    let notification = ["notification", "add", "main", "https://example.com/x", "--client", "acme"];
    let refused = |arguments: &[&str], variable: Option<&str>| {
        let config = variable.map(|name| (name, "s3cr3t"));
        let output = run(docrelay(arguments, config.as_slice()).arg("--data").arg(relay.data_dir()));
        assert_eq!((output.status.code(), output.stdout.as_str()), (Some(1), ""), "{arguments:?} {output:?}");
        assert!(output.stderr.lines().count() == 1 && !output.stderr.contains("s3cr3t"), "{output:?}");
        output.stderr
    };
    let usage = relay.cli(&[&notification[..], &["--token-value-file", file]].concat());
    assert!(usage.status.code() == Some(2) && usage.stderr.contains("--token-type"), "{usage:?}");
    let error = refused(&notification, Some("notification_token_value"));
    assert!(error.contains("DOCRELAY_NOTIFICATION_TOKEN_VALUE") && error.contains("--token-type"), "{error}");
    assert_eq!(relay.send(&Request::get("/hooks").bearer(&relay.token("acme"))).json()["hooks"], json!([]));
}

#[test]
fn unreadable_secret_file_is_named_by_its_flag() {
    let relay = TestRelay::start();
    relay.add_client("acme");
    let error = |arguments: &[&str]| relay.cli_without_data(arguments).stderr;
    let url = relay.url("/events/client");
    for command in [&["tail", url.as_str()][..], &["doctor", url.as_str()]] {
        let stderr = error(&[command, &["--token-file", "nosuch"]].concat());
        assert!(stderr.contains("cannot read the token file nosuch"), "{stderr}");
    }
    let stderr = error(&["send", "ppj", &url, "--secret-file", "nosuch"]);
    assert!(stderr.contains("cannot read the secret file nosuch"), "{stderr}");
    let add = ["notification", "add", "main", "https://example.com/x", "--client", "acme", "--token-type", "Cookie"];
    let stderr = relay.cli(&[&add[..], &["--token-value-file", "nosuch"]].concat()).stderr;
    assert!(stderr.contains("cannot read the token value file nosuch"), "{stderr}");
}
