//! The guide's consumers with their client libraries: none loses or repeats an event when the relay is killed, and all
//! stop when they are refused.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use serde_json::json;

use super::{block, replace_all};
use crate::harness::TIMEOUT;
use crate::harness::child::{ChildProcess, read_lines};
use crate::harness::chromium::Browser;
use crate::harness::fixture::{Fixture, document_id};
use crate::harness::node::NodePackages;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::tool::{find_tool, without_proxy};

/// A Python that has httpx-sse; set by `make test`.
const PYTHON: &str = "DOCRELAY_PYTHON";

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
    let Some(packages) = NodePackages::find() else { return };
    assert_consumer_resumes(&mut packages.program(&block("Node.js", "js")).command());
}

#[test]
fn node_consumer_in_guide_survives_cut_with_eventsource_5() {
    let Some(packages) = NodePackages::find_for_current_node() else { return };
    let newest = replace_all(block("Node.js", "js"), &[(r#"from "eventsource""#, r#"from "eventsource-5""#)]);
    assert_consumer_resumes(&mut packages.program(&newest).command());
}

/// A module of a package that a page imports.
struct PackageModule {
    name: &'static str,
    source: String,
}

/// Serves a page and the module that it imports.
fn serve_page(page: String, imported: Option<PackageModule>) -> Receiver {
    let Some(PackageModule { name, source }) = imported else { return Receiver::serving_page(page) };
    // The map takes the place of a bundler.
    let map = format!("<script type=importmap>{}</script>\n<script type", json!({"imports": {name: "/module.js"}}));
    let page = replace_all(page, &[("<script type", &map)]);
    Receiver::start(move |request, _| match request.target.as_str() {
        "/module.js" => Reply {
            headers: "Content-Type: text/javascript; charset=utf-8\r\n",
            body: source.clone(),
            ..Reply::status(200)
        },
        _ => Reply { headers: "Content-Type: text/html; charset=utf-8\r\n", body: page.clone(), ..Reply::status(200) },
    })
}

#[track_caller]
fn assert_page_resumes(heading: &str, imported: Option<PackageModule>) {
    let Some(mut browser) = Browser::start() else { return };
    let mut fixture = Fixture::start();
    let (origin, token) = (fixture.relay.url(""), &fixture.token);
    let page = replace_all(block(heading, "html"), &[("https://relay.example.com", &origin), ("YOUR_TOKEN", token)]);
    // A site of another origin than the relay's.
    let site = serve_page(page, imported);
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
    assert_page_resumes("In a browser: EventSource", None);
}

#[test]
fn fetch_page_in_guide_misses_and_repeats_nothing() {
    assert_page_resumes("In a browser: fetch", None);
}

#[test]
fn fetch_event_source_page_in_guide_misses_and_repeats_nothing() {
    let Some(packages) = NodePackages::find() else { return };
    let name = "@microsoft/fetch-event-source";
    let source = packages.bundle(&format!("export * from {};", json!(name)));
    assert_page_resumes("In a browser: fetch-event-source", Some(PackageModule { name, source }));
}
