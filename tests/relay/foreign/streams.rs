//! Clients of event streams: none loses or repeats an event when the relay is killed or the connection is cut, and all
//! stop when they are refused. All clients follow one relay at once.

use std::any::Any;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::mpsc::Receiver as Lines;
use std::time::Instant;

use serde_json::json;
use tempfile::TempDir;

use super::{find_runtimes, program, python_program, rust_stream, source};
use crate::harness::TIMEOUT;
use crate::harness::child::{ChildProcess, read_lines};
use crate::harness::chromium::Browser;
use crate::harness::fixture::{Fixture, document_id};
use crate::harness::gate::Gate;
use crate::harness::node::{NodePackages, NodeProgram};
use crate::harness::receiver::Receiver;
use crate::harness::tool::without_proxy;

/// The clients of `foreign/page.mjs`.
const BROWSER_CLIENTS: [&str; 4] =
    ["EventSource", "event-source-polyfill", "fetch-event-source", "reconnecting-eventsource"];

/// A client in a process or on a thread of its own, which writes `open`, `event <documentId>`, `reset …` and
/// `refused <reason>`.
struct LineClient {
    name: &'static str,
    written: Lines<String>,
    /// The lines so far.
    lines: Vec<String>,
    /// Ends the client when it is dropped.
    _running: Box<dyn Any>,
}

impl LineClient {
    #[track_caller]
    fn start_process(name: &'static str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = ChildProcess::spawn(command).expect("the client starts");
        let written = read_lines(process.take_stdout());
        Self { name, written, lines: Vec::new(), _running: Box::new(process) }
    }

    fn start_thread(name: &'static str, origin: &str, token: &str) -> Self {
        let (running, written) = rust_stream::start(origin, token);
        Self { name, written, lines: Vec::new(), _running: Box::new(running) }
    }
}

/// The clients in a page of the browser, which write the same lines into lists.
struct ClientPage {
    browser: Browser,
    _site: Receiver,
}

impl ClientPage {
    #[track_caller]
    fn start(mut browser: Browser, packages: &NodePackages, relay: &str, token: &str) -> Self {
        let config = format!("const relay = {}, token = {};", json!(relay), json!(token));
        let bundle = packages.bundle(&source("page.mjs"));
        let page = format!(
            "<!doctype html><meta charset=utf-8><title>clients</title><body><script>{config}</script>\
             <script type=module>{bundle}</script>"
        );
        // A site of another origin than the relay's.
        let site = Receiver::serving_page(page);
        browser.navigate(&site.url("/"));
        Self { browser, _site: site }
    }

    #[track_caller]
    fn lines(&mut self, name: &str) -> Vec<String> {
        let items = format!("[...document.querySelectorAll('#{name} > li')].map((item) => item.innerText)");
        serde_json::from_value(self.browser.evaluate(&items)).expect("lines")
    }
}

/// All clients, following one relay.
struct Clients {
    line_clients: Vec<LineClient>,
    page: ClientPage,
    _program: NodeProgram,
    _state: TempDir,
}

impl Clients {
    /// Starts all clients at this origin; `None` without one of the programs they need.
    #[track_caller]
    fn start(origin: &str, token: &str) -> Option<Self> {
        let (python, packages) = find_runtimes()?;
        let page = ClientPage::start(Browser::start()?, &packages, origin, token);
        let state = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let eventsource = packages.program(&source("streams.mjs"));
        let mut curl = Command::new("sh");
        without_proxy(curl.arg(program("curl.sh")).env("STATE", state.path()));
        let commands = [
            ("eventsource 3", eventsource.command(), "eventsource"),
            ("eventsource 5", eventsource.command(), "eventsource-5"),
            ("httpx-sse", python_program(&python, "streams.py"), "httpx-sse"),
            ("sseclient-py", python_program(&python, "streams.py"), "sseclient-py"),
            ("curl", curl, ""),
        ];
        let start = |(name, mut command, library): (&'static str, Command, &str)| {
            let environment = [("RELAY", origin), ("TOKEN", token), ("LIBRARY", library)];
            LineClient::start_process(name, command.envs(environment))
        };
        let mut line_clients = Vec::from(commands.map(start));
        line_clients.push(LineClient::start_thread("reqwest-eventsource", origin, token));
        Some(Self { line_clients, page, _program: eventsource, _state: state })
    }

    /// The lines so far, by client.
    #[track_caller]
    fn lines(&mut self) -> BTreeMap<&'static str, Vec<String>> {
        let mut all: BTreeMap<_, _> = BROWSER_CLIENTS.into_iter().map(|name| (name, self.page.lines(name))).collect();
        for client in &mut self.line_clients {
            client.lines.extend(client.written.try_iter());
            all.insert(client.name, client.lines.clone());
        }
        all
    }

    /// Waits until every client has written a line `count` times.
    #[track_caller]
    fn wait_for(&mut self, line: &str, count: usize) {
        for name in BROWSER_CLIENTS {
            let items = format!("[...document.querySelectorAll('#{name} > li')]");
            let matching = format!("{items}.filter((item) => item.innerText === {}).length >= {count}", json!(line));
            self.page.browser.wait_until(&matching);
        }
        let deadline = Instant::now() + TIMEOUT;
        for client in &mut self.line_clients {
            while client.lines.iter().filter(|written| *written == line).count() < count {
                let next = client.written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
                match next {
                    Ok(next) => client.lines.push(next),
                    Err(e) => panic!("{}: {e} before {line:?} number {count}: {:?}", client.name, client.lines),
                }
            }
        }
    }

    /// Waits until every client has received the document of this number.
    #[track_caller]
    fn wait_for_document(&mut self, number: u32) {
        self.wait_for(&format!("event {}", document_id(number)), 1);
    }

    /// Asserts that every client has received the documents `1..=last` once, in order.
    #[track_caller]
    fn assert_received(&mut self, last: u32) {
        let received = self.lines().into_iter().map(|(name, lines)| {
            let events = lines.into_iter().filter(|line| line != "open").collect::<Vec<_>>();
            (name, events)
        });
        let sent: Vec<String> = (1..=last).map(|number| format!("event {}", document_id(number))).collect();
        let wrong: Vec<_> = received.filter(|(_, events)| *events != sent).collect();
        assert!(wrong.is_empty(), "a gap, a repeat or another order: {wrong:#?}");
    }
}

#[test]
fn stream_clients_miss_and_repeat_nothing_over_sigkill() {
    let mut fixture = Fixture::start();
    let Some(mut clients) = Clients::start(&fixture.relay.url(""), &fixture.token) else { return };
    clients.wait_for("open", 1);
    fixture.complete(1);
    clients.wait_for_document(1);
    // The clients have received any part of these when the relay ends.
    for number in 2..=20 {
        fixture.complete(number);
    }
    fixture.relay.kill();
    fixture.relay.restart();
    fixture.complete(21);
    clients.wait_for_document(21);
    clients.assert_received(21);
    fixture.relay.remove_client("acme");
    clients.wait_for("refused auth_failed", 1);
}

/// The position in the opening is what a client resumes from that has received no event yet.
#[test]
fn stream_clients_cut_before_first_event_miss_nothing() {
    let fixture = Fixture::start();
    let gate = Gate::start(fixture.relay.listen);
    let Some(mut clients) = Clients::start(&gate.url(), &fixture.token) else { return };
    clients.wait_for("open", 1);
    gate.cut();
    fixture.complete(1);
    fixture.complete(2);
    gate.restore();
    clients.wait_for("open", 2);
    fixture.complete(3);
    clients.wait_for_document(3);
    clients.assert_received(3);
}
