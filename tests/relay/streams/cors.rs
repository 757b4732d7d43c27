//! Streams across origins: the pages that may read them, and the response to the preflight of a resume.

use crate::harness::fixture::Fixture;
use crate::harness::request::Request;
use crate::harness::response::Response;

const ALLOW: &str = "access-control-allow-origin";

fn preflight(fixture: &Fixture, origin: &str) -> Response {
    let request = Request::new("OPTIONS", "/events/client?token=x")
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "GET")
        .header("Access-Control-Request-Headers", "authorization,cache-control,last-event-id");
    fixture.relay.send(&request)
}

fn assert_allows_resume(response: &Response) {
    let allowed = response.header("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
    for name in ["authorization", "last-event-id", "cache-control"] {
        assert!(allowed.split(", ").any(|a| a == name), "{name} is not in {allowed}");
    }
    let methods = response.header("access-control-allow-methods").unwrap_or_default();
    assert!(methods.contains("GET") && methods.contains("POST"), "{methods}");
    // The relay uses no cookies.
    assert_eq!(response.header("access-control-allow-credentials"), None);
}

#[test]
fn any_origin_may_follow_by_default() {
    let fixture = Fixture::start();
    let response = preflight(&fixture, "https://app.example");
    assert_eq!((response.status, response.header(ALLOW)), (204, Some("*")));
    assert_allows_resume(&response);
    for request in [Request::get("/events/client"), Request::get("/events/client").bearer(&fixture.token)] {
        let mut connection = fixture.write(request.header("Origin", "https://app.example").bytes());
        let head = connection.read_head();
        assert_eq!((head.header(ALLOW), head.header("vary")), (Some("*"), None));
    }
}

#[test]
fn only_configured_origins_may_follow_and_vary_is_sent() {
    let fixture = Fixture::with_config(&[("cors_origins", "https://app.example,https://other.example")]);
    for (origin, allowed) in [
        ("https://app.example", true),
        ("https://other.example", true),
        ("https://app.example.evil.example", false),
        ("http://app.example", false),
        ("null", false),
    ] {
        let response = preflight(&fixture, origin);
        assert_eq!((response.header(ALLOW), response.header("vary")), (allowed.then_some(origin), Some("Origin")));
        if allowed {
            assert_allows_resume(&response);
        }
        // An error in the body is readable for the same origins.
        let refused = fixture.relay.send(&Request::get("/events/client").header("Origin", origin));
        assert_eq!((refused.header(ALLOW), refused.header("vary")), (allowed.then_some(origin), Some("Origin")));
    }
    let follower = fixture.follow();
    assert_eq!((follower.head.header(ALLOW), follower.head.header("vary")), (None, Some("Origin")));
}
