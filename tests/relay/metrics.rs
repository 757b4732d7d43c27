//! Metrics with the values of known traffic, and the absence of secrets in metrics, logs and responses.

use std::collections::BTreeMap;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id};
use crate::harness::vendor_bodies::GINI_COMPLETED;

fn samples(relay: &TestRelay) -> BTreeMap<String, f64> {
    let page = relay.send_admin(&Request::get("/metrics").header("Accept", "application/openmetrics-text"));
    assert_eq!(page.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = page.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("name and value");
        assert!(name.starts_with("docrelay_"), "{line}");
        (name.to_owned(), value.parse().expect("a number"))
    };
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

#[test]
fn metrics_are_text_unless_open_metrics_is_asked_for() {
    let relay = TestRelay::start();
    let text = "text/plain; version=0.0.4; charset=utf-8";
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    for (accept, content_type) in [("*/*", text), ("application/openmetrics-text; version=1.0.0", open_metrics)] {
        let page = relay.send_admin(&Request::get("/metrics").header("Accept", accept));
        assert_eq!(page.header("content-type"), Some(content_type), "{accept}");
        assert!(page.headers.contains(&("vary".to_owned(), "accept".to_owned())), "{:?}", page.headers);
    }
    let page = relay.send_admin(&Request::get("/metrics"));
    assert_eq!(page.header("content-type"), Some(text));
    let page = page.text();
    assert!(page.contains("\n# TYPE docrelay_events_out_total counter\ndocrelay_events_out_total 0\n"), "{page}");
    assert!(!page.contains("# EOF"), "{page}");
}

#[test]
fn known_traffic_produces_expected_metrics() {
    let relay = TestRelay::with_config(&[("body_timeout", "300ms"), ("max_body_bytes", "4KiB")]);
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_hook(r#"{"vendor":"gini","verify":{"type":"authorization","secret":"s"}}"#).path;
    let send = |body: &str| relay.send(&Request::post(&hook).header("Authorization", "s").json(body));
    let mut follower = relay.follow(&acme.token);
    let first = stored_event_id(&send(GINI_COMPLETED));
    assert_eq!(stored_event_id(&send(GINI_COMPLETED)), first);
    stored_event_id(&send(&GINI_COMPLETED.replace("COMPLETED", "ERROR")));
    assert_problem(&send("{"), 422);
    assert_problem(&send(&" ".repeat(5000)), 413);
    assert_problem(&relay.send(&Request::post(&hook).json(GINI_COMPLETED)), 401);
    assert_problem(&relay.send(&Request::get(&hook)), 405);
    assert_problem(&relay.send(&Request::post("/in/unknown").json(GINI_COMPLETED)), 404);
    let ppj = acme.add_unverified_hook("ppj").path;
    assert_eq!(relay.send(&Request::get(&format!("{ppj}?type=verify&nonce=a"))).status, 200);
    let mut slow = Connection::open(relay.listen);
    slow.write(format!("POST {hook} HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"));
    assert_problem(&slow.read_response(), 408);
    let events = follower.events(2);

    let now = samples(&relay);
    let vendor = |vendor: &str, outcome: &str| {
        now.get(&format!("docrelay_events_in_total{{vendor=\"{vendor}\",outcome=\"{outcome}\"}}"))
            .copied()
            .unwrap_or(0.0)
    };
    let outcomes =
        ["stored", "repeat", "rejected", "too_large", "unproven", "wrong_method", "timeout", "aborted", "unavailable"];
    assert_eq!(outcomes.map(|outcome| vendor("gini", outcome)), [2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    assert_eq!([vendor("ppj", "handshake"), vendor("unknown", "not_found"), vendor("ppj", "stored")], [1.0, 1.0, 0.0]);
    let value = |name: &str| now.get(name).copied().unwrap_or_else(|| panic!("no {name} in {now:#?}"));
    assert_eq!(value("docrelay_events_out_total"), 2.0);
    assert_eq!(value("docrelay_rejects_total"), 1.0);
    assert_eq!([value("docrelay_followers"), value("docrelay_followers_opened_total")], [1.0, 1.0]);
    assert_eq!([value("docrelay_store_head"), value("docrelay_follower_lag")], [2.0, 0.0]);
    assert_eq!(value("docrelay_http_responses_total{status=\"422\"}"), 1.0);
    assert_eq!(value(&format!("docrelay_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1.0);
    assert!(value("docrelay_append_batch_size_count") >= 3.0 && value("docrelay_append_seconds_sum") > 0.0);
    let bytes: usize = events.iter().map(|e| e.data.len()).sum();
    assert!(value("docrelay_stream_bytes_total") >= bytes as f64);
    drop(follower);
    relay.wait_for_metric("docrelay_followers", 0);
    relay.wait_for_metric("docrelay_disconnects_total{reason=\"closed\"}", 1);
}

// Rule 30: tokens do not leak from URLs.
#[test]
fn secrets_appear_in_no_log_metric_or_response() {
    let relay = TestRelay::with_config(&[("log_level", "trace"), ("log_format", "json")]);
    let acme = TestClient::new(&relay, "acme-corp");
    let cookie = "row=7; sid=s3cr3t-cookie";
    let hooks = [
        format!(r#"{{"vendor":"zoffice","verify":{{"type":"cookie","secret":"{cookie}"}},"labelCookies":["row"]}}"#),
        r#"{"vendor":"gini","verify":{"type":"authorization","secret":"Bearer s3cr3t-header"}}"#.to_owned(),
        r#"{"vendor":"ppj","verify":{"type":"ppj","secret":"s3cr3t-ppj"}}"#.to_owned(),
        r#"{"vendor":"standard","verify":{"type":"standard","secret":"whsec_czNjcjN0LXN0YW5kYXJkLXdlYmhvb2tz"}}"#
            .to_owned(),
    ];
    let hooks = hooks.map(|body| acme.add_hook(&body));
    let [zoffice, gini, ppj, standard] = [0, 1, 2, 3].map(|n| hooks[n].path.as_str());
    let mut responses = Vec::new();
    let mut send = |request: Request| responses.push(relay.send(&request));
    let zoffice_call = Request::post(zoffice).header("Cookie", cookie);
    send(zoffice_call.clone().json(r#"{"taskId":"s3cr3t-free","code":"TaskSuccessNotify"}"#));
    send(zoffice_call.json(r#"{"taskId":"t","code":"?"}"#));
    send(Request::post(zoffice).header("Cookie", "sid=s3cr3t-wrong").json("{}"));
    for value in ["Bearer s3cr3t-header", "Bearer s3cr3t-wrong"] {
        send(Request::post(gini).header("Authorization", value).json(GINI_COMPLETED));
        send(Request::post(gini).header("Authorization", value).json("{"));
        send(Request::new("PUT", gini).header("Authorization", value));
    }
    send(Request::get(&format!("{ppj}?type=complete&token=a&signature=s3cr3t-query")));
    send(Request::post(standard).header("webhook-signature", "v1,s3cr3t").json("{}"));
    // A wrong path prefix, a token in the wrong place, a wrong secret.
    send(Request::post(&format!("/relay{gini}")).json(GINI_COMPLETED));
    send(Request::get(&format!("/documents?token={}", acme.token)));
    send(Request::get("/documents").bearer("s3cr3t.s3cr3t.s3cr3t"));
    send(Request::get("/oauth/token?grant_type=client_credentials&client_id=acme-corp&client_secret=s3cr3t-client"));
    send(Request::get(&format!("/events/client?token={}x", acme.token)));
    send(Request::get("/hooks").bearer(&acme.token));
    send(Request::get("/rejects").bearer(&acme.token));
    send(Request::get("/events/client?token=s3cr3t"));
    assert_problem(&relay.send_admin(&Request::get("/admin/clients").bearer("s3cr3t-admin")), 401);
    relay.follow(&acme.token);

    let metrics = relay.send_admin(&Request::get("/metrics")).text().to_owned();
    let responses: String = responses.iter().map(|a| format!("{a:?} {}\n", a.text())).collect();
    for line in ["webhook signature verification failed", "request completed"] {
        relay.wait_for_output(line);
    }
    let log = relay.output();
    for (place, text) in [("log", &log), ("metrics", &metrics), ("answers", &responses)] {
        let keys = hooks.iter().map(|h| &h.path[4..]).filter(|_| place != "answers");
        let tokens = [acme.token.as_str(), &acme.secret, &relay.admin_token()].map(str::to_owned);
        for secret in ["s3cr3t", "czNjcjN0"].into_iter().chain(keys).chain(tokens.iter().map(String::as_str)) {
            let line = text.replace("s3cr3t-free", "").lines().find(|l| l.contains(secret)).map(str::to_owned);
            assert_eq!(line, None, "{secret} in the {place}");
        }
    }
    assert!(!metrics.contains("acme"), "labels contain no client");
    for line in log.lines().filter(|line| line.starts_with('{')) {
        let json: serde_json::Value = serde_json::from_str(line).expect("one JSON object a line");
        assert!(json["timestamp"].is_string() && json["message"].is_string(), "{line}");
    }
}

#[test]
fn pruned_rows_are_counted_by_kind() {
    let mut relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    for _ in 0..3 {
        assert_problem(&relay.send(&Request::post(&hook).json("{")), 422);
    }
    // Retention prunes at the start of the relay.
    relay.set_config("rejects_per_client", "1");
    relay.restart();
    relay.wait_for_metric("docrelay_pruned_rows_total{kind=\"reject\"}", 2);
    for kind in ["document", "delivery", "deduplication_key"] {
        assert_eq!(relay.metric(&format!("docrelay_pruned_rows_total{{kind=\"{kind}\"}}")), 0);
    }
}
