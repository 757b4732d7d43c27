//! Who can use the dashboard and what that costs: signing in, assistive technology, size and requests.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use super::{Desk, OPEN, id};
use crate::harness::request::Request;
use crate::harness::tool::find_tool;

/// A directory of Node.js packages that has axe-core; set by `make test`.
const NODE: &str = "DOCRELAY_NODE_MODULES";

#[test]
fn one_signs_in_with_a_token_or_with_a_clients_secret() {
    let Some(mut desk) = Desk::open() else { return };
    let client = desk.relay.add_client("other");
    desk.browser.navigate(&desk.url(""));
    desk.browser.evaluate(&format!(
        "document.querySelector('#token').value = {}; document.querySelector('#sign-in-token').requestSubmit()",
        json!(desk.token)
    ));
    desk.browser.wait_until(OPEN);
    desk.tell(1, "COMPLETED", "paper");
    desk.browser.wait_until("document.querySelectorAll('#documents tbody tr').length === 1");
    desk.browser.evaluate("document.querySelector('#sign-out').click()");
    desk.browser.wait_until("!document.querySelector('#welcome').hidden");
    let rows = desk.browser.evaluate("document.querySelectorAll('#documents tbody tr').length");
    assert_eq!(rows, json!(0), "nothing stays behind");
    desk.is_clean();
    let sign_in = |secret: &str| {
        format!(
            "document.querySelector('#client-id').value = 'other'; document.querySelector('#client-secret').value = {};
             document.querySelector('#sign-in-client').requestSubmit()",
            json!(secret)
        )
    };
    desk.browser.evaluate(&sign_in("wrong"));
    desk.browser
        .wait_until("document.querySelector('#sign-in-error').innerText === 'The client ID or the secret is wrong.'");
    desk.browser.errors.clear();
    desk.browser.evaluate(&sign_in(&client.secret));
    desk.browser.wait_until(OPEN);
    assert_eq!(desk.browser.evaluate("document.querySelector('#client-secret').value"), json!(""));
    assert_eq!(desk.browser.evaluate("document.cookie + Object.keys(localStorage).join()"), json!(""));
    assert_eq!(
        desk.browser.evaluate(&format!("JSON.stringify(sessionStorage).includes({})", json!(client.secret))),
        json!(false)
    );
    desk.is_clean();
    assert!(!desk.relay.output().contains(&desk.token), "no token in a log");
}

#[test]
fn the_page_speaks_chinese() {
    let Some(mut desk) = Desk::signed_in() else { return };
    desk.tell(1, "COMPLETED", "paper");
    desk.browser.wait_until("document.querySelector('#documents tbody tr') !== null");
    desk.browser.evaluate("document.querySelector('#language').click()");
    assert_eq!(desk.browser.evaluate("document.documentElement.lang"), json!("zh"));
    desk.browser.wait_until("document.querySelector('#documents').innerText.includes('已完成')");
    assert_eq!(
        desk.browser.evaluate("document.querySelector('#state').innerText"),
        json!("已连接。新事件会即时显示。")
    );
    // Every word has both languages, and none is missing.
    let missing = "[...document.querySelectorAll('[data-text], [data-aria-label], [data-placeholder]')]
        .flatMap((e) => Object.values(e.dataset)).filter((key) => document.body.innerText.split('\\n').includes(key))";
    assert_eq!(desk.browser.evaluate(missing), json!([]));
    desk.is_clean();
}

#[test]
fn axe_finds_no_violation_in_light_and_dark() {
    let Some(packages) = find_tool(NODE) else { return };
    let script = std::fs::read_to_string(format!("{packages}/axe-core/axe.min.js")).expect("axe-core");
    let Some(mut desk) = Desk::open() else { return };
    for (number, status) in (1..).zip(["PENDING", "COMPLETED", "ERROR"]) {
        desk.tell(number, status, "paper.pdf");
    }
    desk.relay.send(&Request::post(&desk.hook.path).json("no JSON"));
    let notification = r#"{"name":"main","endpoint":"http://127.0.0.1:1/","format":"gini"}"#;
    let made = desk.relay.send(&Request::post("/v2/notification").bearer(&desk.token).json(notification));
    assert_eq!(made.status, 200, "{made:?}");
    let document = format!("#/documents/{}", id(3));
    let places = [
        ("", "document.querySelector('#token').offsetParent !== null"),
        ("#/", "document.querySelectorAll('#documents tbody tr').length === 3"),
        ("#/?q=nothing", "document.querySelector('#no-rows .empty') !== null"),
        (&document, "document.querySelector('#page .history li') !== null"),
        ("#/hooks", "document.querySelector('#page .card') !== null"),
        ("#/notifications", "document.querySelector('#page .card') !== null"),
        ("#/rejects", "document.querySelector('#page .card') !== null"),
        ("#/help", "!document.querySelector('#guide').hidden"),
    ];
    desk.browser.navigate(&desk.url(""));
    desk.browser.evaluate(&format!("{script}; 0"));
    for (place, there) in places {
        if place == "#/" {
            let token = desk.token.clone();
            desk.visit(&format!("#token={token}"));
            desk.browser.wait_until(OPEN);
        } else if !place.is_empty() {
            desk.visit(place);
        }
        desk.browser.wait_until(there);
        for (width, dark) in [(1200, false), (1200, true), (390, false), (390, true)] {
            desk.browser.screenshot(width, 900, dark);
            let found = desk.browser.evaluate(
                "axe.run().then(({ violations }) => violations.map((v) =>
                   [v.id, v.help, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + ' ' + n.failureSummary)]))",
            );
            assert_eq!(found, json!([]), "{place} at {width}, dark: {dark}: {found:#}");
        }
    }
    desk.is_clean();
}

#[test]
fn the_first_paint_takes_three_requests_and_less_than_60_kib() {
    let Some(mut desk) = Desk::open() else { return };
    desk.browser.navigate(&desk.url(""));
    desk.browser.wait_until("document.querySelector('.origin').innerText !== ''");
    let mut asked: Vec<String> =
        desk.browser.requested_urls.iter().map(|url| url.replace(&desk.url(""), "/")).collect();
    asked.retain(|path| path != "/icon.svg");
    asked.sort();
    assert_eq!(asked, ["/", "/dashboard.css", "/dashboard.js"]);
    let mut sum = 0;
    for path in ["/", "/dashboard.css", "/dashboard.js", "/icon.svg"] {
        let answer = desk.relay.send(&Request::get(path));
        let tag = answer.header("etag").expect("a tag").to_owned();
        let policy = answer.header("content-security-policy").expect("a policy").to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(desk.relay.send(&Request::get(path).header("If-None-Match", &tag)).status, 304);
        let size = gzipped(&answer.body);
        sum += size;
    }
    eprintln!("page, style, script and icon, gzipped: {sum} bytes");
    assert!(sum < 60 << 10, "{sum}");
    desk.is_clean();
}

/// How many bytes these take, gzipped.
fn gzipped(bytes: &[u8]) -> usize {
    let program = "import gzip,sys; sys.stdout.write(str(len(gzip.compress(sys.stdin.buffer.read()))))";
    let mut child = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    child.stdin.take().expect("piped").write_all(bytes).expect("written");
    let output = child.wait_with_output().expect("python3 ends");
    String::from_utf8_lossy(&output.stdout).parse().expect("a number")
}
