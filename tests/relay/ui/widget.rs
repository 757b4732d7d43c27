//! `<docrelay-status>` on a page of another origin than the relay's: content, requests and size.

mod resilience;
mod site;
mod tickets;

use serde_json::{Value, json};

use super::{VIEWPORTS, save_picture};
use crate::harness::TestRelay;
use crate::harness::chromium::{Browser, ColorScheme, Viewport};
use crate::harness::request::Request;
use site::{FIRST, LIVE, SHOWN, Site, received, shows, titles, widget, with_token};

/// Limit of the widget's size after compression with gzip.
const MAX_GZIPPED_BYTES: u64 = 12 << 10;

#[test]
fn widget_shows_status_and_changes_of_a_document() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new(with_token(FIRST));
    let id = site.post(1, "PENDING", "a.pdf");
    site.post(2, "COMPLETED", "of another document");
    browser.navigate(&site.server.url("/"));
    browser.wait_until(LIVE);
    browser.wait_until(&shows("In progress"));
    site.post(2, "ERROR", "of another document");
    site.post(1, "COMPLETED", "a.pdf");
    browser.wait_until(&shows("Completed"));
    assert_eq!(browser.evaluate("states"), json!([{"state": "live"}]));
    assert_eq!(
        browser.evaluate("events.map((e) => [e.documentId, e.status, e.vendor])"),
        json!([[id, "COMPLETED", "gini"]])
    );
    assert!(
        browser.evaluate("events[0].id").as_str().is_some_and(|id| id.ends_with(".4")),
        "the DOM event has the event id"
    );
    assert_eq!(browser.evaluate(&format!("{SHOWN}.includes('another')")), json!(false));

    let (relay, own) = (format!("http://{}/", site.fixture.relay.listen), site.server.url("/"));
    for url in browser.requested_urls.iter().filter(|url| !url.starts_with("data:")) {
        assert!(url.starts_with(&relay) || url.starts_with(&own), "{url}");
        assert!(!url.contains(&site.fixture.token), "a URL contains the token: {url}");
    }
    browser.assert_no_errors();
}

#[test]
fn widget_lists_latest_documents_of_a_vendor() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new(with_token("vendor=\"gini\""));
    for number in 1..=12 {
        site.post(number, "COMPLETED", &format!("{number}.pdf"));
    }
    let ppj = site.fixture.relay.add_hook("acme", "ppj", &[]);
    site.fixture.relay.send(&Request::get(&format!("{}?type=complete&token=of-ppj&code=0", ppj.path)));
    browser.navigate(&site.server.url("/"));
    browser.wait_until(LIVE);
    let shown = "[...document.querySelector('docrelay-status').shadowRoot.querySelectorAll('[part=title]')]
        .map((title) => title.innerText)";
    browser.wait_until(&shows("12.pdf"));
    assert_eq!(
        browser.evaluate(shown),
        json!(["12.pdf", "11.pdf", "10.pdf", "9.pdf", "8.pdf", "7.pdf", "6.pdf", "5.pdf"])
    );
    site.fixture.relay.send(&Request::get(&format!("{}?type=error&token=of-ppj&code=1", ppj.path)));
    site.post(2, "ERROR", "2.pdf");
    browser.wait_until(&shows("Failed"));
    assert_eq!(browser.evaluate(&format!("{shown}[0]")), json!("2.pdf"));
    assert_eq!(browser.evaluate("events.length"), json!(1), "only new events of the vendor are dispatched");
    browser.assert_no_errors();
}

#[test]
fn malicious_titles_are_shown_as_text() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new(with_token(""));
    browser.navigate(&site.server.url("/"));
    browser.wait_until(LIVE);
    let markup = "<img src=x onerror=\"document.title='hacked'\">";
    site.post(1, "COMPLETED", markup);
    site.post(2, "COMPLETED", "\u{202e}gnp.exe \u{2067}\u{5d0}");
    site.post(3, "ERROR", &"W".repeat(10_000));
    let count = "document.querySelector('docrelay-status').shadowRoot.querySelectorAll('li').length";
    browser.wait_until(&format!("{count} === 3"));
    assert!(browser.evaluate(SHOWN).as_str().is_some_and(|shown| shown.contains(markup)));
    assert_eq!(browser.evaluate("document.title"), json!("A site"));
    let root = "document.querySelector('docrelay-status').shadowRoot";
    assert_eq!(browser.evaluate(&format!("{root}.querySelectorAll('img, b, script').length")), json!(0));
    let isolated = format!("[...{root}.querySelectorAll('[part=title]')].every((t) => t.localName === 'bdi')");
    assert_eq!(browser.evaluate(&isolated), json!(true));
    assert_eq!(browser.evaluate(&format!("{root}.querySelector('.box').scrollWidth <= innerWidth")), json!(true));
    assert_eq!(browser.evaluate(&format!("{root}.querySelector('.box').innerText.length < 1000")), json!(true));
    browser.assert_no_errors();
}

