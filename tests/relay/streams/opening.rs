//! The exact bytes of a stream: response head, opening, idle lines and first event. An update of hyper, which writes the
//! head, must not change them.

use std::time::{Duration, Instant};

use crate::harness::TIMEOUT;
use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::fixture::{Fixture, document_id};
use crate::harness::follower::{Follower, Next};
use crate::harness::request::Request;
use crate::harness::response::split_response;

const HEAD: &str = "HTTP/1.1 200 OK\r\n\
    content-type: text/event-stream\r\n\
    cache-control: no-cache, no-transform\r\n\
    x-accel-buffering: no\r\n\
    access-control-allow-origin: *\r\n\
    access-control-expose-headers: X-Request-Id, X-Bce-Request-Id, Location, Retry-After\r\n\
    x-content-type-options: nosniff\r\n\
    referrer-policy: no-referrer\r\n\
    connection: close\r\n\
    transfer-encoding: chunked\r\n\
    \r\n";

/// Reads until at least `body_length` bytes follow the head. Returns head and body.
#[track_caller]
fn read(connection: &mut Connection, body_length: usize) -> (String, Vec<u8>) {
    let mut all = Vec::new();
    loop {
        match connection.read(TIMEOUT) {
            ReadOutcome::Bytes(bytes) => all.extend(bytes),
            other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&all)),
        }
        let head = all.windows(4).position(|four| four == b"\r\n\r\n");
        if head.is_some_and(|at| all.len() >= at + 4 + body_length) {
            return split_response(&all);
        }
    }
}

/// Asserts that the chunk is `E␍␊␊retry: <2000…4000>␊␊␍␊`.
#[track_caller]
fn assert_first_chunk(chunk: &[u8]) {
    let text = std::str::from_utf8(chunk).expect("text");
    let retry = text.strip_prefix("E\r\n\nretry: ").and_then(|rest| rest.strip_suffix("\n\n\r\n"));
    let retry: u32 = retry.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("not the opening: {text:?}"));
    assert!((2000..=4000).contains(&retry), "{retry}");
}

const FIRST_CHUNK: usize = "E\r\n\nretry: 2000\n\n\r\n".len();

// Rule 4: only events have an id.
// Rule 6: no buffering, no compression.
// Rule 30: tokens do not leak from URLs.
#[test]
fn stream_opening_bytes_are_equal_for_every_request_form() {
    let fixture = Fixture::start();
    let token = &fixture.token;
    let get = |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\nHost: relay.test\r\n{headers}\r\n");
    let path = "/events/client";
    let bearer = |scheme: &str| get(path, &format!("Authorization: {scheme} {token}\r\n"));
    let requests = [
        bearer("Bearer"),
        bearer("bearer"),
        bearer("BEARER"),
        bearer("bEaReR"),
        bearer("Bearer  "),
        get(&format!("{path}?token={token}"), ""),
        get(&format!("{path}?access_token={token}"), ""),
        get(&format!("{path}?document={}&token={}", document_id(1), token.replace('.', "%2E")), ""),
        // The header takes precedence over an invalid token in the query.
        get(&format!("{path}?token=nonsense"), &format!("Authorization: Bearer {token}\r\n")),
        format!(
            "POST {path} HTTP/1.1\r\nHost: relay.test\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
        ),
        format!("POST {path}?token={token} HTTP/1.1\r\nHost: relay.test\r\n\r\n"),
        get(path, &format!("Authorization: Bearer {token}\r\nConnection: close\r\n")),
        get(path, &format!("Authorization: Bearer {token}\r\nAccept-Encoding: gzip, br\r\n")),
    ];
    let mut opened: Vec<Connection> = Vec::new();
    for request in &requests {
        let mut connection = fixture.write(request);
        let (head, body) = read(&mut connection, FIRST_CHUNK);
        assert_eq!(head, HEAD, "after {request}");
        assert_first_chunk(&body);
        opened.push(connection);
    }
    let id = fixture.complete(1);
    for (connection, request) in opened.iter_mut().zip(&requests) {
        let ReadOutcome::Bytes(bytes) = connection.read(TIMEOUT) else { panic!("no event after {request}") };
        let text = String::from_utf8(bytes).expect("text");
        let (size, rest) = text.split_once("\r\n").expect("a chunk");
        let payload = rest.strip_suffix("\r\n").expect("the end of a chunk");
        assert_eq!(usize::from_str_radix(size, 16), Ok(payload.len()));
        let begins = format!(
            "id: {id}\ndata: {{\"documentId\":\"{}\",\"status\":\"COMPLETED\",\"vendor\":\"gini\",",
            document_id(1)
        );
        assert!(payload.starts_with(&begins) && payload.ends_with("}\n\n"), "{payload:?}");
        assert_eq!(payload.matches('\n').count(), 3, "one line of data: {payload:?}");
    }
}

