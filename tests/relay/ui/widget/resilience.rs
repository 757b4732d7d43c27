//! The widget over interruptions: a killed relay, a lost network, a closed tab. All tabs share one stream.

use serde_json::json;

use super::site::{LIVE, SHOWN, Site, error_codes, received, shows, titles, widget, with_token};
use crate::harness::chromium::Browser;
use crate::harness::fixture::document_id;

#[test]
fn widget_misses_nothing_when_relay_is_killed() {
    let Some(mut browser) = Browser::start() else { return };
    let mut site = Site::new(with_token(""));
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
    // The page sends an event id of another store, as after the loss of a store. It counts the states that it has
    // loaded: an event that is stored before the second one is part of that state, and no news.
    let lost = "<script>
        const ask = fetch;
        let loaded = 0;
        globalThis.fetch = async (url, options) => {
          const { lose } = globalThis;
          if (lose && options.headers['Last-Event-ID']) [options.headers['Last-Event-ID'], globalThis.lose] = ['other.1', false];
          const response = await ask(url, options);
          if (String(url).includes('/documents?')) document.body.dataset.loaded = ++loaded;
          return response;
        };
        </script>";
    let site = Site::new(|fixture| {
        let token = format!("token=\"{}\"", fixture.token);
        format!("{lost}{}", widget(&fixture.relay, &token))
    });
    browser.navigate(&site.server.url("/"));
    browser.wait_until(LIVE);
    site.post(1, "COMPLETED", "1.pdf");
    browser.wait_until(&shows("1.pdf"));
    browser.evaluate("lose = true; dispatchEvent(new Event('offline'))");
    browser.wait_until(&shows("Some earlier updates are no longer available."));
    browser.wait_until(&format!("document.body.dataset.loaded === '2' && {} && {LIVE}", shows("1.pdf")));
    site.post(2, "COMPLETED", "2.pdf");
    browser.wait_until(&received("2.pdf"));
    assert_eq!(titles(&mut browser), json!(["1.pdf", "2.pdf"]));
    assert_eq!(browser.evaluate(&format!("{SHOWN}.includes('no longer available')")), json!(false));
    browser.assert_no_errors();
}

#[test]
fn second_tab_takes_over_shared_stream_without_gap() {
    let Some(mut browser) = Browser::start() else { return };
    // A ticket cannot read the list of documents: the initial state of named ones comes from the stream.
    let site = Site::new(|fixture| {
        let documents = (1..=6).map(document_id).collect::<Vec<_>>().join(" ");
        widget(&fixture.relay, &format!("ticket-url=\"/ticket\" document=\"{documents}\""))
    });
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
    let site = Site::new(with_token(""));
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
