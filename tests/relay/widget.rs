//! `<docrelay-status>` in a real browser, on a page of another origin than the relay's, as its users have it: what it
//! shows, what it asks for, and what it weighs.

mod going_on;

use std::path::Path;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::TestRelay;
use crate::harness::chromium::Browser;
use crate::harness::command::{NewHook, docrelay, run};
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::request::Request;

/// Where pictures of every state go, for whoever wants to look at them.
const PICTURES: &str = "DOCRELAY_PICTURES";

/// What the widget may weigh on its way through a proxy that compresses.
const MOST_GZIPPED: u64 = 12 << 10;

/// A relay, a hook of its client `acme`, and the site that has the widget on its pages.
struct Site {
    relay: TestRelay,
    hook: NewHook,
    token: String,
    site: Receiver,
}

impl Site {
    /// Every page of the site is `body`, after the widget's script; `/ticket` hands out tokens that are good for `ttl`.
    fn new(ttl: &'static str, body: impl FnOnce(&TestRelay, &str) -> String) -> Self {
        // Idle lines say that all of the past has come.
        let relay = TestRelay::with_config(&[("idle_interval", "1s")]);
        relay.add_client("acme");
        let hook = relay.add_hook("acme", "gini", &[]);
        let token = relay.token("acme");
        let page = page(&relay, &body(&relay, &token));
        let data = relay.data_dir();
        let site = Receiver::start(move |received, _| {
            if received.target != "/ticket" {
                let headers = "Content-Type: text/html; charset=utf-8\r\n";
                return Reply { body: page.clone(), headers, ..Reply::status(200) };
            }
            let words = ["token", "--client", "acme", "--scope", "events", "--ttl", ttl];
            let token = run(docrelay(&words, &[]).arg("--data").arg(&data)).succeeded().stdout;
            let seconds: u64 = ttl.trim_end_matches('s').parse().expect("seconds");
            // Told longer than it is good for: it expires while the page believes in it.
            let body = json!({"token": token.trim(), "expires_in": seconds + 60}).to_string();
            Reply { body, headers: "Content-Type: application/json\r\n", ..Reply::status(200) }
        });
        Self { relay, hook, token, site }
    }

    /// A Gini webhook; returns the document's id.
    #[track_caller]
    fn tell(&self, number: u32, status: &str, title: &str) -> String {
        let id = format!("626626a0-749f-11e2-bfd6-{number:012}");
        let body = json!({"documentId": id, "status": status, "title": title});
        let answer = self.relay.send(&Request::post(&self.hook.path).json(&body.to_string()));
        assert_eq!(answer.status, 200, "{answer:?}");
        id
    }

    fn tickets(&self) -> usize {
        self.site.received().iter().filter(|received| received.target == "/ticket").count()
    }

    /// A gauge or counter of the relay.
    #[track_caller]
    fn metric(&self, name: &str) -> String {
        let metrics = self.relay.send_admin(&Request::get("/metrics"));
        let line = metrics.text().lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name}")).to_owned()
    }
}

/// Notes what every widget says, and changes the page when something changes in a shadow root, which `until` waits for.
const NOTES: &str = "
    window.events = []; window.states = []; window.said = [];
    addEventListener('docrelay-event', ({ detail }) => events.push(detail));
    addEventListener('docrelay-state', ({ detail }) => states.push(detail));
    window.watch = (widget) => {
      const note = () => { said.push(widget.shadowRoot.querySelector('.box').innerText); document.body.dataset.said = said.length; };
      new MutationObserver(note).observe(widget.shadowRoot, {subtree: true, childList: true, characterData: true});
      note();
    };";

fn page(relay: &TestRelay, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>A site</title><link rel=\"icon\" href=\"data:,\">
         <script>{NOTES}</script>
         <script type=\"module\" src=\"http://{}/widget.js\"></script>
         <body>{body}
         <script type=\"module\">document.querySelectorAll('docrelay-status').forEach(watch)</script>",
        relay.listen
    )
}

/// The widget on a page; `rest` are further attributes.
fn widget(relay: &TestRelay, rest: &str) -> String {
    format!("<docrelay-status relay=\"http://{}\" {rest}></docrelay-status>", relay.listen)
}

/// With a token that reads documents.
fn with_token(rest: &'static str) -> impl FnOnce(&TestRelay, &str) -> String {
    move |relay, token| widget(relay, &format!("token=\"{token}\" {rest}"))
}

/// With what the site hands out.
fn with_ticket(rest: &'static str) -> impl FnOnce(&TestRelay, &str) -> String {
    move |relay, _| widget(relay, &format!("ticket-url=\"/ticket\" {rest}"))
}

const SHOWN: &str = "document.querySelector('docrelay-status').shadowRoot.querySelector('.box').innerText";
const LIVE: &str = "document.querySelector('docrelay-status').state.state === 'live'";
const FIRST: &str = "document=\"626626a0-749f-11e2-bfd6-000000000001\"";

