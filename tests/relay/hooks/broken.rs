//! What no vendor should send and somebody will: nothing of it stops the relay, is lost, or forges anything.

use crate::support::TestRelay;
use crate::support::tenant::{Tenant, problem, stored};
use crate::support::wire::{Answer, Request, Wire};

const GOOD: &str = r#"{"documentId":"626626a0-749f-11e2-bfd6-000000000000","status":"COMPLETED"}"#;

#[test]
fn what_cannot_be_understood_is_422_and_kept_byte_for_byte() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let hooks = ["baidu", "zoffice", "gini", "standard", "generic"].map(|vendor| acme.open_hook(vendor).path);
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
            let answer = relay.ask(&Request::post(path).header("Content-Encoding", "gzip").json("").body(body));
            let why = problem(&answer, 422);
            let id = why.rsplit_once("kept as reject ").map(|(_, id)| id.trim_end_matches(')')).expect("its number");
            let kept = acme.rejects().remove(0);
            assert_eq!(kept["id"], id, "{shown}");
            match std::str::from_utf8(body) {
                Ok(text) => assert!(kept["body"] == text, "{shown}"),
                Err(_) => assert_eq!(kept["bodyBase64"], data_encoding::BASE64.encode(body), "{shown}"),
            }
        }
    }
    assert!(acme.documents().is_empty());
    stored(&relay.ask(&Request::post(&hooks[2]).json(GOOD)));
}

