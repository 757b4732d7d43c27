//! The guide's consumers with their client libraries: none loses or repeats an event when the relay is killed, and all stop
//! when they are refused.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use serde_json::json;

use super::{block, replace_all};
use crate::harness::TIMEOUT;
use crate::harness::child::{ChildProcess, read_lines};
use crate::harness::chromium::Browser;
use crate::harness::fixture::{Fixture, document_id};
use crate::harness::receiver::Receiver;
use crate::harness::tool::{find_tool, without_proxy};

/// A Python that has httpx-sse; set by `make test`.
const PYTHON: &str = "DOCRELAY_PYTHON";

/// A directory of Node.js packages that has eventsource; set by `make test`.
const NODE: &str = "DOCRELAY_NODE_MODULES";

/// A running consumer.
struct Consumer {
    process: ChildProcess,
    stdout: mpsc::Receiver<String>,
}

impl Consumer {
    #[track_caller]
    fn start(command: &mut Command, fixture: &Fixture) -> Self {
        without_proxy(command)
            .env("RELAY", fixture.relay.url(""))
            .env("TOKEN", &fixture.token)
            .env("LAST_ID", "earliest");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = ChildProcess::spawn(command).expect("the consumer starts");
        let stdout = read_lines(process.take_stdout());
        Self { process, stdout }
    }

    /// The document ids of the next lines.
    #[track_caller]
    fn documents(&mut self, count: usize) -> Vec<String> {
        let line = || self.stdout.recv_timeout(TIMEOUT).expect("a line of the consumer");
        (0..count).map(|_| line().split(' ').nth(1).expect("a document id").to_owned()).collect()
    }

    /// Waits for the consumer to exit with a failure and no further line. Returns its standard error.
    #[track_caller]
    fn wait_for_failure(&mut self) -> String {
        assert!(self.stdout.recv_timeout(TIMEOUT).is_err(), "the consumer has written another line");
        let mut stderr = String::new();
        self.process.take_stderr().read_to_string(&mut stderr).expect("UTF-8 output");
        assert!(!self.process.wait().success(), "{stderr}");
        stderr
    }
}

/// Posts webhooks for these documents. Returns their ids.
fn complete_documents(fixture: &Fixture, numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    let complete = |number| {
        fixture.complete(number);
        document_id(number)
    };
    numbers.map(complete).collect()
}

#[track_caller]
fn assert_consumer_resumes(command: &mut Command) {
    let mut fixture = Fixture::start();
    let mut sent = complete_documents(&fixture, 1..=3);
    let mut consumer = Consumer::start(command, &fixture);
    let mut received = consumer.documents(3);
    fixture.relay.kill();
    fixture.relay.restart();
    sent.extend(complete_documents(&fixture, 4..=6));
    received.extend(consumer.documents(3));
    assert_eq!(received, sent, "no gap, no repeat, in order");
    fixture.relay.remove_client("acme");
    let stderr = consumer.wait_for_failure();
    assert!(stderr.contains("auth_failed"), "{stderr}");
}

#[test]
fn python_consumer_in_guide_misses_and_repeats_nothing() {
    let Some(python) = find_tool(PYTHON) else { return };
    assert_consumer_resumes(Command::new(python).args(["-c", &block("Python", "python")]));
}

#[test]
fn node_consumer_in_guide_misses_and_repeats_nothing() {
    let Some(packages) = find_tool(NODE) else { return };
    // A module finds packages relative to its own directory.
    let directory = Path::new(&packages).parent().expect("a directory");
    let package = tempfile::Builder::new().prefix("consumer-").tempdir_in(directory).expect("a directory");
    let program = package.path().join("consumer.mjs");
    std::fs::write(&program, block("Node.js", "js")).expect("a program");
    assert_consumer_resumes(Command::new("node").arg(program));
}

#[track_caller]
fn assert_page_resumes(heading: &str) {
    let Some(mut browser) = Browser::start() else { return };
    let mut fixture = Fixture::start();
    let (origin, token) = (fixture.relay.url(""), &fixture.token);
    let page = replace_all(block(heading, "html"), &[("https://relay.example.com", &origin), ("YOUR_TOKEN", token)]);
    // A site of another origin than the relay's.
    let site = Receiver::serving_page(page);
    browser.navigate(&site.url("/"));
    let state = |text: &str| format!("document.querySelector('#state').innerText === {}", json!(text));
    let has = |n: usize| format!("document.querySelectorAll('#events li').length >= {n}");
    browser.wait_until(&state("connected"));
    let mut sent = complete_documents(&fixture, 1..=3);
    browser.wait_until(&has(3));
    browser.assert_no_errors();
    fixture.relay.kill();
    browser.wait_until(&state("connecting again"));
    fixture.relay.restart();
    sent.extend(complete_documents(&fixture, 4..=6));
    browser.wait_until(&has(6));
    let list = "[...document.querySelectorAll('#events li')].map((item) => item.innerText.split(' ')[0])";
    assert_eq!(browser.evaluate(list), json!(sent), "no gap, no repeat, in order");
    fixture.relay.remove_client("acme");
    browser.wait_until(&state("refused: auth_failed"));
}

#[test]
fn event_source_page_in_guide_misses_and_repeats_nothing() {
    assert_page_resumes("In a browser: EventSource");
}

#[test]
fn fetch_page_in_guide_misses_and_repeats_nothing() {
    assert_page_resumes("In a browser: fetch");
}
