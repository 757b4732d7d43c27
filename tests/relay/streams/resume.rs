//! Resume of a stream: after an event id, from the earliest event, and after ids that are unknown or expired.

use serde_json::json;

use crate::harness::TIMEOUT;
use crate::harness::fixture::{Fixture, document_id};
use crate::harness::follower::{Follower, Next};
use crate::harness::request::Request;
use crate::harness::sse::Event;

/// Opens a stream that resumes after `id`, sent in the header.
fn after(fixture: &Fixture, id: &str) -> Follower {
    fixture.relay.follow_from(&fixture.token, id)
}

/// Asserts that nothing is replayed: the next event is one that is stored now.
#[track_caller]
fn assert_live_only(fixture: &Fixture, mut follower: Follower, number: u32) {
    let id = fixture.complete(number);
    assert_eq!(follower.next_event().id, id);
}

#[test]
fn reconnecting_follower_misses_nothing() {
    let fixture = Fixture::start();
    let mut first = fixture.follow();
    let mut sent = vec![fixture.complete(1)];
    let last = first.next_event().id;
    drop(first);
    sent.extend((2..=5).map(|n| fixture.complete(n)));
    let query = |name: &str, id: &str| fixture.follow_with_query(&format!("{name}={id}"));
    let mut streams = vec![
        after(&fixture, &last),
        query("last_event_id", &last),
        query("lastEventId", &last),
        // The header takes precedence over the query.
        fixture.relay.open_stream(
            &Request::get("/events/client?last_event_id=earliest")
                .bearer(&fixture.token)
                .header("Last-Event-ID", &last),
        ),
        // An empty header counts as none: a browser sends it before the first event.
        Follower::open(
            fixture.relay.listen,
            &Request::get(&format!("/events/client?last_event_id={last}"))
                .bearer(&fixture.token)
                .header("Last-Event-ID", ""),
        ),
        Follower::open(
            fixture.relay.listen,
            &Request::post(&format!("/events/client?last_event_id={last}")).bearer(&fixture.token),
        ),
    ];
    for stream in &mut streams {
        assert_eq!(stream.event_ids(4), sent[1..]);
    }
    // Live events follow the replay.
    sent.push(fixture.complete(6));
    for stream in &mut streams {
        assert_eq!(stream.next_event().id, sent[5]);
    }
    assert_eq!(after(&fixture, "earliest").event_ids(6), sent);
    assert_eq!(query("last_event_id", "earliest").event_ids(6), sent);
    assert_live_only(&fixture, after(&fixture, &sent[5]), 7);
    assert_live_only(&fixture, after(&fixture, ""), 8);
    assert_live_only(&fixture, query("last_event_id", ""), 9);
    assert_live_only(&fixture, fixture.follow(), 10);
}

/// A browser sends as `Last-Event-ID` what the opening has set, although no event has arrived.
#[test]
fn follower_cut_before_its_first_event_resumes_without_gap() {
    let fixture = Fixture::start();
    let opening_id = |stream: &mut Follower| loop {
        match stream.next(TIMEOUT) {
            Next::Block(block) if block.retry.is_some() => break block.id,
            Next::Block(_) => {}
            other => panic!("{other:?} instead of the opening"),
        }
    };
    fixture.complete(1);
    let filtered = format!("document={}", document_id(2));
    for query in ["", filtered.as_str()] {
        let mut cut = fixture.follow_with_query(query);
        let position = opening_id(&mut cut).expect("a position");
        drop(cut);
        let missed = fixture.post(&json!({"documentId": document_id(2), "status": "PENDING"}));
        let mut resumed = fixture.follow_with_query(&format!("{query}&last_event_id={position}"));
        assert_eq!(opening_id(&mut resumed).as_ref(), Some(&position), "the given position is repeated");
        assert_eq!(resumed.next_event().id, missed);
        fixture.complete(2);
    }
    // A position that cannot be resumed is not replaced before the reset has said so.
    for (given, expected) in [("0.7", Some("0.7")), ("garbage", None)] {
        let mut stream = after(&fixture, given);
        assert_eq!(opening_id(&mut stream).as_deref(), expected);
        assert_eq!(stream.next_event().name, "reset");
    }
    let begin = opening_id(&mut after(&fixture, "earliest")).expect("a position");
    let all = fixture.follow_with_query("last_event_id=earliest").event_ids(5);
    assert_eq!(after(&fixture, &begin).event_ids(5), all);
}

#[track_caller]
fn assert_reset(event: &Event, reason: &str, earliest: &str) {
    assert_eq!((event.name.as_str(), event.id.as_str()), ("reset", ""), "{event:?}");
    assert_eq!(event.data, format!("{{\"reason\":\"{reason}\",\"earliest\":\"{earliest}\"}}"));
}

