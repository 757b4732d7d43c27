//! What the widget survives: a relay that is killed, a network that goes, a ticket that expires, a tab that is closed; and
//! that all tabs together hold one stream.

use serde_json::json;

use super::{
    FIRST, LIVE, SHOWN, Site, heard, nothing_to_complain_of, shows, titles, troubles, widget, with_ticket, with_token,
};
use crate::harness::chromium::Browser;
use crate::harness::receiver::Received;
use crate::harness::{TIMEOUT, TestRelay};

#[test]
fn the_widget_misses_nothing_when_the_relay_is_killed() {
    let Some(mut browser) = Browser::start() else { return };
    let mut site = Site::new("60s", with_token(""));
    browser.navigate(&site.site.url("/"));
    browser.wait_until(LIVE);
    site.tell(1, "COMPLETED", "1.pdf");
    browser.wait_until(&shows("1.pdf"));
    nothing_to_complain_of(&browser);
    site.relay.kill();
    browser.wait_until(&shows("Updates are unavailable right now. Retrying."));
    site.relay.restart();
    for number in 2..=5 {
        site.tell(number, "COMPLETED", &format!("{number}.pdf"));
    }
    browser.wait_until(&heard("5.pdf"));
    assert_eq!(
        titles(&mut browser),
        json!(["1.pdf", "2.pdf", "3.pdf", "4.pdf", "5.pdf"]),
        "no gap, no repeat, in order"
    );
    assert_eq!(browser.evaluate("states.map(({ state }) => state).at(-1)"), json!("live"));
}

#[test]
fn after_a_reset_the_widget_looks_at_the_present_state_and_says_so() {
    let Some(mut browser) = Browser::start() else { return };
    // The position of another store, as after one was lost.
    let lost = "<script>
        const ask = fetch;
        globalThis.fetch = (url, options) => {
          const { lose } = globalThis;
          if (lose && options.headers['Last-Event-ID']) [options.headers['Last-Event-ID'], globalThis.lose] = ['other.1', false];
          return ask(url, options);
        };
        </script>";
    let site = Site::new("60s", |relay, token| format!("{lost}{}", widget(relay, &format!("token=\"{token}\""))));
    browser.navigate(&site.site.url("/"));
    browser.wait_until(LIVE);
    site.tell(1, "COMPLETED", "1.pdf");
    browser.wait_until(&shows("1.pdf"));
    browser.evaluate("lose = true; dispatchEvent(new Event('offline'))");
    browser.wait_until(&shows("Some earlier updates are no longer available."));
    browser.wait_until(&format!("{} && {LIVE}", shows("1.pdf")));
    site.tell(2, "COMPLETED", "2.pdf");
    browser.wait_until(&heard("2.pdf"));
    assert_eq!(titles(&mut browser), json!(["1.pdf", "2.pdf"]));
    assert_eq!(browser.evaluate(&format!("{SHOWN}.includes('no longer available')")), json!(false));
    nothing_to_complain_of(&browser);
}

#[test]
fn an_expired_ticket_is_replaced_unseen() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new("2s", with_ticket(FIRST));
    site.tell(1, "PENDING", "a.pdf");
    browser.navigate(&site.site.url("/"));
    browser.wait_until(&shows("In progress"));
    let replaced = |all: &[Received]| all.iter().filter(|received| received.target == "/ticket").count() >= 3;
    site.site.wait_until(TIMEOUT, replaced);
    site.tell(1, "COMPLETED", "a.pdf");
    browser.wait_until(&shows("Completed"));
    assert_eq!(titles(&mut browser), json!(["a.pdf"]));
    assert_eq!(browser.evaluate("[...new Set(states.map(({ state }) => state))]"), json!(["live"]));
    assert_eq!(troubles(&mut browser), json!([]));
    assert!(site.tickets() >= 3);
    nothing_to_complain_of(&browser);
}

/// Makes the widget take every token for a ticket, which opens streams and nothing else, and was issued in the second that
/// follows: what came before in the same second would be taken for news.
const TICKETS_ONLY: &str = r#"<script>
    const decode = atob;
    const later = (text, seconds) => `"iat":${Number(seconds) + 1}`;
    globalThis.atob = (text) => decode(text).replace("{", '{"use":"ticket",').replace(/"iat":(\d+)/, later);
    </script>"#;

