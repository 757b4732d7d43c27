//! The page at `/` and the documented page: sign-in, latency, requests and errors of the browser, and restarts of the
//! relay.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{PICTURES, VIEWPORTS, post_document, save_picture};
use crate::harness::TestRelay;
use crate::harness::chromium::{Browser, ColorScheme, Viewport};
use crate::harness::fixture::{Fixture, document_id};
use crate::harness::receiver::Receiver;

const IS_OPEN: &str = "document.querySelector('#state').dataset.state === 'open'";

/// Posts a webhook: the document of this number is complete. Returns the id of the document.
#[track_caller]
fn complete(fixture: &Fixture, number: u32) -> String {
    post_document(fixture, number, "COMPLETED", &format!("document {number}.pdf"))
}

fn shows(id: &str) -> String {
    format!("document.querySelector('#documents').innerText.includes({})", json!(id))
}

#[test]
fn start_page_shows_events_promptly_without_token_in_urls() {
    let Some(mut browser) = Browser::start() else { return };
    let fixture = Fixture::start();
    let (origin, token) = (fixture.relay.url(""), &fixture.token);
    let before = complete(&fixture, 1);
    browser.navigate(&format!("{origin}/#token={token}"));
    browser.wait_until(IS_OPEN);
    browser.wait_until(&shows(&before));

    let began = Instant::now();
    let id = complete(&fixture, 2);
    browser.wait_until(&shows(&id));
    let elapsed = began.elapsed();
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
    let newest = browser.evaluate("document.querySelector('#documents tbody tr').innerText");
    assert!(newest.as_str().is_some_and(|row| row.contains(&id) && row.contains("document 2.pdf")), "{newest}");

    assert_eq!(
        browser.evaluate("location.href"),
        json!(format!("{origin}/")),
        "the page removes the fragment from the URL"
    );
    for url in &browser.requested_urls {
        let without_fragment = url.split('#').next().unwrap_or_default();
        assert!(url.starts_with(&format!("{origin}/")) && !without_fragment.contains(token), "{url}");
    }
    assert!(browser.requested_urls.iter().any(|url| url.ends_with("/events/client")), "{:?}", browser.requested_urls);
    assert_eq!(browser.evaluate("document.cookie + Object.keys(localStorage).join()"), json!(""));

    // The tab keeps the token over a reload, until the user signs out.
    browser.navigate(&format!("{origin}/"));
    browser.wait_until(IS_OPEN);
    browser.wait_until(&shows(&id));
    save_pictures(&mut browser, &fixture);
    browser.evaluate("document.querySelector('#sign-out').click()");
    assert_eq!(browser.evaluate("sessionStorage.length"), json!(0));
    browser.assert_no_errors();
}

/// Saves a picture of the page in every viewport, if pictures are wanted.
fn save_pictures(browser: &mut Browser, fixture: &Fixture) {
    if std::env::var_os(PICTURES).is_none() {
        return;
    }
    let error = json!({"code": "2", "message": "source file error"});
    fixture.post(&json!({"documentId": document_id(3), "status": "ERROR", "title": "Vertrag.docx", "error": error}));
    fixture.post(&json!({"documentId": document_id(4), "status": "PENDING"}));
    browser.wait_until(&shows(&document_id(4)));
    for (name, width, color_scheme) in VIEWPORTS {
        browser.set_viewport(Viewport { width, height: 900, color_scheme });
        save_picture(name, &browser.screenshot());
    }
}

#[test]
fn documentation_fits_a_phone_and_loads_only_own_resources() {
    let Some(mut browser) = Browser::start() else { return };
    let relay = TestRelay::start();
    let origin = relay.url("");
    for path in ["/docs", "/docs/guides", "/docs/cluster", "/docs/api"] {
        browser.navigate(&format!("{origin}{path}"));
        for width in [1200, 390] {
            browser.set_viewport(Viewport { width, height: 900, color_scheme: ColorScheme::Light });
            let overflow = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
            assert_eq!(browser.evaluate(overflow), json!(false), "{path} at {width}");
        }
        let headings = browser.evaluate("document.querySelectorAll('.contents a').length");
        assert!(headings.as_u64().is_some_and(|n| n > 8), "{path}: {headings}");
    }
    assert!(
        browser.requested_urls.iter().all(|url| url.starts_with(&format!("{origin}/"))),
        "{:?}",
        browser.requested_urls
    );
    browser.assert_no_errors();
}

#[test]
fn start_page_misses_nothing_when_relay_is_killed() {
    let Some(mut browser) = Browser::start() else { return };
    let mut fixture = Fixture::start();
    browser.navigate(&fixture.relay.url("/"));
    browser.evaluate(&format!(
        "document.querySelector('#token').value = {}; document.querySelector('#sign-in-token').requestSubmit()",
        json!(fixture.token)
    ));
    browser.wait_until(IS_OPEN);
    let first = complete(&fixture, 1);
    browser.wait_until(&shows(&first));
    fixture.relay.kill();
    browser.wait_until("document.querySelector('#state').dataset.state === 'waiting'");
    fixture.relay.restart();
    let second = complete(&fixture, 2);
    browser.wait_until(&shows(&second));
    assert_eq!(browser.evaluate("document.querySelectorAll('#documents tbody tr').length"), json!(2));
}

