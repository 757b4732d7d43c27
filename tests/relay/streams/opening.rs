//! The exact bytes of a stream: response head, opening, idle lines and first event. An update of hyper, which writes
//! the head, must not change them.

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

/// Asserts that the text is `␊retry: <2000…4000>␊id: POSITION␊␊`.
#[track_caller]
fn assert_opening(text: &str, position: &str) {
    let retry = text.strip_prefix("\nretry: ").and_then(|rest| rest.strip_suffix(&format!("\nid: {position}\n\n")));
    let retry: u32 = retry.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("not the opening: {text:?}"));
    assert!((2000..=4000).contains(&retry), "{retry}");
}

/// The length of an opening with this position.
fn opening_length(position: &str) -> usize {
    "\nretry: 2000\nid: \n\n".len() + position.len()
}

/// The length of its chunk.
fn opening_chunk_length(position: &str) -> usize {
    "1D\r\n\r\n".len() + opening_length(position)
}

/// Asserts that the bytes are one chunk that holds the opening.
#[track_caller]
fn assert_first_chunk(chunk: &[u8], position: &str) {
    let text = std::str::from_utf8(chunk).expect("text");
    let size = format!("{:X}\r\n", opening_length(position));
    let opening = text.strip_prefix(&size).and_then(|rest| rest.strip_suffix("\r\n"));
    assert_opening(opening.unwrap_or_else(|| panic!("not one chunk: {text:?}")), position);
}

// Rule 4: only events and position blocks have an id.
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
    let position = fixture.complete(100);
    let mut opened: Vec<Connection> = Vec::new();
    for request in &requests {
        let mut connection = fixture.write(request);
        let (head, body) = read(&mut connection, opening_chunk_length(&position));
        assert_eq!(head, HEAD, "after {request}");
        assert_first_chunk(&body, &position);
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
    let mut position = fixture.complete(100);
    for header in ["", "Connection: keep-alive\r\n"] {
        let mut connection =
            fixture.write(format!("GET /events/client?token={} HTTP/1.0\r\n{header}\r\n", fixture.token));
        let (head, opening) = read(&mut connection, opening_length(&position));
        let bare = HEAD.replace("HTTP/1.1", "HTTP/1.0").replace("transfer-encoding: chunked\r\n", "");
        assert_eq!(head, bare);
        assert_opening(std::str::from_utf8(&opening).expect("text"), &position);
        let id = fixture.complete(if header.is_empty() { 1 } else { 2 });
        let ReadOutcome::Bytes(event) = connection.read(TIMEOUT) else { panic!("no event") };
        assert!(event.starts_with(format!("id: {id}\ndata: {{").as_bytes()), "{:?}", String::from_utf8_lossy(&event));
        position = id;
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

/// Idle lines keep a proxy from closing the stream. Without a filter nothing moves the position but events.
// Rule 4: only events and position blocks have an id.
#[test]
fn idle_stream_receives_only_empty_lines() {
    let fixture = Fixture::with_config(&[("idle_interval", "100ms")]);
    let position = fixture.complete(1);
    let mut chunked = fixture.write(fixture.stream_request_head() + "\r\n");
    let opening = opening_chunk_length(&position);
    let (_, mut idle) = read(&mut chunked, opening + 4 * "1\r\n\n\r\n".len());
    assert_eq!(idle.split_off(opening)[..24], *b"1\r\n\n\r\n1\r\n\n\r\n1\r\n\n\r\n1\r\n\n\r\n");
    let mut bare = fixture.write(format!("GET /events/client?token={} HTTP/1.0\r\n\r\n", fixture.token));
    let opening = opening_length(&position);
    let (_, mut idle) = read(&mut bare, opening + 3);
    assert_eq!(idle.split_off(opening)[..3], *b"\n\n\n");
}

/// A filtered stream that resumes after a long silence need not start before all that its filter has held back.
#[test]
fn idle_line_of_filtered_stream_moves_the_position() {
    let fixture = Fixture::with_config(&[("idle_interval", "200ms")]);
    let start = fixture.complete(1);
    let mut stream = fixture.follow_with_query("status=ERROR");
    let mut seen = stream.raw();
    let mut read_until = |text: &str| {
        while !seen.contains(text) {
            assert!(!matches!(stream.next(TIMEOUT), Next::End | Next::TimedOut), "no {text:?} in {seen:?}");
            seen = stream.raw();
        }
    };
    read_until(&format!("\nid: {start}\n\n\n"));
    let (moved, last) = (fixture.complete(2), fixture.complete(3));
    read_until(&format!("id: {last}\n\n\n"));
    let error = fixture.post(&serde_json::json!({"documentId": document_id(4), "status": "ERROR"}));
    read_until(&format!("id: {error}\ndata: "));
    read_until("}\n\n\n\n");
    let rest = seen.trim_start_matches('\n').split_once(&format!("id: {start}\n\n")).expect("the opening").1;
    let rest: Vec<&str> = rest.split('\n').filter(|line| !line.is_empty() && !line.starts_with("data: ")).collect();
    // Both events may have been seen by one idle line or by two.
    let id = |event: &str| format!("id: {event}");
    let (one, two) = (vec![id(&last), id(&error)], vec![id(&moved), id(&last), id(&error)]);
    assert!(rest == one || rest == two, "{rest:?}");
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
    let (_, after_opening) = stream.trim_start_matches('\n').split_once("\n\n").expect("the opening");
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
