//! The page at `/` and the documented page, in a real browser: who may see what, what the browser asks for, and what it
//! complains of. What the dashboard shows beyond that is in `dashboard`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::chromium::Browser;
use crate::harness::command::NewHook;
use crate::harness::request::Request;

/// Where pictures of the start page go, for whoever wants to look at it.
const PICTURES: &str = "DOCRELAY_PICTURES";

/// A Gini webhook; returns the document's id.
#[track_caller]
pub(crate) fn tell(relay: &TestRelay, hook: &NewHook, number: u32) -> String {
    let id = format!("626626a0-749f-11e2-bfd6-{number:012}");
    let body = json!({"documentId": id, "status": "COMPLETED", "title": format!("document {number}.pdf")});
    let answer = relay.send(&Request::post(&hook.path).json(&body.to_string()));
    assert_eq!(answer.status, 200, "{answer:?}");
    id
}

/// A relay with a client, its hook and its token.
pub(crate) fn acme() -> (TestRelay, NewHook, String) {
    let relay = TestRelay::start();
    relay.add_client("acme");
    let hook = relay.add_hook("acme", "gini", &[]);
    let token = relay.token("acme");
    (relay, hook, token)
}

const IS_OPEN: &str = "document.querySelector('#state').dataset.state === 'open'";

fn shows(id: &str) -> String {
    format!("document.querySelector('#documents').innerText.includes({})", json!(id))
}

#[track_caller]
fn nothing_to_complain_of(browser: &Browser) {
    assert!(browser.errors.is_empty(), "{:#?}", browser.errors);
}

#[test]
fn the_start_page_shows_an_event_within_a_second_and_keeps_the_token_out_of_every_address() {
    let Some(mut browser) = Browser::start() else { return };
    let (relay, hook, token) = acme();
    let origin = format!("http://{}", relay.listen);
    let before = tell(&relay, &hook, 1);
    browser.navigate(&format!("{origin}/#token={token}"));
    browser.wait_until(IS_OPEN);
    browser.wait_until(&shows(&before));

    let told = Instant::now();
    let id = tell(&relay, &hook, 2);
    browser.wait_until(&shows(&id));
    let took = told.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    let newest = browser.evaluate("document.querySelector('#documents tbody tr').innerText");
    assert!(newest.as_str().is_some_and(|row| row.contains(&id) && row.contains("document 2.pdf")), "{newest}");

    assert_eq!(
        browser.evaluate("location.href"),
        json!(format!("{origin}/")),
        "the fragment is taken out of the address"
    );
    for url in &browser.requested_urls {
        let after_fragment = url.split('#').next().unwrap_or_default();
        assert!(url.starts_with(&format!("{origin}/")) && !after_fragment.contains(&token), "{url}");
    }
    assert!(browser.requested_urls.iter().any(|url| url.ends_with("/events/client")), "{:?}", browser.requested_urls);
    assert_eq!(browser.evaluate("document.cookie + Object.keys(localStorage).join()"), json!(""));

    // Kept for this tab: a reload goes on. Forgotten when asked to.
    browser.navigate(&format!("{origin}/"));
    browser.wait_until(IS_OPEN);
    browser.wait_until(&shows(&id));
    pictures(&mut browser, &relay, &hook);
    browser.evaluate("document.querySelector('#sign-out').click()");
    assert_eq!(browser.evaluate("sessionStorage.length"), json!(0));
    nothing_to_complain_of(&browser);
}

/// Wide and narrow, light and dark, when somebody asks for it.
fn pictures(browser: &mut Browser, relay: &TestRelay, hook: &NewHook) {
    let Some(directory) = std::env::var_os(PICTURES) else { return };
    let failed = json!({"documentId": "626626a0-749f-11e2-bfd6-000000000003", "status": "ERROR", "title": "Vertrag.docx",
        "error": {"code": "2", "message": "source file error"}});
    relay.send(&Request::post(&hook.path).json(&failed.to_string()));
    let id = "626626a0-749f-11e2-bfd6-000000000004";
    relay.send(&Request::post(&hook.path).json(&json!({"documentId": id, "status": "PENDING"}).to_string()));
    browser.wait_until(&shows(id));
    for (name, width, dark) in
        [("wide-light", 1200, false), ("wide-dark", 1200, true), ("phone-light", 390, false), ("phone-dark", 390, true)]
    {
        let picture = BASE64.decode(browser.screenshot(width, 900, dark).as_bytes()).expect("base64");
        std::fs::write(Path::new(&directory).join(format!("{name}.png")), picture).expect("a picture");
    }
}