fn shows(text: &str) -> String {
    format!("{SHOWN}.includes({})", json!(text))
}

fn heard(title: &str) -> String {
    format!("events.some((event) => event.title === {})", json!(title))
}

/// The titles of the DOM events so far, in order.
fn titles(browser: &mut Browser) -> Value {
    browser.evaluate("events.map((event) => event.title)")
}

/// The codes of everything that was ever wrong.
fn troubles(browser: &mut Browser) -> Value {
    browser.evaluate("states.filter(({ code }) => code).map(({ code }) => code)")
}

#[track_caller]
fn nothing_to_complain_of(browser: &Browser) {
    assert!(browser.errors.is_empty(), "{:#?}", browser.errors);
}

#[test]
fn the_widget_shows_where_a_document_stands_and_what_becomes_of_it() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new("60s", with_token(FIRST));
    let id = site.tell(1, "PENDING", "a.pdf");
    site.tell(2, "COMPLETED", "of another document");
    browser.navigate(&site.site.url("/"));
    browser.wait_until(LIVE);
    browser.wait_until(&shows("In progress"));
    site.tell(2, "ERROR", "of another document");
    site.tell(1, "COMPLETED", "a.pdf");
    browser.wait_until(&shows("Completed"));
    assert_eq!(browser.evaluate("states"), json!([{"state": "live"}]));
    assert_eq!(
        browser.evaluate("events.map((e) => [e.documentId, e.status, e.vendor])"),
        json!([[id, "COMPLETED", "gini"]])
    );
    assert!(
        browser.evaluate("events[0].id").as_str().is_some_and(|id| id.ends_with(".4")),
        "the event's id is with it"
    );
    assert_eq!(browser.evaluate(&format!("{SHOWN}.includes('another')")), json!(false));

    let (relay, own) = (format!("http://{}/", site.relay.listen), site.site.url("/"));
    for url in browser.requested_urls.iter().filter(|url| !url.starts_with("data:")) {
        assert!(url.starts_with(&relay) || url.starts_with(&own), "{url}");
        assert!(!url.contains(&site.token), "the token is in no address: {url}");
    }
    nothing_to_complain_of(&browser);
}

#[test]
fn the_widget_lists_the_latest_documents_of_a_vendor() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new("60s", with_token("vendor=\"gini\""));
    for number in 1..=12 {
        site.tell(number, "COMPLETED", &format!("{number}.pdf"));
    }
    let ppj = site.relay.add_hook("acme", "ppj", &[]);
    site.relay.send(&Request::get(&format!("{}?type=complete&token=of-ppj&code=0", ppj.path)));
    browser.navigate(&site.site.url("/"));
    browser.wait_until(LIVE);
    let shown = "[...document.querySelector('docrelay-status').shadowRoot.querySelectorAll('[part=title]')]
        .map((title) => title.innerText)";
    browser.wait_until(&shows("12.pdf"));
    assert_eq!(
        browser.evaluate(shown),
        json!(["12.pdf", "11.pdf", "10.pdf", "9.pdf", "8.pdf", "7.pdf", "6.pdf", "5.pdf"])
    );
    site.relay.send(&Request::get(&format!("{}?type=error&token=of-ppj&code=1", ppj.path)));
    site.tell(2, "ERROR", "2.pdf");
    browser.wait_until(&shows("Failed"));
    assert_eq!(browser.evaluate(&format!("{shown}[0]")), json!("2.pdf"));
    assert_eq!(
        browser.evaluate("events.length"),
        json!(1),
        "what was there before is no news, nor is another vendor's"
    );
    nothing_to_complain_of(&browser);
}

#[test]
fn hostile_titles_are_text() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new("60s", with_token(""));
    browser.navigate(&site.site.url("/"));
    browser.wait_until(LIVE);
    let markup = "<img src=x onerror=\"document.title='hacked'\">";
    site.tell(1, "COMPLETED", markup);
    site.tell(2, "COMPLETED", "\u{202e}gnp.exe \u{2067}\u{5d0}");
    site.tell(3, "ERROR", &"W".repeat(10_000));
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
    nothing_to_complain_of(&browser);
}

#[test]
fn the_widget_says_in_words_of_both_languages_what_is_wrong() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new("60s", |relay, _| widget(relay, "token=\"wrong\""));
    browser.navigate(&site.site.url("/"));
    browser.wait_until(&shows("Access denied: the token is invalid, expired or revoked."));
    browser.evaluate("document.querySelector('docrelay-status').lang = 'zh-CN'");
    browser.wait_until(&shows("没有权限：令牌无效、已过期或已被撤销。"));
    assert_eq!(browser.evaluate("states"), json!([{"state": "error", "code": "auth_failed"}]));
    browser.evaluate("document.querySelector('docrelay-status').removeAttribute('token')");
    browser.wait_until(&shows("没有权限：此页面没有令牌。"));
    browser.evaluate("document.querySelector('docrelay-status').setAttribute('relay', 'javascript:alert(1)')");
    browser.wait_until(&shows("relay 属性不是 http 或 https 网址。"));
    nothing_to_complain_of(&browser);
}

