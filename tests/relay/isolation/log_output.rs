//! A reader of the log that stops delays no client.

use std::io::{self, Read};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::{Memory, SecondClient, assert_in_some_attempt};
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::assert_problem;
use crate::harness::{TestRelay, spawn_thread, wait_until};

#[test]
fn log_reader_that_stops_delays_no_second_client() {
    assert_in_some_attempt(|| {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let config = [("log_level", "debug"), ("allow_private_endpoints", "127.0.0.0/8")];
        let mut relay = TestRelay::with_stderr(&config, Stdio::from(writer));
        let (stalled, ended) = (Arc::new(Mutex::new(())), Arc::new(AtomicBool::new(false)));
        let reading = stalled.clone();
        let log_reader = spawn_thread("log reader", move || {
            let mut lines = vec![0; 64 << 10];
            while reader.read(&mut lines).is_ok_and(|read| read > 0) {
                drop(reading.lock().expect("no panic"));
            }
        });
        {
            let second = SecondClient::new(&relay);
            // Before and during: only the reader of the log makes the difference.
            let (to, end) = (relay.listen, ended.clone());
            let requests = spawn_thread("requests", move || {
                let mut connection = Connection::open(to);
                while !end.load(Ordering::Relaxed) {
                    assert_problem(&connection.send(&Request::get("/nothing")), 404);
                }
            });
            let before = second.measure_before();
            let lock = stalled.lock().expect("no panic");
            wait_until("a line is dropped", || relay.metric("docrelay_log_lines_dropped_total") > 0);
            let during = second.measure_during();
            drop(lock);
            ended.store(true, Ordering::Relaxed);
            requests.join().expect("all requests had their response");
            second.assert_undisturbed(&before, &during, Memory { peak: 24 << 20, after: 24 << 20 });
        }
        assert_eq!(relay.stop().code(), Some(0));
        log_reader.join().expect("the end of the log");
    });
}