/// A gap is reported as an event, because an EventSource cannot read headers.
#[test]
fn unknown_event_id_gets_reset_and_full_replay() {
    let fixture = Fixture::start();
    let sent: Vec<String> = (1..=3).map(|n| fixture.complete(n)).collect();
    let (epoch, sequence) = sent[2].split_once('.').expect("epoch.sequence");
    let ahead = format!("{epoch}.{}", sequence.parse::<u64>().expect("a number") + 1);
    let elsewhere = format!("{}1.1", &epoch[..epoch.len() - 1]);
    let elsewhere =
        if elsewhere.starts_with(&format!("{epoch}.")) { elsewhere.replacen('1', "2", 1) } else { elsewhere };
    let huge = "9".repeat(10_000);
    for (id, reason) in [
        ("garbage", "unknown"),
        ("42", "unknown"),
        (".", "unknown"),
        ("Earliest", "unknown"),
        (huge.as_str(), "unknown"),
        ("é-ü-中", "unknown"),
        (ahead.as_str(), "unknown"),
        (&format!("{epoch}.18446744073709551615"), "unknown"),
        (&format!("{epoch}.18446744073709551616"), "unknown"),
        (&format!("{epoch}.-1"), "unknown"),
        (&format!("{epoch}.01"), "unknown"),
        (&sent[0].to_uppercase().replace('.', ":"), "unknown"),
        (elsewhere.as_str(), "epoch"),
        ("0.1", "epoch"),
    ] {
        let escaped: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
        for mut stream in [after(&fixture, id), fixture.follow_with_query(&format!("lastEventId={escaped}"))] {
            assert_reset(&stream.next_event(), reason, &sent[0]);
            assert_eq!(stream.event_ids(3), sent, "after {}", &id[..id.len().min(40)]);
        }
    }
    for escaped in ["%00", "%0A", "%0D%0Aid:%201", "%FF%FE", "a%00b"] {
        let mut stream = fixture.follow_with_query(&format!("last_event_id={escaped}"));
        assert_reset(&stream.next_event(), "unknown", &sent[0]);
        assert_eq!(stream.event_ids(3), sent);
    }
    assert!(fixture.relay.metric("docrelay_resets_total{reason=\"unknown\"}") > 20);
    assert_eq!(fixture.relay.metric("docrelay_resets_total{reason=\"epoch\"}"), 4);
}

#[test]
fn reset_without_history_gives_a_resumable_position() {
    let fixture = Fixture::start();
    let mut stream = after(&fixture, "garbage");
    let reset = stream.next_event();
    let earliest = reset.json()["earliest"].as_str().expect("an id").to_owned();
    assert_reset(&reset, "unknown", &earliest);
    let mut resumed = after(&fixture, &earliest);
    let id = fixture.complete(1);
    assert_eq!((stream.next_event().id, resumed.next_event().id), (id.clone(), id));
}

// Rule 3: a gap is announced in the stream.
#[test]
fn resume_after_prune_gets_reset_expired() {
    let mut fixture = Fixture::start();
    let sent: Vec<String> = (1..=10).map(|n| fixture.complete(n)).collect();
    // Retention prunes at the start of the relay.
    fixture.relay.set_config("history_events_per_client", "4");
    fixture.relay.restart();
    fixture.relay.wait_for_metric("docrelay_pruned_events_total", 6);
    for pruned in &sent[..5] {
        let mut stream = after(&fixture, pruned);
        assert_reset(&stream.next_event(), "expired", &sent[6]);
        assert_eq!(stream.event_ids(4), sent[6..]);
    }
    // A resume after the last pruned event misses nothing.
    for (at, kept) in sent.iter().enumerate().skip(5) {
        let mut stream = after(&fixture, kept);
        let missed = sent.len() - 1 - at;
        assert_eq!(stream.event_ids(missed), sent[at + 1..]);
    }
    assert_eq!(after(&fixture, "earliest").event_ids(4), sent[6..]);
    assert_eq!(fixture.relay.metric("docrelay_resets_total{reason=\"expired\"}"), 5);
}

/// An event id of another client must not open that client's history.
// Rule 31: reads are filtered by client.
#[test]
fn foreign_event_id_gives_position_but_no_events() {
    let fixture = Fixture::start();
    fixture.relay.add_client("other");
    let other_hook = fixture.relay.add_hook("other", "gini", &[]).path;
    let other_token = fixture.relay.token("other");
    let mut foreign = Vec::new();
    let mut own = Vec::new();
    for number in 1..=3 {
        own.push(fixture.complete(number));
        let body = format!(r#"{{"documentId":"{}","status":"ERROR"}}"#, document_id(number));
        let response = fixture.relay.send(&Request::post(&other_hook).json(&body));
        foreign.push(response.header("docrelay-event-id").expect("an id").to_owned());
    }
    let mut stream = fixture.relay.follow_from(&other_token, &own[0]);
    assert_eq!(stream.event_ids(3), foreign);
    let mut stream = after(&fixture, &foreign[0]);
    let events = stream.events(2);
    assert_eq!(events.iter().map(|e| e.id.clone()).collect::<Vec<_>>(), own[1..]);
    assert!(events.iter().all(|e| e.json()["status"] == "COMPLETED"));
    let mut all = fixture.relay.follow_from(&other_token, "earliest");
    assert_eq!(all.event_ids(3), foreign);
    let mut reset = fixture.relay.follow_from(&other_token, "garbage");
    assert_reset(&reset.next_event(), "unknown", &foreign[0]);
}

#[test]
fn restored_backup_gets_reset_with_reason_epoch() {
    let mut fixture = Fixture::start();
    let database = fixture.relay.data_dir().join("docrelay.db");
    let backup = fixture.relay.data_dir().join("backup.db");
    let first = fixture.complete(1);
    fixture.relay.stop();
    std::fs::copy(&database, &backup).expect("a backup");
    fixture.relay.restart();
    let lost = fixture.complete(2);
    fixture.relay.stop();
    std::fs::copy(&backup, &database).expect("a restored backup");
    fixture.relay.restart();
    fixture.relay.wait_for_output("database is a copy");

    let next = fixture.complete(3);
    assert_ne!(next, lost, "no id is given out twice");
    let (epoch, _) = next.split_once('.').expect("an id");
    let mut stream = after(&fixture, &lost);
    assert_reset(&stream.next_event(), "epoch", &format!("{epoch}.1"));
    assert_eq!(stream.event_ids(2), [format!("{epoch}.1"), next.clone()]);
    assert_ne!(first, format!("{epoch}.1"));
}
