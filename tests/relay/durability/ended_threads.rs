//! A thread that panics ends the process with the name of what ended, and the exit code is 1: a service manager starts
//! the relay again. The panics come from the system: see `ended_threads/preload.c`.

use std::fs;
use std::net::TcpStream;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::preload::PreloadLibrary;
use crate::harness::request::Request;
use crate::harness::response::stored_event_id;

/// Starts a relay with a client and a stream, makes the thread panic, and expects the end of the process.
#[track_caller]
fn assert_ends(thread: &str, ended: &str, wake: impl Fn(&TestRelay)) {
    let library = PreloadLibrary::build("tests/relay/durability/ended_threads/preload.c");
    let mut relay = TestRelay::not_started(&[("grace", "3s"), ("log_level", "debug")]);
    let trigger = relay.root().join("trigger");
    relay.set_environment(vec![
        ("LD_PRELOAD".to_owned(), library.path.clone().into_os_string()),
        ("PANIC_THREAD".to_owned(), thread.into()),
        ("PANIC_TRIGGER".to_owned(), trigger.clone().into_os_string()),
    ]);
    relay.restart();
    {
        let acme = TestClient::new(&relay, "acme");
        let hook = acme.add_unverified_hook("gini").path;
        let webhook = Request::post(&hook).json(r#"{"documentId":"job-1","status":"COMPLETED"}"#);
        stored_event_id(&relay.send(&webhook));
        let _follower = relay.follow(&acme.token);
        fs::write(&trigger, "").expect("the trigger");
        wake(&relay);
        // The follower leaves, which is logged.
    }
    let status = relay.wait();
    let output = relay.output();
    assert_eq!(status.code(), Some(1), "{output}");
    assert_eq!(
        output.lines().last(),
        Some(format!("docrelay: the {ended} ended unexpectedly: see the log above").as_str())
    );
    // The log thread cannot write what happened to it.
    assert!(thread == "log" || output.contains(&format!("thread=\"{thread}\"")), "{output}");
}

#[test]
fn panicking_writer_thread_ends_the_process_by_name() {
    assert_ends("store-writer", "thread store-writer", |relay| {
        // The probe of the store is not answered.
        Connection::open(relay.admin_listen).write(Request::get("/readyz").bytes());
    });
}

#[test]
fn panicking_stream_thread_ends_the_process_by_name() {
    assert_ends("streams-0", "stream thread", |_| {});
}

#[test]
fn panicking_accept_thread_ends_the_process_by_name() {
    assert_ends("accept", "public server", |relay| {
        TcpStream::connect(relay.listen).expect("a queue of connections");
    });
}

#[test]
fn panicking_log_thread_ends_the_process_by_name() {
    assert_ends("log", "log thread", |_| {});
}
