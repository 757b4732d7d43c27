//! A site of another origin than the relay's, with the widget on its pages, and expressions about the widget's state.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::chromium::Browser;
use crate::harness::connection::Connection;
use crate::harness::fixture::Fixture;
use crate::harness::receiver::{Received, Receiver, Reply};
use crate::harness::request::Request;
use crate::harness::{TIMEOUT, TestRelay};
use crate::ui::post_document;

/// The response of the site to a request for a ticket.
#[derive(Clone)]
pub(super) enum TicketReply {
    /// The relay's response to this request body.
    Issue(Value),
    /// This body, with status 200.
    Fixed(Value),
    /// An error of the site.
    Status(u16),
}

/// A site with the widget on its pages.
pub(super) struct Site {
    pub(super) fixture: Fixture,
    pub(super) server: Receiver,
    tickets: Arc<Mutex<TicketReply>>,
}

impl Site {
    /// Every page of the site is `body`, after the widget's script. `/ticket` returns tickets of the relay for all
    /// documents.
    pub(super) fn new(body: impl FnOnce(&Fixture) -> String) -> Self {
        // The first idle line marks the end of the replay.
        let fixture = Fixture::with_config(&[("idle_interval", "1s")]);
        let page = page(&fixture.relay, &body(&fixture));
        let tickets = Arc::new(Mutex::new(TicketReply::Issue(json!({}))));
        let (relay, token, reply) = (fixture.relay.listen, fixture.token.clone(), tickets.clone());
        let server = Receiver::start(move |received, _| {
            if received.target != "/ticket" {
                let headers = "Content-Type: text/html; charset=utf-8\r\n";
                return Reply { body: page.clone(), headers, ..Reply::status(200) };
            }
            let body = match reply.lock().expect("a reply").clone() {
                TicketReply::Issue(request) => issue_ticket(relay, &token, &request),
                TicketReply::Fixed(body) => body,
                TicketReply::Status(status) => return Reply::status(status),
            };
            Reply { body: body.to_string(), headers: "Content-Type: application/json\r\n", ..Reply::status(200) }
        });
        Self { fixture, server, tickets }
    }

    /// Changes the response to later requests for a ticket.
    pub(super) fn set_tickets(&self, reply: TicketReply) {
        *self.tickets.lock().expect("a reply") = reply;
    }

    /// A ticket of the relay, as its response `{"token", "expires_in"}`.
    #[track_caller]
    pub(super) fn issue_ticket(&self, request: &Value) -> Value {
        issue_ticket(self.fixture.relay.listen, &self.fixture.token, request)
    }

    /// Posts a webhook. Returns the id of the document.
    #[track_caller]
    pub(super) fn post(&self, number: u32, status: &str, title: &str) -> String {
        post_document(&self.fixture, number, status, title)
    }

    /// Waits until the site has got this many requests for a ticket.
    #[track_caller]
    pub(super) fn wait_for_ticket_requests(&self, count: usize) {
        let is_ticket = |received: &&Received| received.target == "/ticket";
        self.server.wait_until(TIMEOUT, |all| all.iter().filter(is_ticket).count() >= count);
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

#[track_caller]
fn issue_ticket(relay: SocketAddr, token: &str, request: &Value) -> Value {
    let request = Request::post("/events/ticket").bearer(token).json(&request.to_string());
    let response = Connection::open(relay).send(&request);
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
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
