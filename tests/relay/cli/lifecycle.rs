//! Starting, stopping, dying and coming back.

use crate::harness::request::Request;
use crate::harness::TestRelay;

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
