//! Streams across origins: which pages may read them, and what the preflight of a resume is told.

use super::scene::Scene;
use crate::support::wire::{Answer, Request};

const ALLOW: &str = "access-control-allow-origin";

fn preflight(scene: &Scene, origin: &str) -> Answer {
    let request = Request::new("OPTIONS", "/events/client?token=x")
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "GET")
        .header("Access-Control-Request-Headers", "authorization,cache-control,last-event-id");
    scene.relay.ask(&request)
}

fn assert_lets_a_resume_through(answer: &Answer) {
    let allowed = answer.header("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
    for name in ["authorization", "last-event-id", "cache-control"] {
        assert!(allowed.split(", ").any(|a| a == name), "{name} is not in {allowed}");
    }
    let methods = answer.header("access-control-allow-methods").unwrap_or_default();
    assert!(methods.contains("GET") && methods.contains("POST"), "{methods}");
    // No cookie is ever used, so no page may send one.
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

#[test]
fn by_default_any_page_may_follow_and_resume() {
    let scene = Scene::start();
    let answer = preflight(&scene, "https://app.example");
    assert_eq!((answer.status, answer.header(ALLOW)), (204, Some("*")));
    assert_lets_a_resume_through(&answer);
    for request in [Request::get("/events/client"), Request::get("/events/client").bearer(&scene.token)] {
        let mut wire = scene.raw(request.header("Origin", "https://app.example").bytes());
        let head = wire.head();
        assert_eq!((head.header(ALLOW), head.header("vary")), (Some("*"), None));
    }
}

#[test]
fn with_a_list_only_those_pages_may_and_caches_are_told() {
    let scene = Scene::with(&[("cors_origins", "https://app.example,https://other.example")]);
    for (origin, allowed) in [
        ("https://app.example", true),
        ("https://other.example", true),
        ("https://app.example.evil.example", false),
        ("http://app.example", false),
        ("null", false),
    ] {
        let answer = preflight(&scene, origin);
        assert_eq!((answer.header(ALLOW), answer.header("vary")), (allowed.then_some(origin), Some("Origin")));
        if allowed {
            assert_lets_a_resume_through(&answer);
        }
        // The in-body error is for the page to read, as far as the stream would be.
        let refused = scene.relay.ask(&Request::get("/events/client").header("Origin", origin));
        assert_eq!((refused.header(ALLOW), refused.header("vary")), (allowed.then_some(origin), Some("Origin")));
    }
    let follower = scene.follow();
    assert_eq!((follower.head.header(ALLOW), follower.head.header("vary")), (None, Some("Origin")));
}
