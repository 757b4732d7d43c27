//! The widget with tickets of the relay: what is news, expiry, tickets for some documents, refused and missing tickets.

use std::time::SystemTime;

use serde_json::json;

use super::site::{FIRST, LIVE, SHOWN, Site, TicketReply, error_codes, received, shows, titles, with_ticket};
use crate::harness::chromium::Browser;
use crate::harness::fixture::document_id;

/// Lets a waiting widget try again at once.
const RETRY_NOW: &str = "void dispatchEvent(new Event('online'))";

fn unix_seconds() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_secs()
}

/// `iat` has whole seconds and decided what is news: a state that was stored just before a page view was reported as
/// new.
#[test]
fn event_in_the_same_second_before_the_ticket_is_not_news() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new(with_ticket(FIRST));
    let ticket = loop {
        let second = unix_seconds();
        site.post(1, "PENDING", "old.pdf");
        let ticket = site.issue_ticket(&json!({}));
        if unix_seconds() == second {
            break ticket;
        }
        // Another state: the same one again would be stored as no event.
        site.post(1, "ERROR", "older.pdf");
    };
    site.set_tickets(TicketReply::Fixed(ticket));
    browser.navigate(&site.server.url("/"));
    browser.wait_until(&shows("old.pdf"));
    site.post(1, "COMPLETED", "new.pdf");
    browser.wait_until(&received("new.pdf"));
    assert_eq!(titles(&mut browser), json!(["new.pdf"]));
    browser.assert_no_errors();
}

#[test]
fn expired_ticket_is_replaced_without_interruption() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new(with_ticket(FIRST));
    site.set_tickets(TicketReply::Issue(json!({"ttl": 2})));
    site.post(1, "PENDING", "a.pdf");
    browser.navigate(&site.server.url("/"));
    browser.wait_until(&shows("In progress"));
    site.wait_for_ticket_requests(3);
    site.post(1, "COMPLETED", "a.pdf");
    browser.wait_until(&shows("Completed"));
    assert_eq!(titles(&mut browser), json!(["a.pdf"]));
    assert_eq!(browser.evaluate("[...new Set(states.map(({ state }) => state))]"), json!(["live"]));
    assert_eq!(error_codes(&mut browser), json!([]));
    browser.assert_no_errors();
}

#[test]
fn ticket_without_document_access_shows_state_from_stream() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new(with_ticket(FIRST));
    site.post(1, "PENDING", "1.pdf");
    site.post(2, "COMPLETED", "2.pdf");
    site.post(3, "COMPLETED", "3.pdf");
    site.post(1, "COMPLETED", "1.pdf");
    browser.navigate(&site.server.url("/"));
    browser.wait_until(&shows("1.pdf"));
    browser.wait_until(&shows("Completed"));
    // A second element shows another document, whose events the stream has already replayed.
    browser.evaluate(
        "(() => {
           const second = document.querySelector('docrelay-status').cloneNode();
           second.setAttribute('document', '626626a0-749f-11e2-bfd6-000000000002');
           document.body.append(second);
           watch(second);
         })()",
    );
    browser.wait_until("document.querySelectorAll('docrelay-status')[1].documents[0]?.title === '2.pdf'");
    site.post(2, "ERROR", "2.pdf");
    browser.wait_until("document.querySelectorAll('docrelay-status')[1].documents[0]?.status === 'ERROR'");
    assert_eq!(browser.evaluate("events.length"), json!(1), "replayed events are not dispatched");
    assert_eq!(site.open_streams(), 1);

    // An element for all documents replaces the stream by one without a filter; a fourth element still gets the replay
    // of its document.
    browser.evaluate(
        "for (const name of ['', '626626a0-749f-11e2-bfd6-000000000003']) {
           const more = document.querySelector('docrelay-status').cloneNode();
           more.setAttribute('document', name);
           document.body.append(more);
           watch(more);
         }",
    );
    browser.wait_until("document.querySelectorAll('docrelay-status')[3].documents[0]?.title === '3.pdf'");
    browser.wait_until("document.querySelectorAll('docrelay-status')[2].state.state === 'live'");
    site.post(4, "COMPLETED", "4.pdf");
    browser.wait_until("document.querySelectorAll('docrelay-status')[2].documents[0]?.title === '4.pdf'");
    assert_eq!(browser.evaluate("events.map((event) => event.title)"), json!(["2.pdf", "4.pdf"]));
    assert!(!browser.requested_urls.iter().any(|url| url.contains("/documents")), "{:?}", browser.requested_urls);
    assert_eq!(site.open_streams(), 1);
    browser.assert_no_errors();
}

