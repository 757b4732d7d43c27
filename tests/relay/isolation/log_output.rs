//! A log that cannot be written delays no client: its reader stops or ends, or the device is full.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::second_client::{Rounds, SetOnDrop};
use super::{Memory, SecondClient, assert_in_some_attempt};
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::assert_problem;
use crate::harness::{TestRelay, spawn_thread, wait_until};

const CONFIG: [(&str, &str); 2] = [("log_level", "debug"), ("allow_private_endpoints", "127.0.0.0/8")];
const MEMORY: Memory = Memory { peak: 24 << 20, after: 24 << 20 };

/// A relay whose log is read as long as the flag is true; while it is locked, the reader waits.
fn start_with_reader(is_reading: &Arc<Mutex<bool>>) -> (TestRelay, thread::JoinHandle<()>) {
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let relay = TestRelay::with_stderr(&CONFIG, Stdio::from(writer));
    let is_reading = is_reading.clone();
    let log_reader = spawn_thread("log reader", move || {
        let mut lines = vec![0; 64 << 10];
        while reader.read(&mut lines).is_ok_and(|read| read > 0) && *is_reading.lock().expect("no panic") {}
    });
    (relay, log_reader)
}

/// Measures while another client makes the relay write lines, before and during: only the log makes the difference.
fn beside_requests<T>(relay: &TestRelay, measure: impl FnOnce() -> T) -> T {
    let (listen, is_over) = (relay.listen, AtomicBool::new(false));
    thread::scope(|scope| {
        let requests = scope.spawn(|| {
            let mut connection = Connection::open(listen);
            while !is_over.load(Ordering::Relaxed) {
                assert_problem(&connection.send(&Request::get("/nothing")), 404);
            }
        });
        let end = SetOnDrop(&is_over);
        let measured = measure();
        drop(end);
        requests.join().expect("all requests had their response");
        measured
    })
}

fn measure_during(relay: &TestRelay, second: &SecondClient<'_>) -> Rounds {
    wait_until("a line is dropped", || relay.metric("docrelay_log_lines_dropped_total") > 0);
    second.measure_during()
}

/// Compares a second client before and after `disturb`, whose result is kept until the end of the measurement.
fn assert_undisturbed_by<T>(relay: &TestRelay, disturb: impl FnOnce() -> T) {
    let second = SecondClient::new(relay);
    let (before, during) = beside_requests(relay, || {
        let before = second.measure_before();
        let _disturbance = disturb();
        (before, measure_during(relay, &second))
    });
    second.assert_undisturbed(&before, &during, MEMORY);
}

#[test]
fn log_reader_that_stops_delays_no_second_client() {
    assert_in_some_attempt(|| {
        let is_reading = Arc::new(Mutex::new(true));
        let (mut relay, log_reader) = start_with_reader(&is_reading);
        assert_undisturbed_by(&relay, || is_reading.lock().expect("no panic"));
        assert_eq!(relay.stop().code(), Some(0));
        log_reader.join().expect("the end of the log");
    });
}

#[test]
fn log_reader_that_ends_delays_no_second_client() {
    assert_in_some_attempt(|| {
        let is_reading = Arc::new(Mutex::new(true));
        let (mut relay, log_reader) = start_with_reader(&is_reading);
        assert_undisturbed_by(&relay, || *is_reading.lock().expect("no panic") = false);
        log_reader.join().expect("the pipe is closed");
        assert_eq!(relay.stop().code(), Some(0));
    });
}

#[test]
fn full_device_of_the_log_delays_no_second_client() {
    assert_in_some_attempt(|| {
        // The device of a running process cannot become full, so another relay with a log that is read is measured
        // before.
        let is_reading = Arc::new(Mutex::new(true));
        let (relay, _log_reader) = start_with_reader(&is_reading);
        let second = SecondClient::new(&relay);
        let before = beside_requests(&relay, || second.measure_before());
        drop(second);
        drop(relay);
        let full = OpenOptions::new().write(true).open("/dev/full").expect("a device that is full");
        let mut relay = TestRelay::with_stderr(&CONFIG, Stdio::from(full));
        {
            let second = SecondClient::new(&relay);
            let during = beside_requests(&relay, || measure_during(&relay, &second));
            second.assert_undisturbed(&before, &during, MEMORY);
        }
        assert_eq!(relay.stop().code(), Some(0));
    });
}
