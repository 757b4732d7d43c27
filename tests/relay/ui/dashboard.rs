//! The dashboard: table, pages of documents, hooks, rejects and notifications, latency, and restarts of the relay.

mod accessibility;
mod table;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::post_document;
use crate::harness::TestRelay;
use crate::harness::chromium::Browser;
use crate::harness::connection::Connection;
use crate::harness::fixture::{Fixture, document_id};
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::request::Request;

/// A dashboard in a browser.
struct Dashboard {
    browser: Browser,
    fixture: Fixture,
}

impl Dashboard {
    /// Starts a relay and a browser; `None` where there is no browser.
    fn start() -> Option<Self> {
        let browser = Browser::start()?;
        Some(Self { browser, fixture: Fixture::with_config(&[("allow_private_endpoints", "127.0.0.0/8")]) })
    }

    /// Opens the dashboard with the token in the fragment, and waits until its stream is open.
    fn signed_in() -> Option<Self> {
        let mut dashboard = Self::start()?;
        dashboard.browser.navigate(&dashboard.url(&format!("#token={}", dashboard.fixture.token)));
        dashboard.browser.wait_until(OPEN);
        Some(dashboard)
    }

    fn url(&self, path: &str) -> String {
        self.fixture.relay.url(&format!("/{path}"))
    }

    /// Posts a webhook. Returns the id of the document.
    #[track_caller]
    fn post(&self, number: u32, status: &str, title: &str) -> String {
        post_document(&self.fixture, number, status, title)
    }

    /// Opens a route of the dashboard without a page load.
    fn open_route(&mut self, fragment: &str) {
        self.browser.evaluate(&format!("void (location.hash = {})", json!(fragment)));
    }

    fn press_key(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "ArrowDown" => 40,
            "End" => 35,
            _ => 0,
        };
        let text = if key == "Enter" { json!("\r") } else { Value::Null };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            if kind == "keyDown" && !text.is_null() {
                event["text"] = text.clone();
            }
            self.browser.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Asserts that the browser reports no error, requests nothing from another origin, and sends no token in a URL.
    #[track_caller]
    fn assert_clean(&self) {
        self.browser.assert_no_errors();
        let origin = self.url("");
        for url in &self.browser.requested_urls {
            assert!(url.starts_with(&origin), "{url} is not of {origin}");
            assert!(!url.split('#').next().unwrap_or_default().contains(&self.fixture.token), "{url}");
        }
    }
}

/// Webhooks whose way to the table is measured. The median counts.
const LATENCY_ROUNDS: u32 = 21;

const OPEN: &str = "document.querySelector('#state').dataset.state === 'open'";

/// An expression: whether the table shows this text.
fn table_shows(text: &str) -> String {
    format!("document.querySelector('#documents').innerText.includes({})", json!(text))
}

/// The median time between two frames of an empty page, in milliseconds.
const FRAME_TIME: &str = "(async () => {
    const frame = () => new Promise(requestAnimationFrame);
    const times = [];
    let previous = await frame();
    while (times.length < 61) {
      const now = await frame();
      times.push(now - previous);
      previous = now;
    }
    return times.sort((a, b) => a - b)[30];
  })()";

