//! What any HTTP client may expect of pages and addresses: HEAD, compression, entity tags, equivalent paths, and a page
//! for a mistyped address.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::{HOST, Request};
use crate::harness::response::assert_problem;

/// The paths of the OpenAPI document that take GET.
fn get_paths(relay: &TestRelay) -> Vec<String> {
    let document: Value = relay.send(&Request::get("/openapi.json")).json();
    let paths = document["paths"].as_object().expect("paths");
    paths.iter().filter(|(_, operations)| !operations["get"].is_null()).map(|(path, _)| path.clone()).collect()
}

#[test]
fn head_is_answered_like_get_without_a_body() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(relay.send_admin(&Request::new("HEAD", path)).status, 200, "{path}");
    }
    assert_eq!(relay.admin("HEAD", "/admin/clients").status, 200);
    assert_problem(&relay.send_admin(&Request::post("/livez")), 405);
    let paths: Vec<String> = get_paths(&relay).into_iter().filter(|p| !p.starts_with("/admin")).collect();
    assert!(paths.len() > 15, "{paths:?}");
    for path in paths {
        // A hook has no HEAD: its GET is a webhook that is stored.
        if path.starts_with("/in/") || path.contains("/livez") || path.contains("/readyz") || path.contains("/metrics")
        {
            continue;
        }
        let statuses = ["GET", "HEAD"].map(|method| {
            if method == "GET" && path == "/events/client" {
                return relay.follow(&acme.token).head.status;
            }
            let mut connection = Connection::open(relay.listen);
            let response = connection.send(&Request::new(method, &path).bearer(&acme.token));
            // The connection can be used again: the response had no body.
            let next = connection.send(&Request::get("/docs.css"));
            assert_eq!(next.status, 200, "{method} {path}");
            response.status
        });
        assert_eq!(statuses[0], statuses[1], "{path}");
    }
    let lengths = ["GET", "HEAD"].map(|method| {
        let response = relay.send(&Request::new(method, "/documents").bearer(&acme.token));
        response.header("content-length").map(str::to_owned)
    });
    assert_eq!(lengths[0], lengths[1]);
}

#[test]
fn head_of_a_hook_stores_nothing() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("ppj").path;
    let response = relay.send(&Request::new("HEAD", &format!("{hook}?type=complete&token=job&code=0")));
    assert_eq!((response.status, acme.documents().len()), (405, 0));
}

#[test]
fn pages_are_compressed_if_the_client_accepts_gzip() {
    let relay = TestRelay::start();
    for path in ["/", "/docs", "/docs/api", "/openapi.json", "/dashboard.js", "/widget.js"] {
        let plain = relay.send(&Request::get(path));
        assert_eq!(plain.header("content-encoding"), None);
        assert_eq!(plain.header("vary"), Some("Accept-Encoding"), "{path}");
        let accepting = Request::get(path).header("Accept-Encoding", "br, gzip;q=0.8");
        let packed = relay.send(&accepting);
        assert_eq!((packed.status, packed.header("content-encoding")), (200, Some("gzip")), "{path}");
        assert_ne!(packed.header("etag"), plain.header("etag"), "{path}: the representations differ");
        assert_eq!(packed.header("content-type"), plain.header("content-type"));
        assert!(packed.body.len() * 2 < plain.body.len(), "{path}: {} of {}", packed.body.len(), plain.body.len());
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed.body[..]).read_to_end(&mut unpacked).expect("gzip");
        assert!(unpacked == plain.body, "{path}");
        for response in [&plain, &packed] {
            let tag = response.header("etag").expect("a tag");
            assert_eq!(relay.send(&accepting.clone().header("If-None-Match", tag)).status, 304, "{path}");
        }
        for refused in ["gzip;q=0", "identity", "", "br, *;q=0"] {
            let response = relay.send(&Request::get(path).header("Accept-Encoding", refused));
            assert_eq!(response.header("content-encoding"), None, "{path} {refused}");
        }
    }
}

