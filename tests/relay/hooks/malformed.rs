//! Malformed requests to hooks: none stops the relay, is lost, or forges a field.

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::{Response, assert_problem, stored_event_id};
use crate::harness::vendor_bodies::GINI_COMPLETED;

// Rule 14: bodies stay as they came.
#[test]
fn malformed_body_gets_422_and_is_kept_verbatim() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hooks = ["baidu", "zoffice", "gini", "standard", "generic"].map(|vendor| acme.add_unverified_hook(vendor).path);
    let deep =
        [r#"{"documentId":"a","status":"PENDING","a":"#, &"[".repeat(100_000), &"]".repeat(100_000), "}"].concat();
    let bodies: [&[u8]; 14] = [
        b"",
        b"not JSON",
        b"{",
        b"null",
        b"[]",
        b"17",
        b"{}",
        br#"{"messageBody":7,"taskId":{},"code":[],"documentId":null,"status":true,"type":1,"data":"x","id":{},"state":[]}"#,
        br#"{"messageBody":"{\"documentId\":\"d\"}","taskId":"t","documentId":"d","type":"t","data":{"id":"d"},"id":"d"}"#,
        b"{\"documentId\":\"\xC3\x28\",\"status\":\"PENDING\"}",
        br#"{"documentId":"\ud800","status":"PENDING","taskId":"\udfff","code":"TaskSuccessNotify"}"#,
        "[".repeat(100_000).leak().as_bytes(),
        deep.leak().as_bytes(),
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    ];
    for path in &hooks {
        for body in bodies {
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            let response = relay.send(&Request::post(path).header("Content-Encoding", "gzip").json("").body(body));
            let why = assert_problem(&response, 422);
            let id = why
                .rsplit_once("kept as reject ")
                .map(|(_, id)| id.trim_end_matches(')'))
                .expect("the id of the reject");
            let kept = acme.rejects().remove(0);
            assert_eq!(kept["id"], id, "{shown}");
            match std::str::from_utf8(body) {
                Ok(text) => assert!(kept["body"] == text, "{shown}"),
                Err(_) => assert_eq!(kept["bodyBase64"], data_encoding::BASE64.encode(body), "{shown}"),
            }
        }
    }
    assert!(acme.documents().is_empty());
    stored_event_id(&relay.send(&Request::post(&hooks[2]).json(GINI_COMPLETED)));
}