#[test]
fn widget_explains_errors_in_both_languages() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new(|fixture| widget(&fixture.relay, "token=\"wrong\""));
    browser.navigate(&site.server.url("/"));
    browser.wait_until(&shows("Access denied: the token is invalid, expired or revoked."));
    browser.evaluate("document.querySelector('docrelay-status').lang = 'zh-CN'");
    browser.wait_until(&shows("没有权限：令牌无效、已过期或已被撤销。"));
    assert_eq!(browser.evaluate("states"), json!([{"state": "error", "code": "auth_failed"}]));
    browser.evaluate("document.querySelector('docrelay-status').removeAttribute('token')");
    browser.wait_until(&shows("没有权限：此页面没有令牌。"));
    browser.evaluate("document.querySelector('docrelay-status').setAttribute('relay', 'javascript:alert(1)')");
    browser.wait_until(&shows("relay 属性不是 http 或 https 网址。"));
    browser.assert_no_errors();
}

#[test]
fn widget_follows_attribute_changes_and_stops_when_removed() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new(with_token(FIRST));
    site.post(1, "COMPLETED", "1.pdf");
    site.post(2, "PENDING", "2.pdf");
    browser.navigate(&site.server.url("/"));
    browser.wait_until(&shows("1.pdf"));
    let element = "document.querySelector('docrelay-status')";
    browser.evaluate(&format!("{element}.setAttribute('document', '626626a0-749f-11e2-bfd6-000000000002')"));
    browser.wait_until(&shows("2.pdf"));
    assert_eq!(browser.evaluate(&format!("{SHOWN}.includes('1.pdf')")), json!(false));
    browser.evaluate(&format!("{element}.removeAttribute('document')"));
    browser.wait_until(&format!("{} && {LIVE}", shows("1.pdf")));
    site.post(3, "COMPLETED", "3.pdf");
    browser.wait_until(&received("3.pdf"));
    assert_eq!(site.open_streams(), 1);

    browser.evaluate(&format!("window.removed = {element}; removed.remove()"));
    site.post(4, "COMPLETED", "4.pdf");
    browser.evaluate("document.body.append(removed)");
    browser.wait_until(&shows("4.pdf"));
    assert_eq!(titles(&mut browser), json!(["3.pdf"]), "events during the removal are not dispatched");
    browser.assert_no_errors();
}

#[test]
fn widget_is_one_small_module_for_any_origin() {
    let Some(mut browser) = Browser::start() else { return };
    let relay = TestRelay::start();
    let response = relay.send(&Request::get("/widget.js"));
    assert_eq!(response.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    assert_eq!(response.header("cross-origin-resource-policy"), Some("cross-origin"));
    let tag = response.header("etag").expect("a tag").to_owned();
    assert_eq!(relay.send(&Request::get("/widget.js").header("If-None-Match", &tag)).status, 304);
    assert!(!response.text().lines().any(|line| line.starts_with("import ")), "the module imports another");

    browser.navigate(&format!("http://{}/demo.html", relay.listen));
    let measure = "(async () => {
        const body = (await fetch('/widget.js')).body.pipeThrough(new CompressionStream('gzip'));
        return (await new Response(body).arrayBuffer()).byteLength;
    })()";
    let length = browser.evaluate(measure).as_u64().expect("a number");
    assert!((1..=MAX_GZIPPED_BYTES).contains(&length), "{length} bytes");
}

#[test]
fn demo_page_shows_every_state_without_requests() {
    let Some(mut browser) = Browser::start() else { return };
    let relay = TestRelay::start();
    let origin = format!("http://{}/", relay.listen);
    browser.navigate(&format!("{origin}demo.html"));
    let all = "[...document.querySelectorAll('docrelay-status')]";
    browser.wait_until(&format!("{all}.length > 15 && {all}.every((w) => w.shadowRoot.querySelector('.box p'))"));
    // Every error code and every state is on the page.
    let shown = browser.evaluate(&format!("{all}.map((w) => w.state.code ?? w.state.state)"));
    let shown: Vec<&str> = shown.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let codes =
        "auth_required auth_failed not_accepted ticket_refused ticket_failed bad_relay offline unreachable busy";
    for word in codes.split(' ').chain(["connecting", "live"]) {
        assert!(shown.contains(&word), "{word}: {shown:?}");
    }
    let wide = format!("{all}.every((w) => w.scrollWidth <= w.clientWidth) && document.body.scrollWidth <= innerWidth");
    for (name, width, color_scheme) in VIEWPORTS {
        let height = if width < 600 { 3600 } else { 1500 };
        browser.set_viewport(Viewport { width, height, color_scheme });
        assert_eq!(browser.evaluate(&wide), json!(true), "{name}: an element is wider than its container");
        save_picture(&format!("widget-{name}"), &browser.screenshot());
    }
    browser.evaluate("document.querySelector('#language').click()");
    browser.set_viewport(Viewport { width: 1280, height: 1500, color_scheme: ColorScheme::Light });
    save_picture("widget-zh", &browser.screenshot());
    assert_eq!(
        browser.evaluate(&format!("{all}[0].shadowRoot.querySelector('.box').innerText.trim().split('\\n')[0]")),
        json!("正在连接")
    );
    for url in &browser.requested_urls {
        assert!(url.starts_with(&origin) && !url.contains("/events/") && !url.contains("/documents"), "{url}");
    }
    browser.assert_no_errors();
}
