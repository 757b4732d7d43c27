//! Event streams over HTTP/2: the same bytes, errors and ends as over HTTP/1, several on one connection.

use std::time::Duration;

use serde_json::json;

use crate::harness::command::hook_path;
use crate::harness::connection::Connection;
use crate::harness::fixture::Fixture;
use crate::harness::follower::Follower;
use crate::harness::http2::{Http2Connection, Http2Stream};
use crate::harness::request::Request;
use crate::harness::tls::TlsFixture;

fn follow(token: &str, query: &str) -> Request {
    Request::get(&format!("/events/client?{query}")).bearer(token)
}

/// The bytes of a stream without the delays, which are random.
fn without_delays(raw: &str) -> String {
    raw.split_inclusive('\n').filter(|line| !line.starts_with("retry: ")).collect()
}

#[test]
fn streams_over_each_transport_have_the_same_bytes() {
    let over_http_1 = |connection: Connection, request: &Request, last: &str| {
        let mut connection = connection;
        connection.write(request.bytes());
        let mut follower = Follower::over(connection);
        while follower.next_event().id != last {}
        without_delays(&follower.raw())
    };
    let over_http_2 = |mut connection: Http2Connection, request: &Request, last: &str| {
        let mut stream = connection.open_stream(request);
        while connection.events(&mut stream, 1)[0].id != last {}
        without_delays(&stream.raw())
    };
    let title = "ü".repeat(30_000);
    let document = |number: u32| json!({"documentId": format!("{number}"), "status": "COMPLETED", "title": title});
    let (plain, tls) = (Fixture::start(), TlsFixture::start());
    let ids: Vec<String> = (0..40).map(|number| plain.post(&document(number))).collect();
    for query in ["last_event_id=earliest", "last_event_id=earliest&fields=gini", &format!("last_event_id={}", ids[20])]
    {
        let request = follow(&plain.token, query);
        let http_1 = over_http_1(Connection::open(plain.relay.listen), &request, &ids[39]);
        let http_2 = over_http_2(Http2Connection::open(plain.relay.listen), &request, &ids[39]);
        assert!(http_1 == http_2, "{query}: {} and {} bytes", http_1.len(), http_2.len());
    }
    let ids: Vec<String> = (0..40).map(|number| tls.post(&document(number))).collect();
    let request = follow(&tls.token, "last_event_id=earliest");
    let http_1 = over_http_1(tls.connect(), &request, &ids[39]);
    let http_2 = over_http_2(Http2Connection::open_tls(tls.relay.listen, &tls.client), &request, &ids[39]);
    assert!(http_1 == http_2, "{} and {} bytes", http_1.len(), http_2.len());
}

#[test]
fn streams_of_one_connection_get_live_events_and_idle_lines() {
    let fixture = Fixture::with_config(&[("idle_interval", "1s")]);
    let mut connection = Http2Connection::open(fixture.relay.listen);
    let mut streams: Vec<Http2Stream> = (0..5).map(|_| connection.open_stream(&follow(&fixture.token, ""))).collect();
    assert_eq!(fixture.relay.metric("docrelay_followers"), 5);
    // This one and that of the metrics; earlier ones of the metrics may still be closing.
    fixture.relay.wait_for_metric("docrelay_connections", 2);
    let id = fixture.complete(1);
    for stream in &mut streams {
        assert_eq!(connection.events(stream, 1)[0].id, id);
    }
    // An idle line is empty.
    connection.read_until(&mut streams[0], "}\n\n\n");
    let list = fixture.relay.admin("GET", "/admin/followers").json();
    assert_eq!(list["followers"].as_array().map(Vec::len), Some(5), "{list}");
    let follower = list["followers"][0]["id"].as_str().expect("an id");
    assert_eq!(fixture.relay.admin("DELETE", &format!("/admin/followers/{follower}")).status, 204);
    fixture.relay.wait_for_metric("docrelay_followers", 4);
    // The client resets the others.
    drop(streams);
    connection.run_for(Duration::from_millis(50));
    fixture.relay.wait_for_metric("docrelay_followers", 0);
    let _last = connection.open_stream(&follow(&fixture.token, ""));
    drop(connection);
    fixture.relay.wait_for_metric("docrelay_followers", 0);
    fixture.relay.wait_for_metric("docrelay_connections", 1);
}

#[test]
fn refusals_are_in_the_body_and_no_header_belongs_to_the_connection() {
    let fixture = Fixture::with_config(&[("max_followers", "1")]);
    let mut connection = Http2Connection::open(fixture.relay.listen);
    let open = connection.open_stream(&follow(&fixture.token, ""));
    let mut full = connection.open_stream(&follow(&fixture.token, ""));
    let mut without_token = connection.open_stream(&Request::get("/events/client"));
    let mut wrong_token = connection.open_stream(&follow("wrong", ""));
    for stream in [&open, &full, &without_token, &wrong_token] {
        assert_eq!((stream.head.status, stream.head.header("content-type")), (200, Some("text/event-stream")));
        for name in ["connection", "keep-alive", "transfer-encoding", "upgrade"] {
            assert_eq!(stream.head.header(name), None, "{name}");
        }
    }
    for (stream, text) in [
        (&mut full, "retry: "),
        (&mut without_token, "event: error\ndata: auth_required\n\n"),
        (&mut wrong_token, "event: error\ndata: auth_failed\n\n"),
    ] {
        connection.read_to_end(stream).expect("an orderly end");
        assert!(stream.raw().contains(text), "{:?}", stream.raw());
    }
    let head = connection.send(&Request::new("HEAD", "/events/client").bearer(&fixture.token));
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(fixture.relay.metric("docrelay_followers"), 1);
}

#[test]
fn stopping_relay_ends_streams_and_says_goaway() {
    let mut fixture = Fixture::start();
    let mut connection = Http2Connection::open(fixture.relay.listen);
    let mut stream = connection.open_stream(&follow(&fixture.token, ""));
    let mut idle = Http2Connection::open(fixture.relay.listen);
    assert_eq!(idle.send(&Request::get("/.well-known/jwks.json")).status, 200);
    fixture.relay.signal(rustix::process::Signal::TERM);
    connection.read_to_end(&mut stream).expect("an orderly end");
    assert_eq!(stream.raw().matches("retry: ").count(), 2, "{:?}", stream.raw());
    assert!(connection.is_closed_by_peer() && idle.is_closed_by_peer());
    assert!(fixture.relay.wait().success());
    assert!(!fixture.relay.output().contains("grace period ended"), "{}", fixture.relay.output());
}

#[test]
fn credentials_in_several_cookie_headers_are_verified() {
    let fixture = Fixture::start();
    let hook = r#"{"vendor":"zoffice","verify":{"type":"cookie","secret":"a=1; b=2"}}"#;
    let created = fixture.relay.send(&Request::post("/hooks").bearer(&fixture.token).json(hook));
    let hook = hook_path(created.json()["url"].as_str().expect("the URL of the hook"));
    let body = r#"{"taskId":"1c1cf10b-d9e6-4927-b75e-dddf6b441445","code":"TaskSuccessNotify","detail":{"taskStatus":"SUCCESS"}}"#;
    let request = Request::post(&hook).json(body);
    let mut connection = Http2Connection::open(fixture.relay.listen);
    let right = connection.send(&request.clone().header("Cookie", "a=1").header("Cookie", "b=2"));
    assert_eq!(right.status, 200, "{right:?}");
    let wrong = connection.send(&request.header("Cookie", "a=1").header("Cookie", "b=3"));
    assert_eq!(wrong.status, 401, "{wrong:?}");
}