// Rule 9: no herd after a disconnect.
#[test]
fn opening_retry_value_is_jittered() {
    let fixture = Fixture::start();
    let values: Vec<u64> = (0..12)
        .map(|_| {
            let mut follower = fixture.follow();
            follower.next(TIMEOUT);
            let Next::Block(block) = follower.next(TIMEOUT) else { panic!("no opening") };
            block.retry.expect("a retry")
        })
        .collect();
    assert!(values.iter().any(|n| *n != values[0]), "{values:?}");
}

#[test]
fn http_1_0_stream_is_unchunked_and_closes_connection() {
    let fixture = Fixture::start();
    for header in ["", "Connection: keep-alive\r\n"] {
        let mut connection =
            fixture.write(format!("GET /events/client?token={} HTTP/1.0\r\n{header}\r\n", fixture.token));
        let (head, opening) = read(&mut connection, "\nretry: 2000\n\n".len());
        let bare = HEAD.replace("HTTP/1.1", "HTTP/1.0").replace("transfer-encoding: chunked\r\n", "");
        assert_eq!(head, bare);
        assert!(opening.starts_with(b"\nretry: ") && opening.ends_with(b"\n\n"), "{opening:?}");
        let id = fixture.complete(if header.is_empty() { 1 } else { 2 });
        let ReadOutcome::Bytes(event) = connection.read(TIMEOUT) else { panic!("no event") };
        assert!(event.starts_with(format!("id: {id}\ndata: {{").as_bytes()), "{:?}", String::from_utf8_lossy(&event));
    }
}

#[test]
fn head_request_returns_stream_headers_and_opens_nothing() {
    let fixture = Fixture::start();
    let mut connection = Connection::open(fixture.relay.listen);
    for _ in 0..2 {
        let response = connection.send(&Request::new("HEAD", "/events/client").bearer(&fixture.token));
        assert_eq!((response.status, response.header("content-type")), (200, Some("text/event-stream")));
        assert_eq!(response.header("cache-control"), Some("no-cache, no-transform"));
    }
    assert_eq!(fixture.relay.metric("docrelay_followers_opened_total"), 0);
}

/// Idle lines keep a proxy from closing the stream. They must not carry an id, which would move the resume position.
// Rule 4: only events have an id.
#[test]
fn idle_stream_receives_only_empty_lines() {
    let fixture = Fixture::with_config(&[("idle_interval", "100ms")]);
    let mut chunked = fixture.write(fixture.stream_request_head() + "\r\n");
    let (_, mut idle) = read(&mut chunked, FIRST_CHUNK + 4 * "1\r\n\n\r\n".len());
    assert_eq!(idle.split_off(FIRST_CHUNK)[..24], *b"1\r\n\n\r\n1\r\n\n\r\n1\r\n\n\r\n1\r\n\n\r\n");
    let mut bare = fixture.write(format!("GET /events/client?token={} HTTP/1.0\r\n\r\n", fixture.token));
    let opening = "\nretry: 2000\n\n".len();
    let (_, mut idle) = read(&mut bare, opening + 3);
    assert_eq!(idle.split_off(opening)[..3], *b"\n\n\n");
}

/// Idle lines are for proxies that see nothing else; beside events they would only cost bytes.
// Rule 5: keepalives on idle streams only.
#[test]
fn stream_with_frequent_events_receives_no_idle_lines() {
    const IDLE_INTERVAL: Duration = Duration::from_secs(2);
    let fixture = Fixture::with_config(&[("idle_interval", "2s")]);
    let mut follower = fixture.follow();
    let (begin, mut last_event, mut longest_pause) = (Instant::now(), Instant::now(), Duration::ZERO);
    let mut number = 0;
    while begin.elapsed() < 2 * IDLE_INTERVAL {
        number += 1;
        let id = fixture.complete(number);
        assert_eq!(follower.next_event().id, id);
        longest_pause = longest_pause.max(last_event.elapsed());
        last_event = Instant::now();
    }
    let stream = follower.raw();
    let (_, after_opening) = stream.split_once("\n\n").expect("the opening");
    let idle_lines = after_opening.split("\n\n").filter(|block| block.starts_with('\n')).count();
    // A machine that stops for that long makes the stream idle.
    assert!(idle_lines == 0 || longest_pause >= IDLE_INTERVAL, "{idle_lines} idle lines, {longest_pause:?} at most");
}

/// Neither the relay nor a proxy may buffer or compress the stream.
// Rule 6: no buffering, no compression.
#[test]
fn first_byte_is_immediate_and_never_compressed() {
    let fixture = Fixture::with_config(&[("idle_interval", "60s")]);
    let request =
        Request::get("/events/client").bearer(&fixture.token).header("Accept-Encoding", "gzip, deflate, br, zstd");
    let mut follower = Follower::open(fixture.relay.listen, &request);
    assert_eq!(follower.head.header("content-encoding"), None);
    assert_ne!(follower.next(Duration::from_secs(5)), Next::TimedOut);
}
