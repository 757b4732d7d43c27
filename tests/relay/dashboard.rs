//! The dashboard in a real browser: what it shows and how soon, what survives, what it costs, and whether everybody can
//! use it. Who may see it, and where the token goes, is in `browser`.

mod access;
mod table;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::TestRelay;
use crate::harness::chromium::Browser;
use crate::harness::command::NewHook;
use crate::harness::connection::Connection;
use crate::harness::request::Request;

/// A relay with one client and a Gini hook, and a browser that may look at it.
struct Desk {
    browser: Browser,
    relay: TestRelay,
    hook: NewHook,
    token: String,
}

impl Desk {
    /// `None` where there is no browser.
    fn open() -> Option<Self> {
        let browser = Browser::start()?;
        let relay = TestRelay::with_config(&[("allow_private_endpoints", "127.0.0.0/8")]);
        relay.add_client("acme");
        let hook = relay.add_hook("acme", "gini", &[]);
        let token = relay.token("acme");
        Some(Self { browser, relay, hook, token })
    }

    /// Signed in by the fragment, and connected.
    fn signed_in() -> Option<Self> {
        let mut desk = Self::open()?;
        let token = desk.token.clone();
        desk.browser.navigate(&desk.url(&format!("#token={token}")));
        desk.browser.wait_until(OPEN);
        Some(desk)
    }

    fn url(&self, after: &str) -> String {
        format!("http://{}/{after}", self.relay.listen)
    }

    /// A webhook: this document, in this state, of this title.
    #[track_caller]
    fn tell(&self, number: u32, status: &str, title: &str) -> String {
        let id = id(number);
        let body = json!({"documentId": id, "status": status, "title": title});
        let answer = self.relay.send(&Request::post(&self.hook.path).json(&body.to_string()));
        assert_eq!(answer.status, 200, "{answer:?}");
        id
    }

    /// A route of the browser, without loading the page anew.
    fn visit(&mut self, fragment: &str) {
        self.browser.evaluate(&format!("void (location.hash = {})", json!(fragment)));
    }

    fn key(&mut self, key: &str) {
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

    /// Nothing was complained of, and nothing was asked of anybody else.
    #[track_caller]
    fn is_clean(&self) {
        assert!(self.browser.errors.is_empty(), "{:#?}", self.browser.errors);
        let origin = self.url("");
        for url in &self.browser.requested_urls {
            assert!(url.starts_with(&origin), "{url} left {origin}");
            assert!(!url.split('#').next().unwrap_or_default().contains(&self.token), "{url}");
        }
    }
}

const OPEN: &str = "document.querySelector('#state').dataset.state === 'open'";

fn id(number: u32) -> String {
    format!("626626a0-749f-11e2-bfd6-{number:012}")
}

/// Whether the table shows this, and nothing hidden does.
fn table_has(text: &str) -> String {
    format!("document.querySelector('#documents').innerText.includes({})", json!(text))
}

#[test]
fn the_table_shows_a_webhook_at_once() {
    let Some(mut desk) = Desk::signed_in() else { return };
    let mut slowest = Duration::ZERO;
    let mut sum = Duration::ZERO;
    for number in 0..10 {
        let title = format!("document {number}.pdf");
        // The page itself notes when the row is there: the clock of both is the same machine's.
        desk.browser.evaluate(&format!(
            "void (window.seen = new Promise((resolve) => {{
               const look = () => {} ? resolve(Date.now()) : requestAnimationFrame(look);
               look();
             }}))",
            table_has(&title)
        ));
        let told = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_millis();
        desk.tell(number, "COMPLETED", &title);
        let seen = desk.browser.evaluate("seen").as_u64().expect("a time");
        let took = Duration::from_millis(u128::from(seen).saturating_sub(told).try_into().expect("short"));
        slowest = slowest.max(took);
        sum += took;
    }
    eprintln!("from the webhook's first byte to the row: {:?} on average, {slowest:?} at most", sum / 10);
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert_eq!(desk.browser.evaluate("document.querySelectorAll('#documents tr.fresh').length > 0"), json!(true));
    desk.is_clean();
}

#[test]
fn a_relay_that_is_killed_takes_nothing_off_the_screen() {
    let Some(mut desk) = Desk::signed_in() else { return };
    for number in 0..5 {
        desk.tell(number, "PENDING", &format!("before {number}"));
    }
    desk.browser.wait_until(&table_has("before 4"));
    desk.relay.kill();
    desk.browser.wait_until("document.querySelector('#state').dataset.state === 'waiting'");
    assert!(
        desk.browser
            .evaluate("document.querySelector('#state').innerText")
            .as_str()
            .is_some_and(|s| s.contains("lost"))
    );
    assert_eq!(desk.browser.evaluate("document.querySelectorAll('#documents tbody tr').length"), json!(5));
    desk.relay.restart();
    // While the page is away.
    desk.tell(7, "ERROR", "meanwhile");
    desk.browser.wait_until(&table_has("meanwhile"));
    for number in 0..5 {
        assert_eq!(desk.browser.evaluate(&table_has(&format!("before {number}"))), json!(true), "{number}");
    }
    // The chart counts each event once, over the restart too.
    let chart = "document.querySelector('.chart').getAttribute('aria-label')";
    desk.browser.wait_until(&format!("{chart}.startsWith('6 events')"));
}