#[test]
fn control_characters_in_vendor_strings_forge_no_field() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    // In JSON escapes: CR LF, NUL, the line separators of JavaScript. Then the end of a script element.
    let malicious = r"x\r\nid: 9.9\r\n\r\ndata: forged\n\n\u0000\u2028\u2029\u0085</script>";
    let inner = format!(
        r#"{{"documentId":"d","title":"{malicious}","status":"FAILED","error":{{"code":"{malicious}","message":"{malicious}"}},"{malicious}":"{malicious}"}}"#
    );
    let inner = serde_json::to_string(&inner).expect("text");
    let bodies = [
        ("baidu", format!(r#"{{"messageId":"{malicious}","messageBody":{inner}}}"#)),
        (
            "zoffice",
            format!(
                r#"{{"taskId":"d","code":"TaskFailNotify","detail":{{"msg":"{malicious}","filename":"{malicious}","{malicious}":1}}}}"#
            ),
        ),
        (
            "gini",
            format!(
                r#"{{"documentId":"d","status":"ERROR","title":"{malicious}","error":"{malicious}","{malicious}":"{malicious}"}}"#
            ),
        ),
        (
            "standard",
            format!(
                r#"{{"type":"a.failed","data":{{"id":"d","title":"{malicious}","error":"{malicious}","{malicious}":1}}}}"#
            ),
        ),
        ("generic", format!(r#"{{"id":"d","state":"done","{malicious}":"{malicious}"}}"#)),
    ];
    for (vendor, body) in &bodies {
        stored_event_id(&relay.send(&Request::post(&acme.add_unverified_hook(vendor).path).json(body)));
    }
    let mut follower = relay.follow_from(&acme.token, "earliest");
    for (event, (vendor, _)) in follower.events(bodies.len()).iter().zip(&bodies) {
        assert_eq!((event.name.as_str(), &event.json()["vendor"]), ("message", &serde_json::json!(vendor)));
        assert!(event.data.contains(r"x\r\nid: 9.9"), "{}", event.data);
    }
    assert!(!follower.raw().contains("\nid: 9.9") && !follower.raw().contains("\ndata: forged"));

    // Identifiers appear in URLs, headers and logs, and must not contain control characters.
    let hook = |vendor| acme.add_unverified_hook(vendor).path;
    let ids = [r"a\nb", r"a\u0000", r"\r", r"\u0085", "", &"x".repeat(257)];
    for id in ids {
        let body = format!(r#"{{"documentId":"{id}","status":"PENDING"}}"#);
        assert_problem(&relay.send(&Request::post(&hook("gini")).json(&body)), 422);
    }
    for query in [
        "type=complete&token=a%0D%0Ab",
        "type=complete&token=%00",
        "type=co%0Amplete&token=a",
        "type=verify&nonce=a%0A",
    ] {
        assert_problem(&relay.send(&Request::get(&format!("{}?{query}", hook("ppj")))), 422);
    }
    assert!(!relay.output().contains("\nid: 9.9") && !relay.output().contains('\0'), "a log entry is one line");
}

#[test]
fn unknown_status_is_rejected_and_unknown_keys_are_kept() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let unknown = [
        ("baidu", r#"{"messageBody":"{\"documentId\":\"d\",\"status\":\"SHREDDED\"}"}"#),
        ("zoffice", r#"{"taskId":"d","code":"TaskPausedNotify"}"#),
        ("gini", r#"{"documentId":"d","status":"completed-ish"}"#),
        ("standard", r#"{"type":"document.shredded","data":{"id":"d"}}"#),
        ("generic", r#"{"id":"d","state":"paused"}"#),
    ];
    for (vendor, body) in unknown {
        let why = assert_problem(&relay.send(&Request::post(&acme.add_unverified_hook(vendor).path).json(body)), 422);
        assert!(why.contains("\""), "the reason contains the unknown status: {why}");
    }
    let ppj = acme.add_unverified_hook("ppj").path;
    assert_problem(&relay.send(&Request::get(&format!("{ppj}?type=paused&token=d"))), 422);
    assert_eq!(acme.rejects().len(), 6);
    stored_event_id(&relay.send(&Request::get(&format!("{ppj}?type=complete&token=d&made_up=1&file_source=x"))));
    let body = r#"{"documentId":"d2","status":"COMPLETED","made":{"up":[1,{"x":null}]}}"#;
    stored_event_id(&relay.send(&Request::post(&acme.add_unverified_hook("gini").path).json(body)));
    assert_eq!(acme.events(2)[1].json()["result"], serde_json::json!({"made": {"up": [1, {"x": null}]}}));
}

#[test]
fn duplicate_parameters_and_length_headers_are_refused() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let ppj = acme.add_unverified_hook("ppj").path;
    assert_problem(&relay.send(&Request::get(&format!("{ppj}?type=complete&token=a&token=b"))), 422);
    let gini = acme.add_unverified_hook("gini").path;
    let refused = |response: Response| assert_eq!(response.status, 400, "{response:?}");
    // Conflicting lengths allow request smuggling through a proxy.
    refused(relay.send(&Request::post(&gini).header("Content-Length", "5").body(GINI_COMPLETED)));
    refused(relay.send(&Request::post(&gini).header("Content-Length", "-1")));
    assert!(acme.documents().is_empty());
}

#[test]
fn numbers_beyond_integer_precision_are_no_document_id() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let (generic, standard) = (acme.add_unverified_hook("generic").path, acme.add_unverified_hook("standard").path);
    for id in ["12345678901234567890123", "1.5", "1e3", "true", "{}"] {
        let bodies = [
            (&generic, format!(r#"{{"id":{id},"state":"done"}}"#)),
            (&standard, format!(r#"{{"type":"a.done","data":{{"id":{id}}}}}"#)),
        ];
        for (path, body) in bodies {
            assert_problem(&relay.send(&Request::post(path).json(&body)), 422);
        }
    }
    stored_event_id(&relay.send(&Request::post(&generic).json(r#"{"id":18446744073709551615,"state":"done"}"#)));
    assert_eq!(acme.documents()[0]["vendorId"], "18446744073709551615");
}

#[test]
fn unusual_request_lines_get_errors_without_panic() {
    let relay = TestRelay::start();
    let send = |bytes: &[u8]| {
        let mut connection = Connection::open(relay.listen);
        connection.write(bytes);
        connection.read_head().status
    };
    assert_eq!(send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: h\r\n\r\n"), 405);
    assert_eq!(send(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), 204);
    assert_eq!(send(b"GET http://other.example/docs HTTP/1.1\r\nHost: h\r\n\r\n"), 200);
    assert_eq!(send(b"GET /in/%ff%00%0a HTTP/1.1\r\nHost: h\r\n\r\n"), 404);
    assert_eq!(send(b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n"), 400);
    assert_eq!(send(b"\x16\x03\x01\x00\xff\r\n\r\n"), 400);
    let long = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 20_000], b"\r\n\r\n".to_vec()].concat();
    assert_eq!(send(&long), 431);
    assert_eq!(send(&[b"GET /".to_vec(), vec![b'y'; 10_000], b" HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()].concat()), 404);
    let log = relay.output();
    assert!(!log.contains("panicked"), "{log}");
    assert!(log.lines().all(|line| line.len() < 1000), "long targets are truncated in the log");
}

#[test]
fn concurrent_copies_of_one_message_store_one_event() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    for (hook, body) in [
        (acme.add_unverified_hook("gini").path, GINI_COMPLETED),
        (acme.add_unverified_hook("zoffice").path, r#"{"taskId":"t","code":"TaskSuccessNotify"}"#),
        (
            acme.add_unverified_hook("baidu").path,
            r#"{"messageId":"m","messageBody":{"documentId":"d","status":"FAILED"}}"#,
        ),
    ] {
        let request = Request::post(&hook).json(body);
        let mut connections: Vec<Connection> = (0..50).map(|_| Connection::open(relay.listen)).collect();
        connections.iter_mut().for_each(|connection| connection.write(request.bytes()));
        let ids: Vec<String> =
            connections.iter_mut().map(|connection| stored_event_id(&connection.read_response())).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
    assert_eq!(acme.documents().len(), 3);
    relay.wait_for_metric("docrelay_store_head", 3);
}

#[test]
fn wrong_method_unknown_key_and_rate_limit_differ() {
    let relay = TestRelay::with_config(&[("hook_rate", "2")]);
    let acme = TestClient::new(&relay, "acme");
    let allowed = [
        ("ppj", "GET, POST"),
        ("baidu", "POST"),
        ("zoffice", "POST"),
        ("gini", "POST"),
        ("standard", "POST, OPTIONS"),
        ("generic", "POST"),
    ];
    for (vendor, allow) in allowed {
        let response = relay.send(&Request::new("PUT", &acme.add_unverified_hook(vendor).path).json(GINI_COMPLETED));
        assert_problem(&response, 405);
        assert_eq!(response.header("allow"), Some(allow));
    }
    for path in ["/in/unknown", "/in/", "/in", "/in/a/b", "/in/%00", "/in/..%2Fhooks"] {
        assert_problem(&relay.send(&Request::post(path).json(GINI_COMPLETED)), 404);
    }
    let hook = acme.add_unverified_hook("gini").path;
    let responses: Vec<Response> = (0..3).map(|_| relay.send(&Request::post(&hook).json(GINI_COMPLETED))).collect();
    stored_event_id(&responses[0]);
    let limited = responses.iter().find(|a| a.status == 429).expect("three requests at once exceed two a second");
    assert_problem(limited, 429);
    assert!(limited.header("retry-after").is_some_and(|s| s.parse::<u32>().is_ok_and(|s| s > 0)), "{limited:?}");
    // Each hook has its own rate limit.
    stored_event_id(&relay.send(&Request::post(&acme.add_unverified_hook("gini").path).json(GINI_COMPLETED)));
}
