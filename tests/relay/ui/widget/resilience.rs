//! The widget over interruptions: a killed relay, a lost network, an expired ticket, a closed tab. All tabs share one
//! stream.

use serde_json::json;

use super::site::{FIRST, LIVE, SHOWN, Site, error_codes, received, shows, titles, widget, with_ticket, with_token};
use crate::harness::TIMEOUT;
use crate::harness::chromium::Browser;
use crate::harness::fixture::Fixture;
use crate::harness::receiver::Received;

#[test]
fn widget_misses_nothing_when_relay_is_killed() {
    let Some(mut browser) = Browser::start() else { return };
    let mut site = Site::new("60s", with_token(""));
    browser.navigate(&site.server.url("/"));
    browser.wait_until(LIVE);
    site.post(1, "COMPLETED", "1.pdf");
    browser.wait_until(&shows("1.pdf"));
    browser.assert_no_errors();
    site.fixture.relay.kill();
    browser.wait_until(&shows("Updates are unavailable right now. Retrying."));
    site.fixture.relay.restart();
    for number in 2..=5 {
        site.post(number, "COMPLETED", &format!("{number}.pdf"));
    }
    browser.wait_until(&received("5.pdf"));
    assert_eq!(
        titles(&mut browser),
        json!(["1.pdf", "2.pdf", "3.pdf", "4.pdf", "5.pdf"]),
        "no gap, no repeat, in order"
    );
    assert_eq!(browser.evaluate("states.map(({ state }) => state).at(-1)"), json!("live"));
}

#[test]
fn widget_reloads_state_after_reset_and_says_so() {
    let Some(mut browser) = Browser::start() else { return };
    // The page sends an event id of another store, as after the loss of a store.
    let lost = "<script>
        const ask = fetch;
        globalThis.fetch = (url, options) => {
          const { lose } = globalThis;
          if (lose && options.headers['Last-Event-ID']) [options.headers['Last-Event-ID'], globalThis.lose] = ['other.1', false];
          return ask(url, options);
        };
        </script>";
    let site = Site::new("60s", |fixture| {
        let token = format!("token=\"{}\"", fixture.token);
        format!("{lost}{}", widget(&fixture.relay, &token))
    });
    browser.navigate(&site.server.url("/"));
    browser.wait_until(LIVE);
    site.post(1, "COMPLETED", "1.pdf");
    browser.wait_until(&shows("1.pdf"));
    browser.evaluate("lose = true; dispatchEvent(new Event('offline'))");
    browser.wait_until(&shows("Some earlier updates are no longer available."));
    browser.wait_until(&format!("{} && {LIVE}", shows("1.pdf")));
    site.post(2, "COMPLETED", "2.pdf");
    browser.wait_until(&received("2.pdf"));
    assert_eq!(titles(&mut browser), json!(["1.pdf", "2.pdf"]));
    assert_eq!(browser.evaluate(&format!("{SHOWN}.includes('no longer available')")), json!(false));
    browser.assert_no_errors();
}

#[test]
fn expired_ticket_is_replaced_without_interruption() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new("2s", with_ticket(FIRST));
    site.post(1, "PENDING", "a.pdf");
    browser.navigate(&site.server.url("/"));
    browser.wait_until(&shows("In progress"));
    let replaced = |all: &[Received]| all.iter().filter(|received| received.target == "/ticket").count() >= 3;
    site.server.wait_until(TIMEOUT, replaced);
    site.post(1, "COMPLETED", "a.pdf");
    browser.wait_until(&shows("Completed"));
    assert_eq!(titles(&mut browser), json!(["a.pdf"]));
    assert_eq!(browser.evaluate("[...new Set(states.map(({ state }) => state))]"), json!(["live"]));
    assert_eq!(error_codes(&mut browser), json!([]));
    assert!(site.ticket_requests() >= 3);
    browser.assert_no_errors();
}

/// Makes the widget treat every token as a ticket, which opens only streams. The token counts as issued a second later, so
/// that earlier events of the same second do not count as new.
const TICKETS_ONLY: &str = r#"<script>
    const decode = atob;
    const later = (text, seconds) => `"iat":${Number(seconds) + 1}`;
    globalThis.atob = (text) => decode(text).replace("{", '{"use":"ticket",').replace(/"iat":(\d+)/, later);
    </script>"#;

#[test]
fn ticket_without_document_access_shows_state_from_stream() {
    let Some(mut browser) = Browser::start() else { return };
    let page = |fixture: &Fixture| {
        format!("{TICKETS_ONLY}{}", widget(&fixture.relay, &format!("ticket-url=\"/ticket\" {FIRST}")))
    };
    let site = Site::new("60s", page);
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

    // An element for all documents replaces the stream by one without a filter; a fourth element still gets the replay of
    // its document.
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
fn second_tab_takes_over_shared_stream_without_gap() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new("60s", with_ticket(""));
    site.post(1, "COMPLETED", "1.pdf");
    browser.navigate(&site.server.url("/"));
    browser.wait_until(LIVE);
    let first = browser.open_tab();
    browser.navigate(&site.server.url("/"));
    browser.wait_until(LIVE);
    browser.wait_until(&shows("1.pdf"));
    site.post(2, "COMPLETED", "2.pdf");
    browser.wait_until(&received("2.pdf"));
    assert_eq!(site.open_streams(), 1);
    assert_eq!(site.opened_streams(), 1);
    let second = browser.switch_to(first);
    browser.wait_until(&received("2.pdf"));
    browser.assert_no_errors();

    let first = browser.switch_to(second);
    browser.close_tab(&first);
    for number in 3..=6 {
        site.post(number, "COMPLETED", &format!("{number}.pdf"));
    }
    browser.wait_until(&received("6.pdf"));
    assert_eq!(
        titles(&mut browser),
        json!(["2.pdf", "3.pdf", "4.pdf", "5.pdf", "6.pdf"]),
        "no gap, no repeat, in order"
    );
    assert_eq!(site.open_streams(), 1);
    assert_eq!(site.opened_streams(), 2);
    assert_eq!(error_codes(&mut browser), json!([]));
}

#[test]
fn offline_widget_says_so_and_catches_up() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new("60s", with_token(""));
    browser.navigate(&site.server.url("/"));
    browser.wait_until(LIVE);
    let network =
        |offline: bool| json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
    browser.call("Network.emulateNetworkConditions", network(true));
    browser.wait_until(&shows("You are offline."));
    site.post(1, "COMPLETED", "1.pdf");
    browser.call("Network.emulateNetworkConditions", network(false));
    browser.wait_until(&received("1.pdf"));
    assert_eq!(
        browser.evaluate("states"),
        json!([{"state": "live"}, {"state": "offline", "code": "offline"}, {"state": "live"}])
    );
    browser.assert_no_errors();
}