#[test]
fn a_documents_page_shows_all_that_is_known_of_it() {
    let Some(mut desk) = Desk::signed_in() else { return };
    desk.tell(1, "PENDING", "offer.docx");
    let body = json!({"documentId": id(1), "status": "ERROR", "title": "offer.docx", "result": {"pages": 3},
        "error": {"code": "2", "message": "source file error"}});
    desk.relay.send(&Request::post(&desk.hook.path).json(&body.to_string()));
    desk.visit(&format!("#/documents/{}", id(1)));
    desk.browser.wait_until("document.querySelectorAll('#page .history li').length === 2");
    let page = desk.browser.evaluate("document.querySelector('#page').innerText");
    for text in ["offer.docx", "source file error", &id(1), "No deliveries."] {
        assert!(page.as_str().is_some_and(|p| p.contains(text)), "{text}: {page}");
    }
    desk.browser.evaluate("document.querySelector('#page .history details').open = true");
    desk.browser
        .wait_until("document.querySelector('#page .history pre')?.innerText.includes('\"status\": \"ERROR\"')");
    // It is alive: what comes now appears here, too.
    desk.tell(1, "COMPLETED", "offer.docx");
    desk.browser.wait_until("document.querySelectorAll('#page .history li').length === 3");
    desk.is_clean();
}

#[test]
fn hooks_show_when_they_were_called_and_rejects_can_be_replayed() {
    let Some(mut desk) = Desk::signed_in() else { return };
    let refused = desk.relay.send(&Request::post(&desk.hook.path).json(r#"{"documentId":"x","status":"WHAT"}"#));
    assert_eq!(refused.status, 422);
    desk.tell(1, "COMPLETED", "good.pdf");
    desk.visit("#/hooks");
    desk.browser.wait_until("document.querySelector('#page .card') !== null");
    let page = desk.browser.evaluate("document.querySelector('#page').innerText");
    for text in [desk.hook.url.as_str(), "· 200", "· 422 ·", "WHAT"] {
        assert!(page.as_str().is_some_and(|p| p.contains(text)), "{text}: {page}");
    }
    desk.visit("#/rejects");
    desk.browser.wait_until("document.querySelector('#page .card') !== null");
    desk.browser.errors.clear();
    desk.browser.evaluate("document.querySelector('#page .card button').click()");
    desk.browser.wait_until("document.querySelector('#page .card [role=alert]').innerText.includes('WHAT')");
    desk.browser.errors.clear();
    desk.visit("#/notifications");
    desk.browser.wait_until("document.querySelector('#page .empty') !== null");
    desk.is_clean();
}

#[test]
fn a_failed_delivery_can_be_retried_from_the_page() {
    use crate::harness::receiver::{Receiver, Reply};
    let Some(mut desk) = Desk::signed_in() else { return };
    // Gone for the first, well from then on.
    let receiver = Receiver::start(|_, before| Reply::status(if before == 0 { 400 } else { 200 }));
    let body = json!({"name": "main", "endpoint": receiver.url("/hear"), "format": "gini", "isDefault": true});
    let made = desk.relay.send(&Request::post("/v2/notification").bearer(&desk.token).json(&body.to_string()));
    assert_eq!(made.status, 200, "{made:?}");
    desk.tell(1, "COMPLETED", "out.pdf");
    receiver.wait(1);
    desk.visit("#/notifications");
    desk.browser.wait_until("document.querySelector('#page .card .deliveries button') !== null");
    desk.browser.wait_until("document.querySelector('#page').innerText.includes('400')");
    desk.browser.evaluate("document.querySelector('#page .card .deliveries button').click()");
    receiver.wait(2);
    desk.browser.wait_until("document.querySelector('#page .card .deliveries').innerText.includes('delivered')");
    desk.visit(&format!("#/documents/{}", id(1)));
    desk.browser.wait_until("document.querySelector('#page .deliveries')?.innerText.includes('main')");
    desk.is_clean();
}

#[test]
fn the_counts_are_right_after_a_restart() {
    let mut relay = TestRelay::start();
    relay.add_client("acme");
    let hook = relay.add_hook("acme", "gini", &[]);
    let token = relay.token("acme");
    let mut wire = Connection::open(relay.listen);
    for number in 0..7 {
        let status = if number < 3 { "ERROR" } else { "COMPLETED" };
        let body = json!({"documentId": id(number), "status": status});
        assert_eq!(wire.send(&Request::post(&hook.path).json(&body.to_string())).status, 200);
    }
    let counted = |relay: &TestRelay| {
        let counts = relay.send(&Request::get("/events/counts").bearer(&token)).json();
        let minutes = counts["minutes"].as_array().expect("minutes").clone();
        let sum = |status: &str| {
            minutes.iter().filter(|m| m["status"] == status).filter_map(|m| m["count"].as_u64()).sum::<u64>()
        };
        (sum("ERROR"), sum("COMPLETED"), sum("PENDING"), counts["lastEventId"].clone())
    };
    let before = counted(&relay);
    assert_eq!((before.0, before.1, before.2), (3, 4, 0));
    let began = Instant::now();
    relay.kill();
    relay.restart();
    assert_eq!(counted(&relay), before, "{:?}", began.elapsed());
    assert_eq!(relay.send(&Request::get("/events/counts")).status, 401);
    assert_eq!(relay.send(&Request::post("/events/counts").bearer(&token)).status, 405);
}