#[test]
fn start_page_explains_a_refused_token() {
    let Some(mut browser) = Browser::start() else { return };
    let fixture = Fixture::start();
    // The browser reports the 401 of the document list as an error of its own.
    browser.navigate(&fixture.relay.url("/#token=wrong"));
    browser.wait_until("document.querySelector('#state').innerText.startsWith('The token is invalid')");
    browser.navigate(&fixture.relay.url(&format!("/#token={}", fixture.token)));
    browser.wait_until(IS_OPEN);
    fixture.relay.remove_client("acme");
    browser.wait_until("document.querySelector('#state').dataset.state === 'refused'");
}

#[test]
fn browser_parser_reads_stream_in_pieces_of_any_size() {
    let Some(mut browser) = Browser::start() else { return };
    let relay = TestRelay::start();
    browser.navigate(&relay.url("/"));
    let stream = "\u{feff}\nretry: 2000\n\nid: a.1\r\ndata: {\"a\":\rdata:1}\r\n\r\n: note\nevent: reset\ndata\nid: x\0\n\
                  retry: -1\nwhat: 1\n\nid: a.2\n\ndata:  \u{1F4C4}\n\nid\ndata: x\n\ndata: cut off\n";
    let script = format!(
        "(async () => {{
           const {{ Parser }} = await import('/sse.js');
           const bytes = new TextEncoder().encode({});
           const results = new Set();
           for (let size = 1; size <= bytes.length; size++) {{
             const parser = new Parser('before');
             const decoder = new TextDecoder();
             const events = [];
             for (let at = 0; at < bytes.length; at += size)
               events.push(...parser.push(decoder.decode(bytes.slice(at, at + size), {{ stream: true }})));
             results.add(JSON.stringify([events, parser.retry, parser.lastEventId]));
           }}
           return [...results];
         }})()",
        json!(stream)
    );
    let results = browser.evaluate(&script);
    let event = |kind: &str, data: &str, id: &str| json!({"type": kind, "data": data, "lastEventId": id});
    let expected = json!([
        [
            event("message", "{\"a\":\n1}", "a.1"),
            event("reset", "", "a.1"),
            event("message", " \u{1F4C4}", "a.2"),
            event("message", "x", ""),
        ],
        2000,
        ""
    ]);
    let results: Vec<serde_json::Value> = results
        .as_array()
        .expect("a list")
        .iter()
        .map(|t| serde_json::from_str(t.as_str().expect("text")).expect("JSON"))
        .collect();
    assert_eq!(results, [expected]);
    browser.assert_no_errors();
}

/// The page of the reference with the URL and token of this relay.
fn documented_page(fixture: &Fixture) -> String {
    let reference = include_str!("../../../docs/REFERENCE.md");
    let (_, rest) = reference.split_once("```html\n").expect("the reference shows a page");
    let (page, _) = rest.split_once("```").expect("the page ends");
    assert!(page.contains("https://relay.example.com") && page.contains("YOUR_TOKEN"), "{page}");
    page.replace("https://relay.example.com", &fixture.relay.url("")).replace("YOUR_TOKEN", &fixture.token)
}

#[test]
fn documented_page_misses_nothing_and_stops_when_refused() {
    let Some(mut browser) = Browser::start() else { return };
    let mut fixture = Fixture::start();
    // A site of another origin than the relay's.
    let site = Receiver::serving_page(documented_page(&fixture));
    browser.inject_script(
        "window.sources = [];
         window.EventSource = class extends EventSource { constructor(...a) { super(...a); sources.push(this); } };",
    );
    browser.navigate(&site.url("/"));
    browser.wait_until("document.querySelector('#state').innerText === 'connected'");
    let list = "[...document.querySelectorAll('#events li')].map((item) => item.innerText.split(' ')[0])";
    let has = |n: usize| format!("document.querySelectorAll('#events li').length >= {n}");
    let mut sent: Vec<String> = (1..=3).map(|n| complete(&fixture, n)).collect();
    browser.wait_until(&has(3));
    browser.assert_no_errors();

    fixture.relay.kill();
    browser.wait_until("document.querySelector('#state').innerText === 'connecting again'");
    fixture.relay.restart();
    sent.extend((4..=6).map(|n| complete(&fixture, n)));
    browser.wait_until(&has(6));
    assert_eq!(browser.evaluate(list), json!(sent), "no gap, no repeat, in order");

    fixture.relay.remove_client("acme");
    browser.wait_until("document.querySelector('#state').innerText === 'refused: auth_failed'");
    assert_eq!(browser.evaluate("sources.map((source) => source.readyState === EventSource.CLOSED)"), json!([true]));
}
