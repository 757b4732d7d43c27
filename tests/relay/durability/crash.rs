//! Crashes: after SIGKILL, every acknowledged webhook is one event under its acknowledged id, in order.

use super::load::{Acknowledged, Load, all_events};
use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::request::Request;

const KILLS: usize = 20;

#[test]
fn restart_after_sigkill_keeps_ports_and_acknowledged_events() {
    let mut relay = TestRelay::start();
    relay.add_client("acme");
    let hook = relay.add_hook("acme", "gini", &[]);
    let token = relay.token("acme");

    let mut follower = relay.follow(&token);
    assert_eq!(follower.head.status, 200);
    assert_eq!(follower.head.header("content-type"), Some("text/event-stream"));
    let body = r#"{"documentId":"626626a0-749f-11e2-bfd6-000000000000","status":"COMPLETED"}"#;
    let response = relay.send(&Request::post(&hook.path).json(body));
    assert_eq!(response.status, 200, "{response:?}");
    let event = follower.next_event();
    assert_eq!(Some(event.id.as_str()), response.header("docrelay-event-id"));
    assert!(event.data.starts_with(&body[..body.len() - 1]), "{}", event.data);

    relay.kill();
    assert!(follower.ends());
    relay.restart();
    let mut replay = relay.follow_from(&token, "earliest");
    assert_eq!(replay.next_event(), event);

    assert_eq!(relay.stop().code(), Some(0));
    assert!(replay.ends());
}

// Rule 13: 200 means durable.
#[test]
fn sigkill_under_load_loses_and_duplicates_nothing() {
    let mut relay = TestRelay::start();
    let (token, path) = {
        let acme = TestClient::new(&relay, "acme");
        (acme.token.clone(), acme.add_unverified_hook("gini").path)
    };
    let mut acknowledged = Acknowledged::default();
    let mut pending: Vec<String> = Vec::new();
    for round in 0..KILLS {
        let load = Load {
            to: relay.listen,
            path: &path,
            senders: 4,
            round,
            per_sender: usize::MAX,
            padding: 0,
            pending: std::mem::take(&mut pending),
        };
        // The kill comes after a random number of responses, sometimes before the first.
        let kill_after = fastrand::usize(0..400);
        let result = load.run(|progress| {
            progress.wait_until(|responses| responses >= kill_after);
            relay.kill();
        });
        for (job, id) in result.acknowledged {
            acknowledged.add(job, id).unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        pending = result.pending;
        relay.restart();
        acknowledged.check(all_events(&relay, &token)).unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    assert!(acknowledged.len() > 10 * KILLS, "only {} messages were acknowledged", acknowledged.len());
}
