//! `docrelay tail`, which follows over restarts, and the demo of `docrelay serve --demo`.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::mpsc::Receiver;

use serde_json::Value;

use crate::harness::child::{ChildProcess, read_lines};
use crate::harness::client::TestClient;
use crate::harness::command::{docrelay, run};
use crate::harness::request::Request;
use crate::harness::response::stored_event_id;
use crate::harness::{TIMEOUT, TestRelay};

/// A running `docrelay tail`. Dropping it kills the process.
struct Tail {
    _process: ChildProcess,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Tail {
    fn start(arguments: &[&str], token: &str) -> Self {
        let mut command = docrelay(&[&["tail"], arguments].concat(), &[("token", token)]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = ChildProcess::spawn(&mut command).expect("the command starts");
        let (stdout, stderr) = (read_lines(process.take_stdout()), read_lines(process.take_stderr()));
        Self { _process: process, stdout, stderr }
    }

    /// Waits for a line on standard error; discards the lines before it.
    #[track_caller]
    fn wait_for_stderr(&self, text: &str) {
        while !self.stderr.recv_timeout(TIMEOUT).unwrap_or_else(|e| panic!("{e}: no {text:?}")).contains(text) {}
    }

    /// The next event, as standard output shows it.
    #[track_caller]
    fn next_event(&self) -> Value {
        let line = self.stdout.recv_timeout(TIMEOUT).expect("a line in time");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }
}

#[test]
fn tail_prints_each_event_once_across_restart_and_sigkill() {
    let mut relay = TestRelay::start();
    let (token, hook) = {
        let acme = TestClient::new(&relay, "acme");
        (acme.token.clone(), acme.add_unverified_hook("gini").path)
    };
    let send = |relay: &TestRelay, n: usize| {
        let body = format!(r#"{{"documentId":"job-{n}","status":"COMPLETED"}}"#);
        stored_event_id(&relay.send(&Request::post(&hook).json(&body)));
    };
    send(&relay, 0);
    let tail = Tail::start(&[&relay.url("/"), "--from", "earliest"], &token);
    let assert_next = |n: usize| assert_eq!(tail.next_event()["vendorId"], format!("job-{n}"));
    assert_next(0);
    send(&relay, 1);
    assert_next(1);
    relay.restart();
    send(&relay, 2);
    send(&relay, 3);
    assert_next(2);
    assert_next(3);
    send(&relay, 4);
    relay.kill();
    relay.restart();
    send(&relay, 5);
    assert_next(4);
    assert_next(5);
}

#[test]
fn tail_disconnected_before_first_event_misses_nothing() {
    let mut relay = TestRelay::start();
    let (token, hook) = {
        let acme = TestClient::new(&relay, "acme");
        stored_event_id(&relay.send(
            &Request::post(&acme.add_unverified_hook("gini").path).json(r#"{"documentId":"old","status":"ERROR"}"#),
        ));
        (acme.token.clone(), acme.add_unverified_hook("gini").path)
    };
    let tail = Tail::start(&[&relay.url("")], &token);
    tail.wait_for_stderr("following ");
    relay.kill();
    tail.wait_for_stderr("resuming after ");
    relay.restart();
    let ids = ["a", "b"].map(|name| {
        let body = format!(r#"{{"documentId":"{name}","status":"COMPLETED"}}"#);
        stored_event_id(&relay.send(&Request::post(&hook).json(&body)))
    });
    for (id, name) in ids.iter().zip(["a", "b"]) {
        let line = tail.next_event();
        assert_eq!((&line["id"], &line["vendorId"]), (&Value::from(id.as_str()), &Value::from(name)), "{line}");
    }
    tail.wait_for_stderr("reconnected");
}

#[test]
fn tail_exits_with_1_when_refused() {
    let relay = TestRelay::start();
    let url = format!("http://{}/events/client", relay.listen);
    let output = relay.cli_without_data(&["tail", &url]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.contains("auth_required") && output.stderr.contains("DOCRELAY_TOKEN"), "{output:?}");
    let output = relay.cli_without_data(&["tail", &format!("{url}?token=x.y.z")]);
    assert!(output.status.code() == Some(1) && output.stderr.contains("auth_failed"), "{output:?}");
    assert!(!format!("{output:?}").contains("x.y.z"), "{output:?}");
    let output = relay.cli_without_data(&["tail", &format!("http://{}/docs", relay.listen)]);
    assert!(output.status.code() == Some(1) && output.stderr.contains("not with an event stream"), "{output:?}");
}

#[test]
fn demo_calls_every_vendor_hook_successfully() {
    let relay = TestRelay::with_config(&[("demo", "true")]);
    relay.wait_for_output("/events/client");
    let mut follower = relay.follow_from(&relay.token("demo"), "earliest");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    while seen.len() < 6 {
        let json = follower.next_event().json();
        assert_eq!(json["labels"]["demo"], "true");
        *seen.entry(json["vendor"].to_string()).or_default() += 1;
    }
    let page = relay.send_admin(&Request::get("/metrics"));
    for line in page.text().lines().filter(|line| line.starts_with("docrelay_events_in_total")) {
        assert!(line.contains("outcome=\"stored\"") || line.ends_with(" 0"), "{line}");
    }
}

#[test]
fn curl_lines_printed_by_demo_run_as_printed() {
    let relay = TestRelay::with_config(&[("demo", "true")]);
    // The last line of the banner.
    relay.wait_for_output(r#"{"vendorId":"job-1","status":"done"}"#);
    let banner = relay.output();
    let calls: Vec<&str> =
        banner.lines().map(str::trim).filter(|l| l.starts_with("curl ") && l.contains("/in/")).collect();
    assert!(calls.len() >= 7, "{banner}");
    for call in calls {
        let output = run(Command::new("sh").arg("-c").arg(format!("{call} -sS -w ' %{{http_code}}'"))).succeeded();
        assert!(output.stdout.ends_with("} 200"), "{call}: {output:?}");
    }
}