#[test]
fn stream_and_api_responses_are_not_compressed() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let stream =
        relay.open_stream(&Request::get("/events/client").bearer(&acme.token).header("Accept-Encoding", "gzip"));
    assert_eq!(stream.head.header("content-encoding"), None);
    let list = acme.send(Request::get("/documents").header("Accept-Encoding", "gzip"));
    assert_eq!(list.header("content-encoding"), None);
}

#[test]
fn any_entity_tag_matches_an_existing_page() {
    let relay = TestRelay::start();
    let response = relay.send(&Request::get("/docs").header("If-None-Match", "*"));
    assert_eq!((response.status, response.body.len()), (304, 0));
    assert!(response.header("etag").is_some());
}

#[test]
fn equivalent_paths_lead_to_the_same_page() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let page = relay.send(&Request::get("/docs")).body;
    for path in ["/docs/", "/%64ocs", "/d%6Fc%73/"] {
        let response = relay.send(&Request::get(path));
        assert_eq!(response.status, 200, "{path}");
        assert!(response.body == page, "{path}");
    }
    assert_eq!(acme.get("/%64ocuments").status, 200);
    // An encoded slash is no separator, and a double encoding is not decoded.
    for path in ["/docs%2Fapi", "/%2564ocs", "/docs//", "/%zz"] {
        assert_problem(&relay.send(&Request::get(path)), 404);
    }
}

#[test]
fn encoded_hook_path_is_a_hook_in_every_respect() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("ppj").path;
    let key = hook.strip_prefix("/in/").expect("a hook");
    let encoded = format!("/%69n/{key}?type=complete&token=job-1&code=0");
    let response = relay.send(&Request::get(&encoded).header("Origin", "https://app.example"));
    assert_eq!((response.status, response.header("access-control-allow-origin")), (200, None));
    assert_problem(&relay.send(&Request::get(&format!("/%69n/{}", "k".repeat(32)))), 404);
    assert!(!relay.output().contains(key) && !relay.output().contains("kkkk"), "the log contains a key");
}

#[test]
fn missing_or_repeated_host_is_refused() {
    let relay = TestRelay::start();
    for address in [relay.listen, relay.admin_listen] {
        for hosts in ["", "Host: a\r\nHost: a\r\n", "Host: a\r\nhost: b\r\n"] {
            let mut connection = Connection::open(address);
            connection.write(format!("GET /docs HTTP/1.1\r\n{hosts}\r\n"));
            assert!(assert_problem(&connection.read_response(), 400).contains("Host"), "{hosts}");
        }
    }
    // HTTP/1.0 has no such rule.
    let mut connection = Connection::open(relay.listen);
    connection.write("GET /docs HTTP/1.0\r\n\r\n");
    assert_eq!(connection.read_response().status, 200);
    assert_eq!(relay.send(&Request::get("/docs")).status, 200, "{HOST} once");
}

#[test]
fn mistyped_address_in_a_browser_gets_a_page() {
    let relay = TestRelay::start();
    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for path in ["/docs/reference", "/nothing", "/docs/%3Cb%3E"] {
        let response = relay.send(&Request::get(path).header("Accept", BROWSER));
        assert_eq!((response.status, response.header("content-type")), (404, Some("text/html; charset=utf-8")));
        let page = response.text();
        assert!(page.contains("href=\"/docs\"") && page.contains("href=\"/\""), "{page}");
        assert!(!page.contains("<b>") && response.header("content-security-policy").is_some());
    }
    for accept in ["*/*", "application/json", "text/html;q=0", "text/event-stream"] {
        assert_problem(&relay.send(&Request::get("/nothing").header("Accept", accept)), 404);
    }
    assert_problem(&relay.send(&Request::post("/nothing").header("Accept", BROWSER)), 404);
    assert_problem(&relay.send_admin(&Request::get("/nothing").header("Accept", "application/json")), 404);
    let baidu = relay.send(&Request::get("/v1/nothing").header("Accept", "application/json"));
    assert_eq!(baidu.json()["code"], "NoSuchAddress");
}
