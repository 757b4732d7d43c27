//! Filters of a stream: documents, statuses, and the fields of an event.

use serde_json::json;

use crate::harness::fixture::{Fixture, document_id};
use crate::harness::follower::Follower;
use crate::harness::vendor_bodies::{GINI_COMPLETED, GINI_STREAM};

#[test]
fn document_and_status_filters_select_matching_events() {
    let fixture = Fixture::start();
    let mut two =
        fixture.follow_with_query(&format!("document={}&document={}", document_id(2), document_id(4).to_uppercase()));
    let mut errors = fixture.follow_with_query("status=ERROR&status=PENDING");
    let mut both = fixture.follow_with_query(&format!("status=ERROR&document={}", document_id(3)));
    let mut all = fixture.follow();
    let mut ids = Vec::new();
    for number in 1..=4 {
        for status in ["PENDING", "COMPLETED", "ERROR"] {
            ids.push(fixture.post(&json!({"documentId": document_id(number), "status": status})));
        }
    }
    let got =
        |follower: &mut Follower, count| -> Vec<String> { follower.events(count).into_iter().map(|e| e.id).collect() };
    let pick = |at: &[usize]| -> Vec<String> { at.iter().map(|i| ids[*i].clone()).collect() };
    assert_eq!(got(&mut all, 12), ids);
    assert_eq!(got(&mut two, 6), pick(&[3, 4, 5, 9, 10, 11]));
    assert_eq!(got(&mut errors, 8), pick(&[0, 2, 3, 5, 6, 8, 9, 11]));
    assert_eq!(got(&mut both, 1), pick(&[8]));
    // The replay applies the same filters, also after an event that they exclude.
    let query = format!("last_event_id={}&document={}&document={}", ids[4], document_id(2), document_id(4));
    assert_eq!(got(&mut fixture.follow_with_query(&query), 4), pick(&[5, 9, 10, 11]));
    assert_eq!(got(&mut fixture.follow_with_query("last_event_id=earliest&status=COMPLETED"), 4), pick(&[1, 4, 7, 10]));
    let mut gini = fixture.follow_with_query(&format!("fields=gini&last_event_id={}", ids[10]));
    let event = gini.next_event();
    assert_eq!(event.id, ids[11]);
    assert_eq!(event.data, format!("{{\"documentId\":\"{}\",\"status\":\"ERROR\"}}", document_id(4)));
    // Live events after the replay.
    let live = fixture.post(&json!({"documentId": document_id(4), "status": "COMPLETED", "title": "not for gini"}));
    let event = gini.next_event();
    assert_eq!(
        (event.id, event.data),
        (live, format!("{{\"documentId\":\"{}\",\"status\":\"COMPLETED\"}}", document_id(4)))
    );
}

/// A page follows its document from the earliest event on each view: the cost must not grow with the client's history.
#[test]
fn document_stream_reads_only_events_of_its_documents() {
    let fixture = Fixture::start();
    let wanted = fixture.complete(1);
    let other: Vec<String> = (2..=300).map(|number| fixture.complete(number)).collect();
    let read = || fixture.relay.metric("docrelay_replay_events_total");
    let document = document_id(1);
    let mut view = fixture.follow_with_query(&format!("last_event_id=earliest&document={document}"));
    assert_eq!(view.next_event().id, wanted);
    assert_eq!(read(), 1, "events read for a page view");
    // No other follower keeps a ring, so the events after the position come from the log.
    drop(view);
    fixture.relay.wait_for_metric("docrelay_followers", 0);
    let last = fixture.post(&json!({"documentId": document, "status": "ERROR"}));
    let near_head = other[other.len() - 2].as_str();
    let mut resumed = fixture.follow_with_query(&format!("last_event_id={near_head}&document={document}"));
    assert_eq!(resumed.next_event().id, last);
    assert_eq!(read(), 2, "events read for a resume near the head");
}

#[test]
fn gini_fields_stream_matches_ginis_documentation() {
    let fixture = Fixture::start();
    let mut follower = fixture.follow_with_query("fields=gini");
    fixture.post(&serde_json::from_str(GINI_COMPLETED).expect("JSON"));
    let data = GINI_STREAM.lines().find_map(|line| line.strip_prefix("data: ")).expect("an event");
    assert_eq!(follower.next_event().data, data);
}

#[test]
fn event_ids_increase_and_fit_cors_safelisted_header() {
    let fixture = Fixture::start();
    let mut follower = fixture.follow();
    let sent: Vec<String> = (0..20).map(|n| fixture.complete(n)).collect();
    let seen: Vec<String> = follower.events(20).into_iter().map(|e| e.id).collect();
    assert_eq!(seen, sent);
    let sequences: Vec<u64> =
        seen.iter().map(|id| id.split_once('.').expect("epoch.sequence").1.parse().expect("a number")).collect();
    assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
    for id in &seen {
        assert!(id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'), "{id}");
    }
}

/// An EventSource does not reconnect after any status but 200.
#[test]
fn unknown_filter_value_matches_nothing_but_stays_open() {
    let fixture = Fixture::start();
    let never = ["document=x", "document=", "status=completed", "status=", "status=DONE"];
    let mut silent: Vec<Follower> = never.iter().map(|query| fixture.follow_with_query(query)).collect();
    let one = document_id(1);
    let mut narrowed =
        fixture.follow_with_query(&format!("document=x&document={one}&status=DONE&status=COMPLETED&fields=what"));
    fixture.complete(2);
    let id = fixture.complete(1);
    let event = narrowed.next_event();
    assert_eq!((event.id.as_str(), event.json()["vendor"].as_str()), (id.as_str(), Some("gini")));
    // The stop of the relay ends the wait for an event that must not arrive.
    let mut relay = fixture.relay;
    assert_eq!(relay.stop().code(), Some(0));
    for (stream, query) in silent.iter_mut().zip(never) {
        assert!(stream.head.is_chunked(), "{query}");
        assert!(stream.read_to_end().iter().all(|block| block.data.is_none()), "{query}: {}", stream.raw());
    }
}