#[test]
fn the_documents_fit_a_phone_and_ask_for_nothing_from_elsewhere() {
    let Some(mut browser) = Browser::start() else { return };
    let relay = TestRelay::start();
    let origin = format!("http://{}", relay.listen);
    for path in ["/docs", "/docs/guides", "/docs/api"] {
        browser.navigate(&format!("{origin}{path}"));
        for width in [1200, 390] {
            let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
            browser.call("Emulation.setDeviceMetricsOverride", size);
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
    nothing_to_complain_of(&browser);
}

#[test]
fn the_start_page_misses_nothing_when_the_relay_is_killed() {
    let Some(mut browser) = Browser::start() else { return };
    let (mut relay, hook, token) = acme();
    browser.navigate(&format!("http://{}/", relay.listen));
    browser.evaluate(&format!(
        "document.querySelector('#token').value = {}; document.querySelector('#sign-in-token').requestSubmit()",
        json!(token)
    ));
    browser.wait_until(IS_OPEN);
    let first = tell(&relay, &hook, 1);
    browser.wait_until(&shows(&first));
    relay.kill();
    browser.wait_until("document.querySelector('#state').dataset.state === 'waiting'");
    relay.restart();
    let second = tell(&relay, &hook, 2);
    browser.wait_until(&shows(&second));
    assert_eq!(browser.evaluate("document.querySelectorAll('#documents tbody tr').length"), json!(2));
}

#[test]
fn the_start_page_says_in_words_what_is_wrong_with_a_token() {
    let Some(mut browser) = Browser::start() else { return };
    let (relay, _, token) = acme();
    // The relay's word for a bad token comes in the body of a 200; the list of documents says 401, which the browser
    // reports by itself.
    browser.navigate(&format!("http://{}/#token=wrong", relay.listen));
    browser.wait_until("document.querySelector('#state').innerText.startsWith('The token is invalid')");
    browser.navigate(&format!("http://{}/#token={token}", relay.listen));
    browser.wait_until(IS_OPEN);
    let admin = std::fs::read_to_string(relay.data_dir().join("admin.token")).expect("the admin token");
    let removed = relay.send_admin(&Request::new("DELETE", "/admin/clients/acme").bearer(admin.trim()));
    assert_eq!(removed.status, 204, "{removed:?}");
    browser.wait_until("document.querySelector('#state').dataset.state === 'refused'");
}

#[test]
fn the_parser_of_the_start_page_reads_the_standard_in_whatever_pieces() {
    let Some(mut browser) = Browser::start() else { return };
    let relay = TestRelay::start();
    browser.navigate(&format!("http://{}/", relay.listen));
    let stream = "\u{feff}\nretry: 2000\n\nid: a.1\r\ndata: {\"a\":\rdata:1}\r\n\r\n: note\nevent: reset\ndata\nid: x\0\n\
                  retry: -1\nwhat: 1\n\nid: a.2\n\ndata:  \u{1F4C4}\n\nid\ndata: x\n\ndata: cut off\n";
    let script = format!(
        "(async () => {{
           const {{ Parser }} = await import('/sse.js');
           const bytes = new TextEncoder().encode({});
           const told = new Set();
           for (let size = 1; size <= bytes.length; size++) {{
             const parser = new Parser('before');
             const decoder = new TextDecoder();
             const events = [];
             for (let at = 0; at < bytes.length; at += size)
               events.push(...parser.push(decoder.decode(bytes.slice(at, at + size), {{ stream: true }})));
             told.add(JSON.stringify([events, parser.retry, parser.lastEventId]));
           }}
           return [...told];
         }})()",
        json!(stream)
    );
    let told = browser.evaluate(&script);
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
    let told: Vec<serde_json::Value> = told
        .as_array()
        .expect("a list")
        .iter()
        .map(|t| serde_json::from_str(t.as_str().expect("text")).expect("JSON"))
        .collect();
    assert_eq!(told, [expected]);
    nothing_to_complain_of(&browser);
}

/// The page of the reference, as a stranger would copy it.
fn documented_page(relay: &TestRelay, token: &str) -> String {
    let reference = include_str!("../../docs/REFERENCE.md");
    let (_, rest) = reference.split_once("```html\n").expect("the reference shows a page");
    let (page, _) = rest.split_once("```").expect("the page ends");
    assert!(page.contains("https://relay.example.com") && page.contains("YOUR_TOKEN"), "{page}");
    page.replace("https://relay.example.com", &format!("http://{}", relay.listen)).replace("YOUR_TOKEN", token)
}

/// Serves one page to everybody who asks, from an origin of its own.
pub(crate) fn serve(page: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let work = move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let mut socket = socket;
            let read = socket.read(&mut [0; 16 * 1024]);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n\r\n";
            // A browser that has gone away needs no page.
            read.and_then(|_| socket.write_all(format!("{head}{page}").as_bytes())).ok();
        }
    };
    std::thread::Builder::new().name("page".to_owned()).spawn(work).expect("a thread");
    url
}

#[test]
fn the_documented_page_misses_nothing_over_a_kill_and_stops_when_it_is_refused() {
    let Some(mut browser) = Browser::start() else { return };
    let (mut relay, hook, token) = acme();
    let url = serve(documented_page(&relay, &token));
    browser.inject_script(
        "window.sources = [];
         window.EventSource = class extends EventSource { constructor(...a) { super(...a); sources.push(this); } };",
    );
    browser.navigate(&url);
    browser.wait_until("document.querySelector('#state').innerText === 'connected'");
    let list = "[...document.querySelectorAll('#events li')].map((item) => item.innerText.split(' ')[0])";
    let has = |n: usize| format!("document.querySelectorAll('#events li').length >= {n}");
    let mut told: Vec<String> = (1..=3).map(|n| tell(&relay, &hook, n)).collect();
    browser.wait_until(&has(3));
    nothing_to_complain_of(&browser);

    relay.kill();
    browser.wait_until("document.querySelector('#state').innerText === 'connecting again'");
    relay.restart();
    told.extend((4..=6).map(|n| tell(&relay, &hook, n)));
    browser.wait_until(&has(6));
    assert_eq!(browser.evaluate(list), json!(told), "no gap, no repeat, in order");

    let admin = std::fs::read_to_string(relay.data_dir().join("admin.token")).expect("the admin token");
    relay.send_admin(&Request::new("DELETE", "/admin/clients/acme").bearer(admin.trim()));
    browser.wait_until("document.querySelector('#state').innerText === 'refused: auth_failed'");
    assert_eq!(browser.evaluate("sources.map((source) => source.readyState === EventSource.CLOSED)"), json!([true]));
}
