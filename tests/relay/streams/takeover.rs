//! The takeover of a connection from hyper by the stream writer: whatever surrounds the request, the bytes are those of
//! one chunked response.

use std::io::Read;
use std::net::TcpStream;

use crate::harness::TIMEOUT;
use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::fixture::Fixture;
use crate::harness::follower::Follower;
use crate::harness::request::Request;
use crate::harness::response::split_response;

/// Reads the stream until it contains the event, ends it by an admin request, and returns the body of the response.
#[track_caller]
fn read_whole_stream(fixture: &Fixture, mut connection: Connection, event_id: &str) -> String {
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).contains(&format!("id: {event_id}\n")) {
        match connection.read(TIMEOUT) {
            ReadOutcome::Bytes(bytes) => all.extend(bytes),
            other => panic!("{other:?} instead of {event_id}, after {:?}", String::from_utf8_lossy(&all)),
        }
    }
    let list = fixture.relay.admin("GET", "/admin/followers").json();
    let id = list["followers"][0]["id"].as_str().expect("one follower").to_owned();
    assert_eq!(fixture.relay.admin("DELETE", &format!("/admin/followers/{id}")).status, 204);
    all.extend(connection.read_to_end());
    let (head, body) = split_response(&all);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(String::from_utf8_lossy(&all).matches("HTTP/1.1").count(), 1, "one response");
    let body = String::from_utf8(body).expect("text");
    assert!(body.ends_with("\r\n0\r\n\r\n"), "{body:?}");
    body
}

#[test]
fn extra_request_bytes_do_not_disturb_the_stream() {
    let fixture = Fixture::start();
    let post = |more: &str, body: &str| {
        format!("{}{more}\r\n{body}", fixture.stream_request_head().replacen("GET", "POST", 1))
    };
    let requests = [
        fixture.stream_request_head() + "\r\n" + "GET /.well-known/jwks.json HTTP/1.1\r\nHost: relay.test\r\n\r\n",
        fixture.stream_request_head() + "\r\n" + &(fixture.stream_request_head() + "\r\n").repeat(3),
        fixture.stream_request_head() + "\r\n" + &"garbage".repeat(1000),
        fixture.stream_request_head() + "Connection: close\r\n\r\n",
        fixture.stream_request_head() + "Connection: keep-alive\r\n\r\n",
        post("Content-Length: 5\r\n", "a=b&c"),
        post("Content-Length: 20000\r\n", &"b".repeat(20_000)),
        // An incomplete body.
        post("Content-Length: 5\r\n", "a="),
        post("Transfer-Encoding: chunked\r\n", "5\r\na=b&c\r\n0\r\n\r\n"),
        post("Content-Length: 5\r\nExpect: 100-continue\r\n", ""),
    ];
    for (number, request) in requests.iter().enumerate() {
        let connection = fixture.write(request);
        fixture.relay.wait_for_metric("docrelay_followers", 1);
        let id = fixture.complete(u32::try_from(number).expect("small"));
        read_whole_stream(&fixture, connection, &id);
        fixture.relay.wait_for_metric("docrelay_followers", 0);
    }
}

#[test]
fn requests_pipelined_before_the_stream_are_answered_first() {
    let fixture = Fixture::start();
    let page = Request::get("/.well-known/jwks.json");
    let mut connection = Connection::open(fixture.relay.listen);
    assert_eq!(connection.send(&page).status, 200);
    // Two pipelined requests: the second opens the stream.
    connection.write([page.bytes(), (fixture.stream_request_head() + "\r\n").into_bytes()].concat());
    assert_eq!(connection.read_response().status, 200);
    fixture.relay.wait_for_metric("docrelay_followers", 1);
    let id = fixture.complete(1);
    read_whole_stream(&fixture, connection, &id);
}

#[test]
fn byte_by_byte_head_opens_the_same_stream() {
    let fixture = Fixture::start();
    let mut connection = Connection::open(fixture.relay.listen);
    connection.shrink_receive_buffer();
    for byte in (fixture.stream_request_head() + "\r\n").bytes() {
        connection.write([byte]);
    }
    fixture.relay.wait_for_metric("docrelay_followers", 1);
    let id = fixture.complete(1);
    let mut stream: TcpStream = connection.into_stream();
    let mut read = Vec::new();
    let mut byte = [0];
    let wanted = format!("id: {id}\ndata: ");
    while !read.ends_with(wanted.as_bytes()) {
        stream.read_exact(&mut byte).expect("one more byte");
        read.push(byte[0]);
    }
    let (head, body) = split_response(&read);
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    let body = String::from_utf8(body).expect("text");
    let (size, opening) = body.split_once("\r\n").expect("a chunk");
    let opening = &opening[..usize::from_str_radix(size, 16).expect("a size")];
    assert!(opening.starts_with("\nretry: ") && opening.ends_with(".0\n\n"), "{body:?}");
}

#[test]
fn two_thousand_streams_open_quickly_and_receive_events() {
    let fixture = Fixture::start();
    let request = Request::get("/events/client").bearer(&fixture.token);
    let began = std::time::Instant::now();
    let mut connections: Vec<Connection> = (0..2000)
        .map(|_| {
            let mut connection = Connection::open(fixture.relay.listen);
            connection.write(request.bytes());
            connection
        })
        .collect();
    let mut followers: Vec<Follower> = connections.drain(..).map(Follower::over).collect();
    fixture.relay.wait_for_metric("docrelay_followers", 2000);
    assert!(began.elapsed() < std::time::Duration::from_secs(15), "{:?}", began.elapsed());
    let id = fixture.complete(1);
    for follower in &mut followers {
        assert_eq!(follower.next_event().id, id);
    }
}
