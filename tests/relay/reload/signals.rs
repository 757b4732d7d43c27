//! SIGHUP: reloads while webhooks arrive, and changes what is logged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::Signal;

use super::ConfiguredRelay;
use crate::harness::connection::Connection;
use crate::harness::fixture::document_id;
use crate::harness::request::Request;
use crate::harness::response::stored_event_id;

const SENDERS: u32 = 4;

const RELOADS: i64 = 20;

#[test]
fn sighup_during_a_storm_of_webhooks_loses_nothing() {
    let configured = ConfiguredRelay::start("");
    let acme = configured.client();
    let (relay, hook) = (&configured.relay, acme.add_unverified_hook("gini").path);
    let mut stream = relay.follow(&acme.token);
    let is_over = AtomicBool::new(false);
    let (listen, is_over_now) = (relay.listen, || is_over.load(Ordering::Relaxed));
    let send = |sender: u32| {
        let mut connection = Connection::open(listen);
        let mut ids = Vec::new();
        while !is_over_now() || ids.is_empty() {
            let document = document_id(sender * 1_000_000 + u32::try_from(ids.len()).expect("few events"));
            let body = format!(r#"{{"documentId":"{document}","status":"COMPLETED"}}"#);
            ids.push(stored_event_id(&connection.send(&Request::post(&hook).json(&body))));
        }
        ids
    };
    let mut stored: Vec<String> = thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                scope.spawn({
                    let send = &send;
                    move || send(sender)
                })
            })
            .collect();
        for number in 1..=RELOADS {
            configured.write(&format!(
                "max_followers_per_client = {number}\nhook_rate = {}\nmax_connections_per_address = {}\n\
                 delivery_concurrency = {}\nhistory_events_per_client = {}\nlog_level = \"{}\"\n",
                40_000 + number,
                100 + number,
                10 + number,
                90_000 + number,
                if number % 2 == 0 { "info" } else { "warn" },
            ));
            relay.signal(Signal::HUP);
            relay.wait_for_metric("docrelay_config_reloads_total{outcome=\"applied\"}", number);
        }
        is_over.store(true, Ordering::Relaxed);
        senders.into_iter().flat_map(|sender| sender.join().expect("a sender")).collect()
    });
    let streamed = stream.event_ids(stored.len());
    let number = |id: &String| id.split_once('.').expect("an id").1.parse::<u64>().expect("a number");
    stored.sort_by_key(number);
    assert_eq!(streamed, stored, "in order, without loss and repeat");
    assert_eq!(relay.metric("docrelay_config_reloads_total{outcome=\"refused\"}"), 0);
    eprintln!("{} webhooks during {RELOADS} reloads", stored.len());
}

#[test]
fn log_level_changes_at_once_and_back() {
    for format in ["text", "json"] {
        let file = |level: &str| format!("log_level = \"{level}\"\nlog_format = \"{format}\"\n");
        let configured = ConfiguredRelay::start(&file("info"));
        let relay = &configured.relay;
        let requested = |path: &str| relay.send(&Request::get(path)).header("x-request-id").expect("an id").to_owned();
        let before = requested("/");
        configured.write(&file("debug"));
        relay.signal(Signal::HUP);
        relay.wait_for_metric("docrelay_config_reloads_total{outcome=\"applied\"}", 1);
        let during = requested("/");
        relay.wait_for_output(&during);
        configured.reload(&file("info"));
        let after = requested("/");
        // Refusals are logged at every level: the line shows that those before are written.
        relay.wait_for_output(&requested("/unknown"));
        let output = relay.output();
        assert!(!output.contains(&before) && !output.contains(&after), "{output}");
    }
}

#[test]
fn sighup_without_a_file_changes_nothing_and_does_not_end_the_relay() {
    let mut relay = crate::harness::TestRelay::start();
    relay.signal(Signal::HUP);
    relay.wait_for_output("configuration reloaded");
    assert_eq!(relay.send(&Request::get("/")).status, 200);
    assert_eq!(relay.stop().code(), Some(0));
}
