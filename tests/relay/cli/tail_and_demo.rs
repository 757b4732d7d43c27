//! Commands that play: `tail` follows over restarts, the demo keeps something going.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use serde_json::Value;

use crate::harness::client::TestClient;
use crate::harness::command::{docrelay, run};
use crate::harness::request::Request;
use crate::harness::response::stored_event_id;
use crate::harness::{TIMEOUT, TestRelay, spawn_thread};

/// `docrelay tail`, killed when this is dropped.
struct Tail {
    child: Child,
    lines: Receiver<String>,
    said: Receiver<String>,
}

impl Tail {
    fn start(words: &[&str], token: &str) -> Self {
        let mut command = docrelay(&[&["tail"], words].concat(), &[("token", token)]);
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("a start");
        let lines = lines_of(child.stdout.take().expect("piped"));
        let said = lines_of(child.stderr.take().expect("piped"));
        Self { child, lines, said }
    }

    /// Waits for a line on the standard error; those before it are thrown away.
    #[track_caller]
    fn wait_for_stderr(&self, text: &str) {
        while !self.said.recv_timeout(TIMEOUT).unwrap_or_else(|e| panic!("{e}: never said {text:?}")).contains(text) {}
    }

    #[track_caller]
    fn line(&self) -> Value {
        let line = self.lines.recv_timeout(TIMEOUT).expect("a line in time");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }
}

fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, lines) = sync_channel(1000);
    spawn_thread("tail", move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
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
    let next = |n: usize| assert_eq!(tail.line()["vendorId"], format!("job-{n}"));
    next(0);
    send(&relay, 1);
    next(1);
    relay.restart();
    send(&relay, 2);
    send(&relay, 3);
    next(2);
    next(3);
    send(&relay, 4);
    relay.kill();
    relay.restart();
    send(&relay, 5);
    next(4);
    next(5);
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
        let line = tail.line();
        assert_eq!((&line["id"], &line["vendorId"]), (&Value::from(id.as_str()), &Value::from(name)), "{line}");
    }
    tail.wait_for_stderr("connected again");
}

#[test]
fn tail_exits_with_1_when_refused() {
    let relay = TestRelay::start();
    let url = format!("http://{}/events/client", relay.listen);
    let ran = relay.cli_without_data(&["tail", &url]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(ran.stderr.contains("auth_required") && ran.stderr.contains("DOCRELAY_TOKEN"), "{ran:?}");
    let ran = relay.cli_without_data(&["tail", &format!("{url}?token=x.y.z")]);
    assert!(ran.status.code() == Some(1) && ran.stderr.contains("auth_failed"), "{ran:?}");
    assert!(!format!("{ran:?}").contains("x.y.z"), "{ran:?}");
    let ran = relay.cli_without_data(&["tail", &format!("http://{}/docs", relay.listen)]);
    assert!(ran.status.code() == Some(1) && ran.stderr.contains("not with an event stream"), "{ran:?}");
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
    // The last of them.
    relay.wait_for_output(r#"{"vendorId":"job-1","status":"done"}"#);
    let said = relay.output();
    let calls: Vec<&str> =
        said.lines().map(str::trim).filter(|l| l.starts_with("curl ") && l.contains("/in/")).collect();
    assert!(calls.len() >= 7, "{said}");
    for call in calls {
        let ran = run(Command::new("sh").arg("-c").arg(format!("{call} -sS -w ' %{{http_code}}'"))).succeeded();
        assert!(ran.stdout.ends_with("} 200"), "{call}: {ran:?}");
    }
}