#[test]
fn ticket_for_one_document_shows_no_other() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new(with_ticket(""));
    site.set_tickets(TicketReply::Issue(json!({"documents": [document_id(1)]})));
    site.post(1, "PENDING", "1.pdf");
    site.post(2, "COMPLETED", "2.pdf");
    browser.navigate(&site.server.url("/"));
    browser.wait_until(&shows("1.pdf"));
    // An element that names the other document gets nothing of it.
    browser.evaluate(&format!(
        "(() => {{
           const second = document.querySelector('docrelay-status').cloneNode();
           second.setAttribute('document', '{}');
           document.body.append(second);
           watch(second);
         }})()",
        document_id(2)
    ));
    browser.wait_until("document.querySelectorAll('docrelay-status')[1].state.state === 'live'");
    site.post(2, "ERROR", "2.pdf");
    site.post(1, "COMPLETED", "1.pdf");
    browser.wait_until(&shows("Completed"));
    assert_eq!(titles(&mut browser), json!(["1.pdf"]));
    assert_eq!(browser.evaluate(&format!("{SHOWN}.includes('2.pdf')")), json!(false));
    assert_eq!(browser.evaluate("document.querySelectorAll('docrelay-status')[1].documents"), json!([]));
    browser.assert_no_errors();
}

#[test]
fn ticket_refused_by_the_site_is_shown_and_requested_again() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new(with_ticket(FIRST));
    site.post(1, "PENDING", "a.pdf");
    for status in [401, 403] {
        site.set_tickets(TicketReply::Status(status));
        browser.navigate(&site.server.url("/"));
        browser.wait_until("states.some(({ code }) => code === 'ticket_refused')");
        assert_eq!(browser.evaluate("states"), json!([{"state": "error", "code": "ticket_refused"}]));
        assert_eq!(site.opened_streams(), 0);
    }
    site.set_tickets(TicketReply::Issue(json!({})));
    browser.evaluate(RETRY_NOW);
    browser.wait_until(&shows("In progress"));
    browser.wait_until(LIVE);
}

#[test]
fn ticket_refused_by_the_relay_is_shown_and_replaced() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new(with_ticket(FIRST));
    site.post(1, "PENDING", "a.pdf");
    let mut forged = site.issue_ticket(&json!({}));
    let token = forged["token"].as_str().expect("a token");
    let (signed, _) = token.rsplit_once('.').expect("a signature");
    forged["token"] = json!(format!("{signed}.{}", "A".repeat(86)));
    site.set_tickets(TicketReply::Fixed(forged));
    browser.navigate(&site.server.url("/"));
    browser.wait_until("states.some(({ code }) => code === 'auth_failed')");
    assert_eq!(browser.evaluate(&shows("In progress")), json!(false));
    site.set_tickets(TicketReply::Issue(json!({})));
    browser.evaluate(RETRY_NOW);
    browser.wait_until(&shows("In progress"));
    browser.wait_until(LIVE);
}

#[test]
fn widget_misses_nothing_while_no_ticket_is_available() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new(with_ticket(FIRST));
    site.post(1, "PENDING", "1.pdf");
    site.set_tickets(TicketReply::Status(502));
    browser.navigate(&site.server.url("/"));
    browser.wait_until("states.some(({ code }) => code === 'ticket_failed')");
    site.set_tickets(TicketReply::Issue(json!({"ttl": 2})));
    browser.evaluate(RETRY_NOW);
    browser.wait_until(&shows("1.pdf"));
    browser.wait_until(LIVE);
    // The ticket expires, and the site has no other.
    site.set_tickets(TicketReply::Status(502));
    browser.wait_until("states.at(-1).code === 'ticket_failed'");
    assert_eq!(site.open_streams(), 0);
    assert_eq!(browser.evaluate(&shows("1.pdf")), json!(true), "the last known state stays");
    site.post(1, "ERROR", "2.pdf");
    site.post(1, "COMPLETED", "3.pdf");
    site.set_tickets(TicketReply::Issue(json!({})));
    browser.evaluate(RETRY_NOW);
    browser.wait_until(&received("3.pdf"));
    assert_eq!(titles(&mut browser), json!(["2.pdf", "3.pdf"]));
    assert_eq!(error_codes(&mut browser), json!(["ticket_failed", "ticket_failed"]));
}
