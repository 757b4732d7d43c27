//! The guide's consumers, with the client libraries themselves: none loses or repeats an event over a killed relay, and
//! all of them stop when they are refused.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use serde_json::json;

use super::{block, with};
use crate::browser::{acme, serve, tell};
use crate::harness::chromium::Browser;
use crate::harness::request::Request;
use crate::harness::tool::find_tool;
use crate::harness::{TIMEOUT, TestRelay, spawn_thread};

/// A Python that has httpx-sse; set by `make test`.
const PYTHON: &str = "DOCRELAY_PYTHON";

/// A directory of Node.js packages that has eventsource; set by `make test`.
const NODE: &str = "DOCRELAY_NODE_MODULES";

/// A running consumer; ended when this is dropped.
struct Consumer {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Consumer {
    #[track_caller]
    fn start(command: &mut Command, relay: &TestRelay, token: &str) -> Self {
        for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        command.env("RELAY", relay.url("")).env("TOKEN", token).env("LAST_ID", "earliest");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the consumer's start");
        let output = child.stdout.take().expect("piped");
        let (tell, lines) = sync_channel(64);
        spawn_thread("consumer", move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The documents of the next lines.
    #[track_caller]
    fn documents(&mut self, count: usize) -> Vec<String> {
        let line = || self.lines.recv_timeout(TIMEOUT).expect("a line of the consumer");
        (0..count).map(|_| line().split(' ').nth(1).expect("a document").to_owned()).collect()
    }

    /// Its end, at which it has nothing more to say than why.
    #[track_caller]
    fn refused(&mut self) -> String {
        assert!(self.lines.recv_timeout(TIMEOUT).is_err(), "nothing more than was told");
        let mut said = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        assert!(!self.child.wait().expect("its end").success(), "{said}");
        said
    }
}

#[track_caller]
fn remove_acme(relay: &TestRelay) {
    let removed = relay.send_admin(&Request::new("DELETE", "/admin/clients/acme").bearer(&relay.admin_token()));
    assert_eq!(removed.status, 204, "{removed:?}");
}

#[track_caller]
fn resumes(command: &mut Command) {
    let (mut relay, hook, token) = acme();
    let mut told: Vec<String> = (1..=3).map(|n| tell(&relay, &hook, n)).collect();
    let mut consumer = Consumer::start(command, &relay, &token);
    let mut seen = consumer.documents(3);
    relay.kill();
    relay.restart();
    told.extend((4..=6).map(|n| tell(&relay, &hook, n)));
    seen.extend(consumer.documents(3));
    assert_eq!(seen, told, "no gap, no repeat, in order");
    remove_acme(&relay);
    let said = consumer.refused();
    assert!(said.contains("auth_failed"), "{said}");
}

#[test]
fn python_consumer_in_guide_misses_and_repeats_nothing() {
    let Some(python) = find_tool(PYTHON) else { return };
    resumes(Command::new(python).args(["-c", &block("Python", "python")]));
}

#[test]
fn node_consumer_in_guide_misses_and_repeats_nothing() {
    let Some(packages) = find_tool(NODE) else { return };
    // A module finds its packages by where it lies.
    let beside = Path::new(&packages).parent().expect("a directory");
    let here = tempfile::Builder::new().prefix("consumer-").tempdir_in(beside).expect("a directory");
    let program = here.path().join("consumer.mjs");
    std::fs::write(&program, block("Node.js", "js")).expect("a program");
    resumes(Command::new("node").arg(program));
}

#[track_caller]
fn page_resumes(heading: &str) {
    let Some(mut browser) = Browser::start() else { return };
    let (mut relay, hook, token) = acme();
    let origin = relay.url("");
    let page = with(block(heading, "html"), &[("https://relay.example.com", &origin), ("YOUR_TOKEN", &token)]);
    browser.navigate(&serve(page));
    let state = |text: &str| format!("document.querySelector('#state').innerText === {}", json!(text));
    let has = |n: usize| format!("document.querySelectorAll('#events li').length >= {n}");
    browser.wait_until(&state("connected"));
    let mut told: Vec<String> = (1..=3).map(|n| tell(&relay, &hook, n)).collect();
    browser.wait_until(&has(3));
    assert!(browser.errors.is_empty(), "{:#?}", browser.errors);
    relay.kill();
    browser.wait_until(&state("connecting again"));
    relay.restart();
    told.extend((4..=6).map(|n| tell(&relay, &hook, n)));
    browser.wait_until(&has(6));
    let list = "[...document.querySelectorAll('#events li')].map((item) => item.innerText.split(' ')[0])";
    assert_eq!(browser.evaluate(list), json!(told), "no gap, no repeat, in order");
    remove_acme(&relay);
    browser.wait_until(&state("refused: auth_failed"));
}

#[test]
fn event_source_page_in_guide_misses_and_repeats_nothing() {
    page_resumes("In a browser: EventSource");
}

#[test]
fn fetch_page_in_guide_misses_and_repeats_nothing() {
    page_resumes("In a browser: fetch");
}
