//! Starting, stopping, dying and coming back.

use crate::support::TestRelay;
use crate::support::wire::Request;

#[test]
fn a_relay_that_is_killed_comes_back_on_its_ports_with_everything_it_acknowledged() {
    let mut relay = TestRelay::start();
    relay.client_add("acme");
    let hook = relay.hook_add("acme", "gini", &[]);
    let token = relay.token("acme");

    let mut follower = relay.follow(&token);
    assert_eq!(follower.head.status, 200);
    assert_eq!(follower.head.header("content-type"), Some("text/event-stream"));
    let body = r#"{"documentId":"626626a0-749f-11e2-bfd6-000000000000","status":"COMPLETED"}"#;
    let answer = relay.ask(&Request::post(&hook.path).json(body));
    assert_eq!(answer.status, 200, "{answer:?}");
    let event = follower.event();
    assert_eq!(Some(event.id.as_str()), answer.header("docrelay-event-id"));
    assert!(event.data.starts_with(&body[..body.len() - 1]), "{}", event.data);

    relay.kill9();
    assert!(follower.ends());
    relay.restart();
    let mut replay = relay.follow_from(&token, "earliest");
    assert_eq!(replay.event(), event);

    assert_eq!(relay.stop().code(), Some(0));
    assert!(replay.ends());
}
