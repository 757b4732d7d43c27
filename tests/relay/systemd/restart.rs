//! A restart behind sockets that the service manager holds: connections wait for the next process, none is refused.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::connection::Connection;
use crate::harness::fixture::document_id;
use crate::harness::follower::{Follower, Next};
use crate::harness::request::Request;
use crate::harness::response::{stored_event_id, string_at};
use crate::harness::service_manager::ServiceManager;
use crate::harness::{TIMEOUT, wait_until};

const SENDERS: u32 = 4;

const RESTARTS: u32 = 3;

/// Webhooks between two restarts, at least.
const WEBHOOKS_PER_RESTART: usize = 200;

/// A follower that resumes for ever. Returns the ids of all events.
fn follow(listen: SocketAddr, token: &str, has_all: impl Fn(&[String]) -> bool) -> Vec<String> {
    let (mut ids, mut position) = (Vec::<String>::new(), "earliest".to_owned());
    let deadline = Instant::now() + TIMEOUT;
    while !has_all(&ids) {
        assert!(Instant::now() < deadline, "the follower has {} events", ids.len());
        let request = Request::get("/events/client").bearer(token).header("Last-Event-ID", &position);
        let mut stream = Follower::open(listen, &request);
        while !has_all(&ids) {
            match stream.next(Duration::from_millis(200)) {
                Next::Block(block) if block.data.is_some() => {
                    assert_eq!(block.event, None, "neither a reset nor an error: {block:?}");
                    position = block.id.expect("the id of an event");
                    ids.push(position.clone());
                }
                Next::Block(_) | Next::TimedOut => {}
                Next::End => break,
            }
        }
    }
    ids
}

/// What the senders have done.
#[derive(Default)]
struct Sent {
    ids: Vec<String>,
    /// When each response came, and how long it took from the begin of the connection.
    responses: Vec<(Instant, Duration)>,
}

#[test]
fn restart_refuses_no_connection_and_loses_no_webhook_and_no_event() {
    let mut service = ServiceManager::new("public:admin");
    service.start();
    service.cli(&["client", "add", "acme"]).succeeded();
    let hook = string_at(&service.cli(&["hook", "add", "--client", "acme", "--vendor", "gini"]).json(), "url");
    let hook = format!("/in/{}", hook.split_once("/in/").expect("a hook").1);
    let token = service.cli(&["token", "--client", "acme"]).succeeded().stdout.trim().to_owned();
    let (listen, next_document) = (service.listen, AtomicU32::new(0));
    let (sent, is_over) = (Mutex::new(Sent::default()), AtomicBool::new(false));
    // Each webhook has a connection of its own, and is sent once: a refused or reset connection fails the test.
    let send_all = || {
        while !is_over.load(Ordering::Relaxed) {
            let document = document_id(next_document.fetch_add(1, Ordering::Relaxed));
            let webhook = Request::post(&hook).json(&format!(r#"{{"documentId":"{document}","status":"COMPLETED"}}"#));
            let began = Instant::now();
            let id = stored_event_id(&Connection::open(listen).send(&webhook));
            let mut sent = sent.lock().expect("the results");
            sent.responses.push((Instant::now(), began.elapsed()));
            sent.ids.push(id);
        }
    };
    let count = || sent.lock().expect("the results").ids.len();
    // Known when the last sender has ended.
    let total = AtomicUsize::new(usize::MAX);
    let has_all = |ids: &[String]| ids.len() >= total.load(Ordering::Relaxed);
    let mut downtimes = Vec::new();
    let streamed = thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send_all)).collect();
        let follower = scope.spawn(|| follow(listen, &token, has_all));
        for _ in 0..RESTARTS {
            let before = count();
            wait_until("webhooks are stored", || count() >= before + WEBHOOKS_PER_RESTART);
            let stopped = Instant::now();
            assert_eq!(service.stop().code(), Some(0), "{}", service.output());
            assert_eq!(service.notification(), "STOPPING=1\n");
            let exited = Instant::now();
            service.start();
            downtimes.push((stopped, exited, Instant::now()));
        }
        let before = count();
        wait_until("webhooks are stored", || count() >= before + WEBHOOKS_PER_RESTART);
        is_over.store(true, Ordering::Relaxed);
        senders.into_iter().for_each(|sender| sender.join().expect("a sender"));
        total.store(count(), Ordering::Relaxed);
        follower.join().expect("a follower")
    });
    let Sent { mut ids, mut responses } = sent.into_inner().expect("the results");
    ids.sort_by_key(|id| id.split_once('.').expect("an id").1.parse::<u64>().expect("a number"));
    assert_eq!(streamed, ids, "in order, without loss and repeat");
    responses.sort_unstable();
    let gap = responses.windows(2).map(|pair| pair[1].0 - pair[0].0).max().expect("responses");
    let slowest = responses.iter().map(|(_, duration)| *duration).max().expect("responses");
    for (stopped, exited, ready) in downtimes {
        eprintln!(
            "restart: {} ms from SIGTERM to exit, {} ms to ready",
            (exited - stopped).as_millis(),
            (ready - exited).as_millis()
        );
    }
    eprintln!(
        "{} webhooks on as many connections over {RESTARTS} restarts: longest gap between two responses {} ms, slowest response {} ms",
        ids.len(),
        gap.as_millis(),
        slowest.as_millis()
    );
}

