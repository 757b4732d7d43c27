//! Coming back: from an id, from the beginning, from ids that lead nowhere.

use super::scene::{Scene, document};
use crate::support::sse::{Event, Follower};
use crate::support::wire::Request;

#[track_caller]
fn ids(follower: &mut Follower, count: usize) -> Vec<String> {
    follower.events(count).into_iter().map(|e| e.id).collect()
}

/// A stream that begins after `id`, given in the header.
fn after(scene: &Scene, id: &str) -> Follower {
    scene.relay.follow_from(&scene.token, id)
}

/// That nothing was replayed: the next event is the one that is told now.
#[track_caller]
fn assert_live_only(scene: &Scene, mut follower: Follower, number: u32) {
    let told = scene.tell(number);
    assert_eq!(follower.event().id, told);
}

#[test]
fn a_follower_that_reconnects_misses_nothing() {
    let scene = Scene::start();
    let mut first = scene.follow();
    let mut told = vec![scene.tell(1)];
    let last = first.event().id;
    drop(first);
    told.extend((2..=5).map(|n| scene.tell(n)));
    let query = |name: &str, id: &str| scene.query(&format!("{name}={id}"));
    let mut streams = vec![
        after(&scene, &last),
        query("last_event_id", &last),
        query("lastEventId", &last),
        // The header wins, whatever the query says.
        Follower::open(
            scene.relay.listen,
            &Request::get("/events/client?last_event_id=earliest").bearer(&scene.token).header("Last-Event-ID", &last),
        ),
        // An empty header is none: a browser that has no id yet.
        Follower::open(
            scene.relay.listen,
            &Request::get(&format!("/events/client?last_event_id={last}"))
                .bearer(&scene.token)
                .header("Last-Event-ID", ""),
        ),
        Follower::open(
            scene.relay.listen,
            &Request::post(&format!("/events/client?last_event_id={last}")).bearer(&scene.token),
        ),
    ];
    for stream in &mut streams {
        assert_eq!(ids(stream, 4), told[1..]);
    }
    // And goes on live.
    told.push(scene.tell(6));
    for stream in &mut streams {
        assert_eq!(stream.event().id, told[5]);
    }
    assert_eq!(ids(&mut after(&scene, "earliest"), 6), told);
    assert_eq!(ids(&mut query("last_event_id", "earliest"), 6), told);
    assert_live_only(&scene, after(&scene, &told[5]), 7);
    assert_live_only(&scene, after(&scene, ""), 8);
    assert_live_only(&scene, query("last_event_id", ""), 9);
    assert_live_only(&scene, scene.follow(), 10);
}

#[track_caller]
fn assert_reset(event: &Event, reason: &str, earliest: &str) {
    assert_eq!((event.name.as_str(), event.id.as_str()), ("reset", ""), "{event:?}");
    assert_eq!(event.data, format!("{{\"reason\":\"{reason}\",\"earliest\":\"{earliest}\"}}"));
}

/// Trap 3: the gap told in a header that an EventSource cannot read.
#[test]
fn an_id_that_leads_nowhere_is_answered_with_a_reset_and_everything_retained() {
    let scene = Scene::start();
    let told: Vec<String> = (1..=3).map(|n| scene.tell(n)).collect();
    let (epoch, sequence) = told[2].split_once('.').expect("epoch.sequence");
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
        (&told[0].to_uppercase().replace('.', ":"), "unknown"),
        (elsewhere.as_str(), "epoch"),
        ("0.1", "epoch"),
    ] {
        let escaped: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
        for mut stream in [after(&scene, id), scene.query(&format!("lastEventId={escaped}"))] {
            assert_reset(&stream.event(), reason, &told[0]);
            assert_eq!(ids(&mut stream, 3), told, "after {}", &id[..id.len().min(40)]);
        }
    }
    for escaped in ["%00", "%0A", "%0D%0Aid:%201", "%FF%FE", "a%00b"] {
        let mut stream = scene.query(&format!("last_event_id={escaped}"));
        assert_reset(&stream.event(), "unknown", &told[0]);
        assert_eq!(ids(&mut stream, 3), told);
    }
    assert!(scene.metric("docrelay_resets_total{reason=\"unknown\"}") > 20);
    assert_eq!(scene.metric("docrelay_resets_total{reason=\"epoch\"}"), 4);
}

#[test]
fn a_client_without_history_is_reset_to_a_position_that_continues() {
    let scene = Scene::start();
    let mut stream = after(&scene, "garbage");
    let reset = stream.event();
    let earliest = reset.json()["earliest"].as_str().expect("an id").to_owned();
    assert_reset(&reset, "unknown", &earliest);
    let mut from_there = after(&scene, &earliest);
    let told = scene.tell(1);
    assert_eq!((stream.event().id, from_there.event().id), (told.clone(), told));
}

#[test]
fn what_was_dropped_by_the_retention_is_an_expired_gap_and_what_was_not_is_none() {
    let mut scene = Scene::start();
    let told: Vec<String> = (1..=10).map(|n| scene.tell(n)).collect();
    // What is too much goes when the relay starts.
    scene.relay.set("history_events_per_client", "4");
    scene.relay.restart();
    scene.wait_for_metric("docrelay_pruned_events_total", 6);
    for gone in &told[..5] {
        let mut stream = after(&scene, gone);
        assert_reset(&stream.event(), "expired", &told[6]);
        assert_eq!(ids(&mut stream, 4), told[6..]);
    }
    // The last dropped one is a position like any other: nothing after it is missing.
    for (at, kept) in told.iter().enumerate().skip(5) {
        let mut stream = after(&scene, kept);
        let missed = told.len() - 1 - at;
        assert_eq!(ids(&mut stream, missed), told[at + 1..]);
    }
    assert_eq!(ids(&mut after(&scene, "earliest"), 4), told[6..]);
    assert_eq!(scene.metric("docrelay_resets_total{reason=\"expired\"}"), 5);
}

/// Trap 31: a cursor that opens another tenant's history.
#[test]
fn another_clients_id_is_a_position_and_gives_nothing_of_theirs() {
    let scene = Scene::start();
    scene.relay.client_add("other");
    let other_hook = scene.relay.hook_add("other", "gini", &[]).path;
    let other_token = scene.relay.token("other");
    let mut theirs = Vec::new();
    let mut ours = Vec::new();
    for number in 1..=3 {
        ours.push(scene.tell(number));
        let body = format!(r#"{{"documentId":"{}","status":"ERROR"}}"#, document(number));
        let answer = scene.relay.ask(&Request::post(&other_hook).json(&body));
        theirs.push(answer.header("docrelay-event-id").expect("an id").to_owned());
    }
    let mut stream = scene.relay.follow_from(&other_token, &ours[0]);
    assert_eq!(ids(&mut stream, 3), theirs);
    let mut stream = after(&scene, &theirs[0]);
    let events = stream.events(2);
    assert_eq!(events.iter().map(|e| e.id.clone()).collect::<Vec<_>>(), ours[1..]);
    assert!(events.iter().all(|e| e.json()["status"] == "COMPLETED"));
    let mut all = scene.relay.follow_from(&other_token, "earliest");
    assert_eq!(ids(&mut all, 3), theirs);
    let mut reset = scene.relay.follow_from(&other_token, "garbage");
    assert_reset(&reset.event(), "unknown", &theirs[0]);
}
