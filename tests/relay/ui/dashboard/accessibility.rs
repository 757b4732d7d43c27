//! Access to the dashboard: sign-in, languages, assistive technology, size and number of requests.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use super::{Dashboard, OPEN};
use crate::harness::chromium::Viewport;
use crate::harness::fixture::document_id;
use crate::harness::request::Request;
use crate::harness::tool::find_tool;
use crate::ui::VIEWPORTS;

/// A directory of Node.js packages that has axe-core; set by `make test`.
const NODE: &str = "DOCRELAY_NODE_MODULES";

#[test]
fn sign_in_works_with_token_or_client_secret() {
    let Some(mut dashboard) = Dashboard::start() else { return };
    let client = dashboard.fixture.relay.add_client("other");
    dashboard.browser.navigate(&dashboard.url(""));
    dashboard.browser.evaluate(&format!(
        "document.querySelector('#token').value = {}; document.querySelector('#sign-in-token').requestSubmit()",
        json!(dashboard.fixture.token)
    ));
    dashboard.browser.wait_until(OPEN);
    dashboard.post(1, "COMPLETED", "paper");
    dashboard.browser.wait_until("document.querySelectorAll('#documents tbody tr').length === 1");
    dashboard.browser.evaluate("document.querySelector('#sign-out').click()");
    dashboard.browser.wait_until("!document.querySelector('#welcome').hidden");
    let rows = dashboard.browser.evaluate("document.querySelectorAll('#documents tbody tr').length");
    assert_eq!(rows, json!(0), "sign-out removes all rows");
    dashboard.assert_clean();
    let sign_in = |secret: &str| {
        format!(
            "document.querySelector('#client-id').value = 'other'; document.querySelector('#client-secret').value = {};
             document.querySelector('#sign-in-client').requestSubmit()",
            json!(secret)
        )
    };
    dashboard.browser.evaluate(&sign_in("wrong"));
    dashboard
        .browser
        .wait_until("document.querySelector('#sign-in-error').innerText === 'The client ID or the secret is wrong.'");
    dashboard.browser.errors.clear();
    dashboard.browser.evaluate(&sign_in(&client.secret));
    dashboard.browser.wait_until(OPEN);
    assert_eq!(dashboard.browser.evaluate("document.querySelector('#client-secret').value"), json!(""));
    assert_eq!(dashboard.browser.evaluate("document.cookie + Object.keys(localStorage).join()"), json!(""));
    assert_eq!(
        dashboard.browser.evaluate(&format!("JSON.stringify(sessionStorage).includes({})", json!(client.secret))),
        json!(false)
    );
    dashboard.assert_clean();
    assert!(!dashboard.fixture.relay.output().contains(&dashboard.fixture.token), "the log contains the token");
}

#[test]
fn dashboard_is_available_in_chinese() {
    let Some(mut dashboard) = Dashboard::signed_in() else { return };
    dashboard.post(1, "COMPLETED", "paper");
    dashboard.browser.wait_until("document.querySelector('#documents tbody tr') !== null");
    dashboard.browser.evaluate("document.querySelector('#language').click()");
    assert_eq!(dashboard.browser.evaluate("document.documentElement.lang"), json!("zh"));
    dashboard.browser.wait_until("document.querySelector('#documents').innerText.includes('已完成')");
    assert_eq!(
        dashboard.browser.evaluate("document.querySelector('#state').innerText"),
        json!("已连接。新事件会即时显示。")
    );
    // Every text has a translation: no key is shown.
    let missing = "[...document.querySelectorAll('[data-text], [data-aria-label], [data-placeholder]')]
        .flatMap((e) => Object.values(e.dataset)).filter((key) => document.body.innerText.split('\\n').includes(key))";
    assert_eq!(dashboard.browser.evaluate(missing), json!([]));
    dashboard.assert_clean();
}

#[test]
fn axe_reports_no_violation_in_either_color_scheme() {
    let Some(packages) = find_tool(NODE) else { return };
    let script = std::fs::read_to_string(format!("{packages}/axe-core/axe.min.js")).expect("axe-core");
    let Some(mut dashboard) = Dashboard::start() else { return };
    for (number, status) in (1..).zip(["PENDING", "COMPLETED", "ERROR"]) {
        dashboard.post(number, status, "paper.pdf");
    }
    dashboard.fixture.relay.send(&Request::post(&dashboard.fixture.hook).json("no JSON"));
    let notification = r#"{"name":"main","endpoint":"http://127.0.0.1:1/","format":"gini"}"#;
    let made = dashboard
        .fixture
        .relay
        .send(&Request::post("/v2/notification").bearer(&dashboard.fixture.token).json(notification));
    assert_eq!(made.status, 200, "{made:?}");
    let document = format!("#/documents/{}", document_id(3));
    let routes = [
        ("", "document.querySelector('#token').offsetParent !== null"),
        ("#/", "document.querySelectorAll('#documents tbody tr').length === 3"),
        ("#/?q=nothing", "document.querySelector('#no-rows .empty') !== null"),
        (&document, "document.querySelector('#page .history li') !== null"),
        ("#/hooks", "document.querySelector('#page .card') !== null"),
        ("#/notifications", "document.querySelector('#page .card') !== null"),
        ("#/rejects", "document.querySelector('#page .card') !== null"),
        ("#/help", "!document.querySelector('#guide').hidden"),
    ];
    dashboard.browser.navigate(&dashboard.url(""));
    dashboard.browser.evaluate(&format!("{script}; 0"));
    for (route, loaded) in routes {
        if route == "#/" {
            let token = dashboard.fixture.token.clone();
            dashboard.open_route(&format!("#token={token}"));
            dashboard.browser.wait_until(OPEN);
        } else if !route.is_empty() {
            dashboard.open_route(route);
        }
        dashboard.browser.wait_until(loaded);
        for (viewport, width, color_scheme) in VIEWPORTS {
            dashboard.browser.set_viewport(Viewport { width, height: 900, color_scheme });
            let found = dashboard.browser.evaluate(
                "axe.run().then(({ violations }) => violations.map((v) =>
                   [v.id, v.help, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + ' ' + n.failureSummary)]))",
            );
            assert_eq!(found, json!([]), "{route} in {viewport}: {found:#}");
        }
    }
    dashboard.assert_clean();
}

#[test]
fn first_paint_takes_three_requests_below_60_kib() {
    let Some(mut dashboard) = Dashboard::start() else { return };
    dashboard.browser.navigate(&dashboard.url(""));
    dashboard.browser.wait_until("document.querySelector('.origin').innerText !== ''");
    let mut requested: Vec<String> =
        dashboard.browser.requested_urls.iter().map(|url| url.replace(&dashboard.url(""), "/")).collect();
    requested.retain(|path| path != "/icon.svg");
    requested.sort();
    assert_eq!(requested, ["/", "/dashboard.css", "/dashboard.js"]);
    let mut sum = 0;
    for path in ["/", "/dashboard.css", "/dashboard.js", "/icon.svg"] {
        let response = dashboard.fixture.relay.send(&Request::get(path));
        let tag = response.header("etag").expect("a tag").to_owned();
        let policy = response.header("content-security-policy").expect("a policy").to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(dashboard.fixture.relay.send(&Request::get(path).header("If-None-Match", &tag)).status, 304);
        let size = gzipped_length(&response.body);
        sum += size;
    }
    eprintln!("page, style, script and icon, gzipped: {sum} bytes");
    assert!(sum < 60 << 10, "{sum}");
    dashboard.assert_clean();
}

/// Length after compression with gzip.
fn gzipped_length(bytes: &[u8]) -> usize {
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