#[test]
fn table_shows_a_webhook_within_a_second() {
    let Some(mut dashboard) = Dashboard::start() else { return };
    let frame = dashboard.browser.evaluate(FRAME_TIME).as_f64().expect("a time");
    dashboard.browser.navigate(&dashboard.url(&format!("#token={}", dashboard.fixture.token)));
    dashboard.browser.wait_until(OPEN);
    let mut stream = dashboard.fixture.follow();
    let (mut rows, mut events) = (Vec::new(), Vec::new());
    for number in 0..LATENCY_ROUNDS {
        let title = format!("document {number}.pdf");
        // The page records when the row appears. Page and test use the same clock.
        dashboard.browser.evaluate(&format!(
            "void (window.seen = new Promise((resolve) => {{
               const check = () => {} ? resolve(Date.now()) : requestAnimationFrame(check);
               check();
             }}))",
            table_shows(&title)
        ));
        let posted = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_millis();
        let began = Instant::now();
        dashboard.post(number, "COMPLETED", &title);
        stream.next_event();
        events.push(began.elapsed());
        let seen = dashboard.browser.evaluate("seen").as_u64().expect("a time");
        rows.push(Duration::from_millis(u128::from(seen).saturating_sub(posted).try_into().expect("short")));
    }
    rows.sort();
    events.sort();
    let middle = rows.len() / 2;
    let (row, event, slowest) = (rows[middle], events[middle], rows[rows.len() - 1]);
    let frame = Duration::from_secs_f64(frame / 1000.0);
    eprintln!(
        "from the webhook to the row: {row:?}, at most {slowest:?}; to a bare stream: {event:?}; frame: {frame:?}"
    );
    // The row needs the event and two frames: one until the page renders, one until it looks. The rest is for noise.
    assert!(row < (event + 2 * frame) * 3, "the row took {row:?}, the event {event:?}, a frame {frame:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert_eq!(dashboard.browser.evaluate("document.querySelectorAll('#documents tr.fresh').length > 0"), json!(true));
    dashboard.assert_clean();
}

#[test]
fn killed_relay_removes_nothing_from_the_table() {
    let Some(mut dashboard) = Dashboard::signed_in() else { return };
    for number in 0..5 {
        dashboard.post(number, "PENDING", &format!("before {number}"));
    }
    dashboard.browser.wait_until(&table_shows("before 4"));
    dashboard.fixture.relay.kill();
    dashboard.browser.wait_until("document.querySelector('#state').dataset.state === 'waiting'");
    assert!(
        dashboard
            .browser
            .evaluate("document.querySelector('#state').innerText")
            .as_str()
            .is_some_and(|s| s.contains("lost"))
    );
    assert_eq!(dashboard.browser.evaluate("document.querySelectorAll('#documents tbody tr').length"), json!(5));
    dashboard.fixture.relay.restart();
    // An event during the page's reconnection.
    dashboard.post(7, "ERROR", "meanwhile");
    dashboard.browser.wait_until(&table_shows("meanwhile"));
    for number in 0..5 {
        assert_eq!(dashboard.browser.evaluate(&table_shows(&format!("before {number}"))), json!(true), "{number}");
    }
    // The chart counts each event once, also across the restart.
    let chart = "document.querySelector('.chart').getAttribute('aria-label')";
    dashboard.browser.wait_until(&format!("{chart}.startsWith('6 events')"));
}

#[test]
fn document_page_shows_history_and_request_bodies() {
    let Some(mut dashboard) = Dashboard::signed_in() else { return };
    dashboard.post(1, "PENDING", "offer.docx");
    let body = json!({"documentId": document_id(1), "status": "ERROR", "title": "offer.docx", "result": {"pages": 3},
        "error": {"code": "2", "message": "source file error"}});
    dashboard.fixture.post(&body);
    dashboard.open_route(&format!("#/documents/{}", document_id(1)));
    dashboard.browser.wait_until("document.querySelectorAll('#page .history li').length === 2");
    let page = dashboard.browser.evaluate("document.querySelector('#page').innerText");
    for text in ["offer.docx", "source file error", &document_id(1), "No deliveries."] {
        assert!(page.as_str().is_some_and(|p| p.contains(text)), "{text}: {page}");
    }
    dashboard.browser.evaluate("document.querySelector('#page .history details').open = true");
    dashboard
        .browser
        .wait_until("document.querySelector('#page .history pre')?.innerText.includes('\"status\": \"ERROR\"')");
    // The page shows live events.
    dashboard.post(1, "COMPLETED", "offer.docx");
    dashboard.browser.wait_until("document.querySelectorAll('#page .history li').length === 3");
    dashboard.assert_clean();
}