#[test]
fn line_breaks_and_nul_in_any_vendors_string_forge_no_field_of_the_stream() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    // As JSON writes them: CR LF, NUL, the line separators of JavaScript, the end of a script element.
    let evil = r"x\r\nid: 9.9\r\n\r\ndata: forged\n\n\u0000\u2028\u2029\u0085</script>";
    let inner = format!(
        r#"{{"documentId":"d","title":"{evil}","status":"FAILED","error":{{"code":"{evil}","message":"{evil}"}},"{evil}":"{evil}"}}"#
    );
    let inner = serde_json::to_string(&inner).expect("text");
    let bodies = [
        ("baidu", format!(r#"{{"messageId":"{evil}","messageBody":{inner}}}"#)),
        (
            "zoffice",
            format!(
                r#"{{"taskId":"d","code":"TaskFailNotify","detail":{{"msg":"{evil}","filename":"{evil}","{evil}":1}}}}"#
            ),
        ),
        (
            "gini",
            format!(r#"{{"documentId":"d","status":"ERROR","title":"{evil}","error":"{evil}","{evil}":"{evil}"}}"#),
        ),
        (
            "standard",
            format!(r#"{{"type":"a.failed","data":{{"id":"d","title":"{evil}","error":"{evil}","{evil}":1}}}}"#),
        ),
        ("generic", format!(r#"{{"id":"d","state":"done","{evil}":"{evil}"}}"#)),
    ];
    for (vendor, body) in &bodies {
        stored(&relay.ask(&Request::post(&acme.open_hook(vendor).path).json(body)));
    }
    let mut follower = relay.follow_from(&acme.token, "earliest");
    for (event, (vendor, _)) in follower.events(bodies.len()).iter().zip(&bodies) {
        assert_eq!((event.name.as_str(), &event.json()["vendor"]), ("message", &serde_json::json!(vendor)));
        assert!(event.data.contains(r"x\r\nid: 9.9"), "{}", event.data);
    }
    assert!(!follower.raw().contains("\nid: 9.9") && !follower.raw().contains("\ndata: forged"));

    // An identifier stands in addresses, headers and logs: there such a character is refused.
    let hook = |vendor| acme.open_hook(vendor).path;
    let ids = [r"a\nb", r"a\u0000", r"\r", r"\u0085", "", &"x".repeat(257)];
    for id in ids {
        let body = format!(r#"{{"documentId":"{id}","status":"PENDING"}}"#);
        problem(&relay.ask(&Request::post(&hook("gini")).json(&body)), 422);
    }
    for query in [
        "type=complete&token=a%0D%0Ab",
        "type=complete&token=%00",
        "type=co%0Amplete&token=a",
        "type=verify&nonce=a%0A",
    ] {
        problem(&relay.ask(&Request::get(&format!("{}?{query}", hook("ppj")))), 422);
    }
    assert!(!relay.said().contains("\nid: 9.9") && !relay.said().contains('\0'), "the log is one line for each thing");
}

#[test]
fn unknown_states_are_kept_and_unknown_keys_are_passed_on() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let unknown = [
        ("baidu", r#"{"messageBody":"{\"documentId\":\"d\",\"status\":\"SHREDDED\"}"}"#),
        ("zoffice", r#"{"taskId":"d","code":"TaskPausedNotify"}"#),
        ("gini", r#"{"documentId":"d","status":"completed-ish"}"#),
        ("standard", r#"{"type":"document.shredded","data":{"id":"d"}}"#),
        ("generic", r#"{"id":"d","state":"paused"}"#),
    ];
    for (vendor, body) in unknown {
        let why = problem(&relay.ask(&Request::post(&acme.open_hook(vendor).path).json(body)), 422);
        assert!(why.contains("\""), "the word itself is named: {why}");
    }
    let ppj = acme.open_hook("ppj").path;
    problem(&relay.ask(&Request::get(&format!("{ppj}?type=paused&token=d"))), 422);
    assert_eq!(acme.rejects().len(), 6);
    stored(&relay.ask(&Request::get(&format!("{ppj}?type=complete&token=d&made_up=1&file_source=x"))));
    let body = r#"{"documentId":"d2","status":"COMPLETED","made":{"up":[1,{"x":null}]}}"#;
    stored(&relay.ask(&Request::post(&acme.open_hook("gini").path).json(body)));
    assert_eq!(acme.events(2)[1].json()["result"], serde_json::json!({"made": {"up": [1, {"x": null}]}}));
}

#[test]
fn doubled_parameters_and_length_headers_are_not_guessed_at() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let ppj = acme.open_hook("ppj").path;
    problem(&relay.ask(&Request::get(&format!("{ppj}?type=complete&token=a&token=b"))), 422);
    let gini = acme.open_hook("gini").path;
    let refused = |answer: Answer| assert_eq!(answer.status, 400, "{answer:?}");
    // Two lengths are how requests are smuggled past a proxy.
    refused(relay.ask(&Request::post(&gini).header("Content-Length", "5").body(GOOD)));
    refused(relay.ask(&Request::post(&gini).header("Content-Length", "-1")));
    assert!(acme.documents().is_empty());
}

#[test]
fn numbers_that_would_be_rounded_name_no_document() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let (generic, standard) = (acme.open_hook("generic").path, acme.open_hook("standard").path);
    for id in ["12345678901234567890123", "1.5", "1e3", "true", "{}"] {
        let bodies = [
            (&generic, format!(r#"{{"id":{id},"state":"done"}}"#)),
            (&standard, format!(r#"{{"type":"a.done","data":{{"id":{id}}}}}"#)),
        ];
        for (path, body) in bodies {
            problem(&relay.ask(&Request::post(path).json(&body)), 422);
        }
    }
    stored(&relay.ask(&Request::post(&generic).json(r#"{"id":18446744073709551615,"state":"done"}"#)));
    assert_eq!(acme.documents()[0]["vendorId"], "18446744073709551615");
}

#[test]
fn requests_that_only_a_proxy_or_a_scanner_makes_are_answered_without_a_panic() {
    let relay = TestRelay::start();
    let send = |bytes: &[u8]| {
        let mut wire = Wire::connect(relay.listen);
        wire.send(bytes);
        wire.head().status
    };
    assert_eq!(send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: h\r\n\r\n"), 405);
    assert_eq!(send(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), 204);
    assert_eq!(send(b"GET http://other.example/docs HTTP/1.1\r\nHost: h\r\n\r\n"), 200);
    assert_eq!(send(b"GET /in/%ff%00%0a HTTP/1.1\r\nHost: h\r\n\r\n"), 404);
    assert_eq!(send(b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n"), 400);
    assert_eq!(send(b"\x16\x03\x01\x00\xff\r\n\r\n"), 400);
    let long = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 20_000], b"\r\n\r\n".to_vec()].concat();
    assert_eq!(send(&long), 431);
    assert_eq!(send(&[b"GET /".to_vec(), vec![b'y'; 10_000], b" HTTP/1.1\r\n\r\n".to_vec()].concat()), 404);
    let said = relay.said();
    assert!(!said.contains("panicked"), "{said}");
    assert!(said.lines().all(|line| line.len() < 1000), "no address fills the log");
}

#[test]
fn one_message_from_fifty_senders_at_once_is_one_event() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    for (hook, body) in [
        (acme.open_hook("gini").path, GOOD),
        (acme.open_hook("zoffice").path, r#"{"taskId":"t","code":"TaskSuccessNotify"}"#),
        (acme.open_hook("baidu").path, r#"{"messageId":"m","messageBody":{"documentId":"d","status":"FAILED"}}"#),
    ] {
        let request = Request::post(&hook).json(body);
        let mut wires: Vec<Wire> = (0..50).map(|_| Wire::connect(relay.listen)).collect();
        wires.iter_mut().for_each(|wire| wire.send(request.bytes()));
        let ids: Vec<String> = wires.iter_mut().map(|wire| stored(&wire.answer(false))).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
    assert_eq!(acme.documents().len(), 3);
    relay.wait_until_metric("docrelay_store_head", |head| head == 3.0);
}

#[test]
fn a_wrong_method_an_unknown_key_and_too_many_calls_are_told_apart() {
    let relay = TestRelay::with(&[("hook_rate", "2")]);
    let acme = Tenant::new(&relay, "acme");
    let allowed = [
        ("ppj", "GET, POST"),
        ("baidu", "POST"),
        ("zoffice", "POST"),
        ("gini", "POST"),
        ("standard", "POST, OPTIONS"),
        ("generic", "POST"),
    ];
    for (vendor, allow) in allowed {
        let answer = relay.ask(&Request::new("PUT", &acme.open_hook(vendor).path).json(GOOD));
        problem(&answer, 405);
        assert_eq!(answer.header("allow"), Some(allow));
    }
    for path in ["/in/nobody", "/in/", "/in", "/in/a/b", "/in/%00", "/in/..%2Fhooks"] {
        problem(&relay.ask(&Request::post(path).json(GOOD)), 404);
    }
    let hook = acme.open_hook("gini").path;
    let answers: Vec<Answer> = (0..3).map(|_| relay.ask(&Request::post(&hook).json(GOOD))).collect();
    stored(&answers[0]);
    let limited = answers.iter().find(|a| a.status == 429).expect("three calls at once are too many for two a second");
    problem(limited, 429);
    assert!(limited.header("retry-after").is_some_and(|s| s.parse::<u32>().is_ok_and(|s| s > 0)), "{limited:?}");
    // Another hook has a bucket of its own.
    stored(&relay.ask(&Request::post(&acme.open_hook("gini").path).json(GOOD)));
}