#[test]
fn attributes_may_change_and_an_element_that_is_removed_lets_go() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new("60s", with_token(FIRST));
    site.tell(1, "COMPLETED", "1.pdf");
    site.tell(2, "PENDING", "2.pdf");
    browser.navigate(&site.site.url("/"));
    browser.wait_until(&shows("1.pdf"));
    let element = "document.querySelector('docrelay-status')";
    browser.evaluate(&format!("{element}.setAttribute('document', '626626a0-749f-11e2-bfd6-000000000002')"));
    browser.wait_until(&shows("2.pdf"));
    assert_eq!(browser.evaluate(&format!("{SHOWN}.includes('1.pdf')")), json!(false));
    browser.evaluate(&format!("{element}.removeAttribute('document')"));
    browser.wait_until(&format!("{} && {LIVE}", shows("1.pdf")));
    site.tell(3, "COMPLETED", "3.pdf");
    browser.wait_until(&heard("3.pdf"));
    assert_eq!(site.metric("docrelay_followers"), "1");

    browser.evaluate(&format!("window.removed = {element}; removed.remove()"));
    site.tell(4, "COMPLETED", "4.pdf");
    browser.evaluate("document.body.append(removed)");
    browser.wait_until(&shows("4.pdf"));
    assert_eq!(titles(&mut browser), json!(["3.pdf"]), "what happened while it was away is no news");
    nothing_to_complain_of(&browser);
}

#[test]
fn the_widget_is_one_small_module_that_any_origin_may_load() {
    let Some(mut browser) = Browser::start() else { return };
    let relay = TestRelay::start();
    let answer = relay.send(&Request::get("/widget.js"));
    assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"));
    let tag = answer.header("etag").expect("a tag").to_owned();
    assert_eq!(relay.send(&Request::get("/widget.js").header("If-None-Match", &tag)).status, 304);
    assert!(!answer.text().lines().any(|line| line.starts_with("import ")), "no dependency");

    browser.navigate(&format!("http://{}/demo.html", relay.listen));
    let weigh = "(async () => {
        const body = (await fetch('/widget.js')).body.pipeThrough(new CompressionStream('gzip'));
        return (await new Response(body).arrayBuffer()).byteLength;
    })()";
    let weight = browser.evaluate(weigh).as_u64().expect("a number");
    assert!((1..=MOST_GZIPPED).contains(&weight), "{weight} bytes gzipped");
}

#[test]
fn the_demo_shows_every_state_and_asks_nobody() {
    let Some(mut browser) = Browser::start() else { return };
    let relay = TestRelay::start();
    let origin = format!("http://{}/", relay.listen);
    browser.navigate(&format!("{origin}demo.html"));
    let all = "[...document.querySelectorAll('docrelay-status')]";
    browser.wait_until(&format!("{all}.length > 15 && {all}.every((w) => w.shadowRoot.querySelector('.box p'))"));
    // Each code that the words know is there, and each state.
    let shown = browser.evaluate(&format!("{all}.map((w) => w.state.code ?? w.state.state)"));
    let shown: Vec<&str> = shown.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let codes =
        "auth_required auth_failed not_accepted ticket_refused ticket_failed bad_relay offline unreachable busy";
    for word in codes.split(' ').chain(["connecting", "live"]) {
        assert!(shown.contains(&word), "{word}: {shown:?}");
    }
    let wide = format!("{all}.every((w) => w.scrollWidth <= w.clientWidth) && document.body.scrollWidth <= innerWidth");
    for (name, width, dark) in
        [("wide-light", 1280, false), ("wide-dark", 1280, true), ("phone-light", 390, false), ("phone-dark", 390, true)]
    {
        let height = if width < 600 { 3600 } else { 1500 };
        let picture = browser.screenshot(width, height, dark);
        assert_eq!(browser.evaluate(&wide), json!(true), "{name}: something is wider than its place");
        keep(&format!("widget-{name}"), &picture);
    }
    browser.evaluate("document.querySelector('#language').click()");
    let picture = browser.screenshot(1280, 1500, false);
    keep("widget-zh", &picture);
    assert_eq!(
        browser.evaluate(&format!("{all}[0].shadowRoot.querySelector('.box').innerText.trim().split('\\n')[0]")),
        json!("正在连接")
    );
    for url in &browser.requested_urls {
        assert!(url.starts_with(&origin) && !url.contains("/events/") && !url.contains("/documents"), "{url}");
    }
    nothing_to_complain_of(&browser);
}

/// Keeps a picture, when somebody asks for it.
fn keep(name: &str, picture: &str) {
    let Some(directory) = std::env::var_os(PICTURES) else { return };
    let picture = BASE64.decode(picture.as_bytes()).expect("base64");
    std::fs::write(Path::new(&directory).join(format!("{name}.png")), picture).expect("a picture");
}
