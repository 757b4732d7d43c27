//! The hand-off of a connection from hyper to the streams' own tasks, seen from the socket: whatever surrounds the
//! request, the bytes are those of one ordinary chunked answer.

use std::io::Read;
use std::net::TcpStream;

use super::scene::{Scene, split};
use crate::support::PATIENCE;
use crate::support::sse::Follower;
use crate::support::wire::{Came, Request, Wire};

/// Reads the whole answer until the stream is ended by the administrator, and takes it apart.
#[track_caller]
fn whole(scene: &Scene, mut wire: Wire, told: &str) -> String {
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).contains(&format!("id: {told}\n")) {
        match wire.read(PATIENCE) {
            Came::Bytes(bytes) => all.extend(bytes),
            other => panic!("{other:?} instead of {told}, after {:?}", String::from_utf8_lossy(&all)),
        }
    }
    let list = scene.admin("GET", "/admin/followers").json();
    let id = list["followers"][0]["id"].as_str().expect("one follower").to_owned();
    assert_eq!(scene.admin("DELETE", &format!("/admin/followers/{id}")).status, 204);
    all.extend(wire.read_to_end());
    let (head, body) = split(&all);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(String::from_utf8_lossy(&all).matches("HTTP/1.1").count(), 1, "one answer");
    let body = String::from_utf8(body).expect("text");
    assert!(body.ends_with("\r\n0\r\n\r\n"), "{body:?}");
    body
}

#[test]
fn whatever_comes_with_or_after_the_request_does_not_disturb_the_stream() {
    let scene = Scene::start();
    let post = |more: &str, body: &str| format!("{}{more}\r\n{body}", scene.head().replacen("GET", "POST", 1));
    let requests = [
        scene.head() + "\r\n" + "GET /.well-known/jwks.json HTTP/1.1\r\nHost: relay.test\r\n\r\n",
        scene.head() + "\r\n" + &(scene.head() + "\r\n").repeat(3),
        scene.head() + "\r\n" + &"garbage".repeat(1000),
        scene.head() + "Connection: close\r\n\r\n",
        scene.head() + "Connection: keep-alive\r\n\r\n",
        post("Content-Length: 5\r\n", "a=b&c"),
        post("Content-Length: 20000\r\n", &"b".repeat(20_000)),
        // A body of which half never comes.
        post("Content-Length: 5\r\n", "a="),
        post("Transfer-Encoding: chunked\r\n", "5\r\na=b&c\r\n0\r\n\r\n"),
        post("Content-Length: 5\r\nExpect: 100-continue\r\n", ""),
    ];
    for (number, request) in requests.iter().enumerate() {
        let wire = scene.raw(request);
        scene.wait_for_metric("docrelay_followers", 1);
        let told = scene.tell(u32::try_from(number).expect("small"));
        whole(&scene, wire, &told);
        scene.wait_for_metric("docrelay_followers", 0);
    }
}

#[test]
fn requests_before_the_stream_on_the_same_connection_are_answered_first() {
    let scene = Scene::start();
    let page = Request::get("/.well-known/jwks.json");
    let mut wire = Wire::connect(scene.relay.listen);
    assert_eq!(wire.ask(&page).status, 200);
    // Two in one go: the second becomes the stream.
    wire.send([page.bytes(), (scene.head() + "\r\n").into_bytes()].concat());
    assert_eq!(wire.answer(false).status, 200);
    scene.wait_for_metric("docrelay_followers", 1);
    let told = scene.tell(1);
    whole(&scene, wire, &told);
}

#[test]
fn a_head_that_is_sent_and_read_byte_by_byte_makes_the_same_stream() {
    let scene = Scene::start();
    let mut wire = Wire::connect(scene.relay.listen);
    wire.keep_little();
    for byte in (scene.head() + "\r\n").bytes() {
        wire.send([byte]);
    }
    scene.wait_for_metric("docrelay_followers", 1);
    let told = scene.tell(1);
    let mut stream: TcpStream = wire.into_stream();
    let mut read = Vec::new();
    let mut byte = [0];
    let wanted = format!("id: {told}\ndata: ");
    while !read.ends_with(wanted.as_bytes()) {
        stream.read_exact(&mut byte).expect("one more byte");
        read.push(byte[0]);
    }
    let (head, body) = split(&read);
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    assert!(body.starts_with(b"E\r\n\nretry: "), "{:?}", String::from_utf8_lossy(&body));
}

#[test]
fn two_thousand_streams_open_within_seconds_and_all_hear_the_next_event() {
    let scene = Scene::start();
    let request = Request::get("/events/client").bearer(&scene.token);
    let began = std::time::Instant::now();
    let mut wires: Vec<Wire> = (0..2000)
        .map(|_| {
            let mut wire = Wire::connect(scene.relay.listen);
            wire.send(request.bytes());
            wire
        })
        .collect();
    let mut followers: Vec<Follower> = wires.drain(..).map(Follower::over).collect();
    scene.wait_for_metric("docrelay_followers", 2000);
    assert!(began.elapsed() < std::time::Duration::from_secs(15), "{:?}", began.elapsed());
    let told = scene.tell(1);
    for follower in &mut followers {
        assert_eq!(follower.event().id, told);
    }
}
