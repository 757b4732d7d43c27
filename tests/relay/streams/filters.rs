//! Streams that are narrower than the client's: by document, by status, by fields.

use serde_json::json;

use super::scene::{Scene, document};
use crate::support::sse::Follower;

#[test]
fn a_stream_of_some_documents_and_statuses_has_no_others() {
    let scene = Scene::start();
    let mut two = scene.query(&format!("document={}&document={}", document(2), document(4).to_uppercase()));
    let mut errors = scene.query("status=ERROR&status=PENDING");
    let mut both = scene.query(&format!("status=ERROR&document={}", document(3)));
    let mut all = scene.follow();
    let mut ids = Vec::new();
    for number in 1..=4 {
        for status in ["PENDING", "COMPLETED", "ERROR"] {
            ids.push(scene.say(&json!({"documentId": document(number), "status": status})));
        }
    }
    let got =
        |follower: &mut Follower, count| -> Vec<String> { follower.events(count).into_iter().map(|e| e.id).collect() };
    let pick = |at: &[usize]| -> Vec<String> { at.iter().map(|i| ids[*i].clone()).collect() };
    assert_eq!(got(&mut all, 12), ids);
    assert_eq!(got(&mut two, 6), pick(&[3, 4, 5, 9, 10, 11]));
    assert_eq!(got(&mut errors, 8), pick(&[0, 2, 3, 5, 6, 8, 9, 11]));
    assert_eq!(got(&mut both, 1), pick(&[8]));
    // The same from the log, after a position that the filter would not have passed.
    let query = format!("last_event_id={}&document={}&document={}", ids[4], document(2), document(4));
    assert_eq!(got(&mut scene.query(&query), 4), pick(&[5, 9, 10, 11]));
    assert_eq!(got(&mut scene.query("last_event_id=earliest&status=COMPLETED"), 4), pick(&[1, 4, 7, 10]));
    let mut gini = scene.query(&format!("fields=gini&last_event_id={}", ids[10]));
    let event = gini.event();
    assert_eq!(event.id, ids[11]);
    assert_eq!(event.data, format!("{{\"documentId\":\"{}\",\"status\":\"ERROR\"}}", document(4)));
    // And live, after the replay.
    let live = scene.say(&json!({"documentId": document(4), "status": "COMPLETED", "title": "not for gini"}));
    let event = gini.event();
    assert_eq!(
        (event.id, event.data),
        (live, format!("{{\"documentId\":\"{}\",\"status\":\"COMPLETED\"}}", document(4)))
    );
}

#[test]
fn ids_grow_and_fit_what_a_cross_origin_resume_may_send() {
    let scene = Scene::start();
    let mut follower = scene.follow();
    let told: Vec<String> = (0..20).map(|n| scene.tell(n)).collect();
    let seen: Vec<String> = follower.events(20).into_iter().map(|e| e.id).collect();
    assert_eq!(seen, told);
    let sequences: Vec<u64> =
        seen.iter().map(|id| id.split_once('.').expect("epoch.sequence").1.parse().expect("a number")).collect();
    assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
    for id in &seen {
        assert!(id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'), "{id}");
    }
}

/// Any other status than 200 would make an EventSource give up for good.
#[test]
fn a_filter_that_means_nothing_matches_nothing_and_is_still_a_stream() {
    let scene = Scene::start();
    let never = ["document=x", "document=", "status=completed", "status=", "status=DONE"];
    let mut silent: Vec<Follower> = never.iter().map(|query| scene.query(query)).collect();
    let one = document(1);
    let mut narrowed = scene.query(&format!("document=x&document={one}&status=DONE&status=COMPLETED&fields=what"));
    scene.tell(2);
    let told = scene.tell(1);
    let event = narrowed.event();
    assert_eq!((event.id.as_str(), event.json()["vendor"].as_str()), (told.as_str(), Some("gini")));
    // When the relay has stopped, nothing more can come.
    let mut relay = scene.relay;
    assert_eq!(relay.stop().code(), Some(0));
    for (stream, query) in silent.iter_mut().zip(never) {
        assert!(stream.head.is_chunked(), "{query}");
        assert!(stream.rest().iter().all(|block| block.data.is_none()), "{query}: {}", stream.raw());
    }
}
