//! A site of another origin than the relay's, with the widget on its pages, and expressions about the widget's state.

use serde_json::{Value, json};

use crate::harness::TestRelay;
use crate::harness::chromium::Browser;
use crate::harness::command::{docrelay, run};
use crate::harness::fixture::Fixture;
use crate::harness::receiver::{Receiver, Reply};
use crate::ui::post_document;

/// A site with the widget on its pages.
pub(super) struct Site {
    pub(super) fixture: Fixture,
    pub(super) server: Receiver,
}

impl Site {
    /// Every page of the site is `body`, after the widget's script. `/ticket` returns tokens that expire after `ttl`.
    pub(super) fn new(ttl: &'static str, body: impl FnOnce(&Fixture) -> String) -> Self {
        // The first idle line marks the end of the replay.
        let fixture = Fixture::with_config(&[("idle_interval", "1s")]);
        let page = page(&fixture.relay, &body(&fixture));
        let data = fixture.relay.data_dir();
        let server = Receiver::start(move |received, _| {
            if received.target != "/ticket" {
                let headers = "Content-Type: text/html; charset=utf-8\r\n";
                return Reply { body: page.clone(), headers, ..Reply::status(200) };
            }
            let arguments = ["token", "--client", "acme", "--scope", "events", "--ttl", ttl];
            let token = run(docrelay(&arguments, &[]).arg("--data").arg(&data)).succeeded().stdout;
            let seconds: u64 = ttl.trim_end_matches('s').parse().expect("seconds");
            // A longer lifetime than the token has, so that the token expires before the page replaces it.
            let body = json!({"token": token.trim(), "expires_in": seconds + 60}).to_string();
            Reply { body, headers: "Content-Type: application/json\r\n", ..Reply::status(200) }
        });
        Self { fixture, server }
    }

    /// Posts a webhook. Returns the id of the document.
    #[track_caller]
    pub(super) fn post(&self, number: u32, status: &str, title: &str) -> String {
        post_document(&self.fixture, number, status, title)
    }

    /// The number of requests for a ticket.
    pub(super) fn ticket_requests(&self) -> usize {
        self.server.received().iter().filter(|received| received.target == "/ticket").count()
    }

    /// The number of open streams.
    #[track_caller]
    pub(super) fn open_streams(&self) -> i64 {
        self.fixture.relay.metric("docrelay_followers")
    }

    /// The number of streams since the start of the relay.
    #[track_caller]
    pub(super) fn opened_streams(&self) -> i64 {
        self.fixture.relay.metric("docrelay_followers_opened_total")
    }
}

/// Records events, states and texts of every widget. Changes the page at every change in a shadow root, because
/// `Browser::wait_until` does not observe shadow roots.
const RECORDER: &str = "
    window.events = []; window.states = []; window.texts = [];
    addEventListener('docrelay-event', ({ detail }) => events.push(detail));
    addEventListener('docrelay-state', ({ detail }) => states.push(detail));
    window.watch = (widget) => {
      const record = () => { texts.push(widget.shadowRoot.querySelector('.box').innerText); document.body.dataset.changes = texts.length; };
      new MutationObserver(record).observe(widget.shadowRoot, {subtree: true, childList: true, characterData: true});
      record();
    };";

fn page(relay: &TestRelay, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>A site</title><link rel=\"icon\" href=\"data:,\">
         <script>{RECORDER}</script>
         <script type=\"module\" src=\"http://{}/widget.js\"></script>
         <body>{body}
         <script type=\"module\">document.querySelectorAll('docrelay-status').forEach(watch)</script>",
        relay.listen
    )
}

/// The widget's element with these attributes besides the URL of the relay.
pub(super) fn widget(relay: &TestRelay, attributes: &str) -> String {
    format!("<docrelay-status relay=\"http://{}\" {attributes}></docrelay-status>", relay.listen)
}

/// A widget with a token that may read documents.
pub(super) fn with_token(attributes: &'static str) -> impl FnOnce(&Fixture) -> String {
    move |fixture| widget(&fixture.relay, &format!("token=\"{}\" {attributes}", fixture.token))
}

/// A widget with tickets of the site.
pub(super) fn with_ticket(attributes: &'static str) -> impl FnOnce(&Fixture) -> String {
    move |fixture| widget(&fixture.relay, &format!("ticket-url=\"/ticket\" {attributes}"))
}

/// The text of the first widget, as a JavaScript expression.
pub(super) const SHOWN: &str = "document.querySelector('docrelay-status').shadowRoot.querySelector('.box').innerText";
/// Whether the stream of the first widget is open, as a JavaScript expression.
pub(super) const LIVE: &str = "document.querySelector('docrelay-status').state.state === 'live'";
/// The attribute that selects the document of number 1.
pub(super) const FIRST: &str = "document=\"626626a0-749f-11e2-bfd6-000000000001\"";

/// An expression: whether the first widget shows this text.
pub(super) fn shows(text: &str) -> String {
    format!("{SHOWN}.includes({})", json!(text))
}

/// An expression: whether the page got an event of this title.
pub(super) fn received(title: &str) -> String {
    format!("events.some((event) => event.title === {})", json!(title))
}

/// The titles of the DOM events, in order.
pub(super) fn titles(browser: &mut Browser) -> Value {
    browser.evaluate("events.map((event) => event.title)")
}

/// The error codes of all states, in order.
pub(super) fn error_codes(browser: &mut Browser) -> Value {
    browser.evaluate("states.filter(({ code }) => code).map(({ code }) => code)")
}
