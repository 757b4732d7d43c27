//! Thousands of followers that connect at once, each with a token that the relay has never verified.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::assert_in_some_attempt;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::{TestRelay, wait_until};

/// More than the listen queue holds: 4 096 connections, a limit of the relay and of Linux.
const FOLLOWERS: usize = 10_000;
const THREADS: usize = 4;

/// Until all streams are open, in the dev profile: a SYN that the kernel drops is sent again after 1 s, then 3 s.
const MAX_OPENING: Duration = Duration::from_secs(20);

/// How often a connection met a full listen queue, on the whole machine.
fn listen_overflows() -> u64 {
    let counters = std::fs::read_to_string("/proc/net/netstat").expect("the counters of the network");
    let mut lines = counters.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = (lines.next().expect("the names"), lines.next().expect("the values"));
    let found = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "ListenOverflows");
    found.expect("ListenOverflows").1.parse().expect("a number")
}

#[test]
fn storm_with_fresh_tokens_overflows_no_listen_queue() {
    assert_in_some_attempt(|| {
        let relay = TestRelay::start();
        relay.add_client("acme");
        let requests: Vec<Vec<u8>> = (0..FOLLOWERS)
            .map(|number| relay.sign_token(&json!({"jti": format!("token-{number}")})))
            .map(|token| Request::get("/events/client").bearer(&token).bytes())
            .collect();
        let (before, began, listen) = (listen_overflows(), Instant::now(), relay.listen);
        let connections: Vec<Connection> = thread::scope(|scope| {
            let connecting = requests.chunks(FOLLOWERS.div_ceil(THREADS)).enumerate().map(|(thread, requests)| {
                let source = Ipv4Addr::new(127, 0, 1, 1 + u8::try_from(thread).expect("a few threads"));
                scope.spawn(move || {
                    let connect = |request: &Vec<u8>| {
                        let mut connection = Connection::open_from(source, listen);
                        connection.write(request);
                        connection
                    };
                    requests.iter().map(connect).collect::<Vec<_>>()
                })
            });
            let connecting: Vec<_> = connecting.collect();
            connecting.into_iter().flat_map(|thread| thread.join().expect("connections")).collect()
        });
        let connected = began.elapsed();
        let followers = i64::try_from(FOLLOWERS).expect("small");
        wait_until("all streams are open", || relay.metric("docrelay_followers") == followers);
        let (opened, overflows) = (began.elapsed(), listen_overflows() - before);
        eprintln!("connected after {connected:?}, all streams open after {opened:?}, {overflows} overflows");
        assert_eq!(overflows, 0, "a listen queue was full");
        assert!(opened < MAX_OPENING, "all streams open after {opened:?}");
        drop(connections);
    });
}

// Growing the table in a storm stops the thread that accepts for milliseconds.
#[test]
fn descriptor_table_has_its_final_size_before_the_first_connection() {
    let relay = TestRelay::with_config(&[("max_connections", "3000")]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", relay.pid().as_raw_nonzero())).expect("a process");
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).expect("the size of the table");
    let size: usize = size.trim().parse().expect("a number");
    assert!(size > 3_000, "{size} descriptors");
}