#[test]
fn a_ticket_that_reads_no_documents_shows_the_present_state_by_its_stream() {
    let Some(mut browser) = Browser::start() else { return };
    let page = |relay: &TestRelay, _: &str| {
        format!("{TICKETS_ONLY}{}", widget(relay, &format!("ticket-url=\"/ticket\" {FIRST}")))
    };
    let site = Site::new("60s", page);
    site.tell(1, "PENDING", "1.pdf");
    site.tell(2, "COMPLETED", "2.pdf");
    site.tell(3, "COMPLETED", "3.pdf");
    site.tell(1, "COMPLETED", "1.pdf");
    browser.navigate(&site.site.url("/"));
    browser.wait_until(&shows("1.pdf"));
    browser.wait_until(&shows("Completed"));
    // Another element of the page wants another document, which the stream has passed by.
    browser.evaluate(
        "(() => {
           const second = document.querySelector('docrelay-status').cloneNode();
           second.setAttribute('document', '626626a0-749f-11e2-bfd6-000000000002');
           document.body.append(second);
           watch(second);
         })()",
    );
    browser.wait_until("document.querySelectorAll('docrelay-status')[1].documents[0]?.title === '2.pdf'");
    site.tell(2, "ERROR", "2.pdf");
    browser.wait_until("document.querySelectorAll('docrelay-status')[1].documents[0]?.status === 'ERROR'");
    assert_eq!(browser.evaluate("events.length"), json!(1), "the past is no news");
    assert_eq!(site.metric("docrelay_followers"), "1");

    // One that wants all documents widens the stream, and the past of a third is still to be had beside it.
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
    site.tell(4, "COMPLETED", "4.pdf");
    browser.wait_until("document.querySelectorAll('docrelay-status')[2].documents[0]?.title === '4.pdf'");
    assert_eq!(browser.evaluate("events.map((event) => event.title)"), json!(["2.pdf", "4.pdf"]));
    assert!(!browser.requested_urls.iter().any(|url| url.contains("/documents")), "{:?}", browser.requested_urls);
    assert_eq!(site.metric("docrelay_followers"), "1");
    nothing_to_complain_of(&browser);
}

#[test]
fn two_tabs_hold_one_stream_and_the_second_goes_on_without_a_gap() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new("60s", with_ticket(""));
    site.tell(1, "COMPLETED", "1.pdf");
    browser.navigate(&site.site.url("/"));
    browser.wait_until(LIVE);
    let first = browser.open_tab();
    browser.navigate(&site.site.url("/"));
    browser.wait_until(LIVE);
    browser.wait_until(&shows("1.pdf"));
    site.tell(2, "COMPLETED", "2.pdf");
    browser.wait_until(&heard("2.pdf"));
    assert_eq!(site.metric("docrelay_followers"), "1");
    assert_eq!(site.metric("docrelay_followers_opened_total"), "1");
    let second = browser.switch_to(first);
    browser.wait_until(&heard("2.pdf"));
    nothing_to_complain_of(&browser);

    let first = browser.switch_to(second);
    browser.close_tab(&first);
    for number in 3..=6 {
        site.tell(number, "COMPLETED", &format!("{number}.pdf"));
    }
    browser.wait_until(&heard("6.pdf"));
    assert_eq!(
        titles(&mut browser),
        json!(["2.pdf", "3.pdf", "4.pdf", "5.pdf", "6.pdf"]),
        "no gap, no repeat, in order"
    );
    assert_eq!(site.metric("docrelay_followers"), "1");
    assert_eq!(site.metric("docrelay_followers_opened_total"), "2");
    assert_eq!(troubles(&mut browser), json!([]));
}

#[test]
fn the_widget_says_that_it_is_offline_and_catches_up_when_it_is_back() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new("60s", with_token(""));
    browser.navigate(&site.site.url("/"));
    browser.wait_until(LIVE);
    let network =
        |offline: bool| json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
    browser.call("Network.emulateNetworkConditions", network(true));
    browser.wait_until(&shows("You are offline."));
    site.tell(1, "COMPLETED", "1.pdf");
    browser.call("Network.emulateNetworkConditions", network(false));
    browser.wait_until(&heard("1.pdf"));
    assert_eq!(
        browser.evaluate("states"),
        json!([{"state": "live"}, {"state": "offline", "code": "offline"}, {"state": "live"}])
    );
    nothing_to_complain_of(&browser);
}