#[test]
fn restart_fails_no_webhook_on_connections_that_are_used_again() {
    let mut service = ServiceManager::new("public:admin");
    service.start();
    service.cli(&["client", "add", "acme"]).succeeded();
    let hook = string_at(&service.cli(&["hook", "add", "--client", "acme", "--vendor", "gini"]).json(), "url");
    let hook = format!("/in/{}", hook.split_once("/in/").expect("a hook").1);
    let (listen, next_document) = (service.listen, AtomicU32::new(0));
    let is_over = AtomicBool::new(false);
    let send_all = || {
        let mut connections = 1;
        let mut connection = Connection::open(listen);
        while !is_over.load(Ordering::Relaxed) {
            let document = document_id(next_document.fetch_add(1, Ordering::Relaxed));
            let webhook = Request::post(&hook).json(&format!(r#"{{"documentId":"{document}","status":"COMPLETED"}}"#));
            let response = connection.send(&webhook);
            stored_event_id(&response);
            if response.header("connection") == Some("close") {
                (connection, connections) = (Connection::open(listen), connections + 1);
            }
        }
        connections
    };
    let connections: Vec<u32> = thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send_all)).collect();
        for _ in 0..RESTARTS {
            let before = next_document.load(Ordering::Relaxed);
            wait_until("webhooks are sent", || next_document.load(Ordering::Relaxed) >= before + 200);
            assert_eq!(service.stop().code(), Some(0), "{}", service.output());
            assert_eq!(service.notification(), "STOPPING=1\n");
            service.start();
        }
        is_over.store(true, Ordering::Relaxed);
        senders.into_iter().map(|sender| sender.join().expect("a sender")).collect()
    });
    assert!(
        connections.iter().all(|count| *count > RESTARTS),
        "each process tells each sender to close: {connections:?}"
    );
}

#[test]
fn request_on_its_way_when_the_relay_stops_is_answered() {
    let mut service = ServiceManager::new("public:admin");
    service.start();
    // Accepted before the stop, as the admin address knows, and silent until it.
    let mut silent = Connection::open(service.listen);
    let mut half = Connection::open(service.listen);
    half.write("GET /docs HTTP/1.1\r\nHost: re");
    let mut used = Connection::open(service.listen);
    assert_eq!(used.send(&Request::get("/docs")).status, 200);
    let connections = || {
        let page = Connection::open(service.admin_listen).send(&Request::get("/metrics"));
        page.text().lines().any(|line| line == "docrelay_connections 4")
    };
    wait_until("all are accepted", connections);
    service.signal(Signal::TERM);
    assert_eq!(service.notification(), "STOPPING=1\n");
    silent.write(Request::get("/docs").bytes());
    half.write("lay.test\r\n\r\n");
    used.write(Request::get("/docs").bytes());
    for mut connection in [silent, half, used] {
        assert_eq!(connection.read_response().status, 200);
        assert!(connection.is_closed_by_peer());
    }
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn webhook_of_a_proxy_is_answered_when_its_header_arrives_after_the_stop() {
    let mut service = ServiceManager::new("public:admin");
    let config = "trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true\n";
    std::fs::write(service.config_file(), config).expect("a file");
    service.start();
    let mut connection = Connection::open(service.listen);
    wait_until("it is accepted", || {
        let page = Connection::open(service.admin_listen).send(&Request::get("/metrics"));
        page.text().lines().any(|line| line == "docrelay_connections 2")
    });
    service.signal(Signal::TERM);
    assert_eq!(service.notification(), "STOPPING=1\n");
    connection.write("PROXY TCP4 203.0.113.9 192.0.2.1 56324 443\r\n");
    connection.write(Request::get("/docs").bytes());
    assert_eq!(connection.read_response().status, 200);
    assert!(connection.is_closed_by_peer());
    assert_eq!(service.wait().code(), Some(0));
}