#[test]
fn hooks_show_last_requests_and_rejects_can_be_replayed() {
    let Some(mut dashboard) = Dashboard::signed_in() else { return };
    let refused = dashboard
        .fixture
        .relay
        .send(&Request::post(&dashboard.fixture.hook).json(r#"{"documentId":"x","status":"WHAT"}"#));
    assert_eq!(refused.status, 422);
    dashboard.post(1, "COMPLETED", "good.pdf");
    dashboard.open_route("#/hooks");
    dashboard.browser.wait_until("document.querySelector('#page .card') !== null");
    let page = dashboard.browser.evaluate("document.querySelector('#page').innerText");
    let hook_url = dashboard.fixture.relay.url(&dashboard.fixture.hook);
    for text in [hook_url.as_str(), "· 200", "· 422 ·", "WHAT"] {
        assert!(page.as_str().is_some_and(|p| p.contains(text)), "{text}: {page}");
    }
    dashboard.open_route("#/rejects");
    dashboard.browser.wait_until("document.querySelector('#page .card') !== null");
    dashboard.browser.errors.clear();
    dashboard.browser.evaluate("document.querySelector('#page .card button').click()");
    dashboard.browser.wait_until("document.querySelector('#page .card [role=alert]').innerText.includes('WHAT')");
    dashboard.browser.errors.clear();
    dashboard.open_route("#/notifications");
    dashboard.browser.wait_until("document.querySelector('#page .empty') !== null");
    dashboard.assert_clean();
}

#[test]
fn failed_delivery_can_be_retried_from_the_page() {
    let Some(mut dashboard) = Dashboard::signed_in() else { return };
    // The endpoint fails only for the first request.
    let receiver = Receiver::start(|_, before| Reply::status(if before == 0 { 400 } else { 200 }));
    let body = json!({"name": "main", "endpoint": receiver.url("/notify"), "format": "gini", "isDefault": true});
    let made = dashboard
        .fixture
        .relay
        .send(&Request::post("/v2/notification").bearer(&dashboard.fixture.token).json(&body.to_string()));
    assert_eq!(made.status, 200, "{made:?}");
    dashboard.post(1, "COMPLETED", "out.pdf");
    receiver.wait(1);
    dashboard.open_route("#/notifications");
    dashboard.browser.wait_until("document.querySelector('#page .card .deliveries button') !== null");
    dashboard.browser.wait_until("document.querySelector('#page').innerText.includes('400')");
    dashboard.browser.evaluate("document.querySelector('#page .card .deliveries button').click()");
    receiver.wait(2);
    dashboard.browser.wait_until("document.querySelector('#page .card .deliveries').innerText.includes('delivered')");
    dashboard.open_route(&format!("#/documents/{}", document_id(1)));
    dashboard.browser.wait_until("document.querySelector('#page .deliveries')?.innerText.includes('main')");
    dashboard.assert_clean();
}

#[test]
fn event_counts_are_correct_after_restart() {
    let Fixture { mut relay, hook, token } = Fixture::start();
    let mut connection = Connection::open(relay.listen);
    for number in 0..7 {
        let status = if number < 3 { "ERROR" } else { "COMPLETED" };
        let body = json!({"documentId": document_id(number), "status": status});
        assert_eq!(connection.send(&Request::post(&hook).json(&body.to_string())).status, 200);
    }
    let counts = |relay: &TestRelay| {
        let counts = relay.send(&Request::get("/events/counts").bearer(&token)).json();
        let minutes = counts["minutes"].as_array().expect("minutes").clone();
        let sum = |status: &str| {
            minutes.iter().filter(|m| m["status"] == status).filter_map(|m| m["count"].as_u64()).sum::<u64>()
        };
        (sum("ERROR"), sum("COMPLETED"), sum("PENDING"), counts["lastEventId"].clone())
    };
    let before = counts(&relay);
    assert_eq!((before.0, before.1, before.2), (3, 4, 0));
    let began = Instant::now();
    relay.kill();
    relay.restart();
    assert_eq!(counts(&relay), before, "{:?}", began.elapsed());
    assert_eq!(relay.send(&Request::get("/events/counts")).status, 401);
    assert_eq!(relay.send(&Request::post("/events/counts").bearer(&token)).status, 405);
}
