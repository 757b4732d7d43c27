//! What most tests of streams begin with: a relay, a client with a hook, and a token; and what they look at beside the
//! stream: metrics and the admin address.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::sse::Follower;
use crate::support::wire::{Answer, Request, Wire};
use crate::support::{PATIENCE, TestRelay};

/// A relay with the client `acme`, its hook and a token.
pub(crate) struct Scene {
    pub(crate) relay: TestRelay,
    pub(crate) hook: String,
    pub(crate) token: String,
}

impl Scene {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    #[track_caller]
    pub(crate) fn with(settings: &[(&str, &str)]) -> Self {
        let relay = TestRelay::with(settings);
        relay.client_add("acme");
        let hook = relay.hook_add("acme", "gini", &[]).path;
        let token = relay.token("acme");
        Self { relay, hook, token }
    }

    /// A vendor says that a document of this number is complete; the id of the event.
    #[track_caller]
    pub(crate) fn tell(&self, number: u32) -> String {
        self.say(&json!({"documentId": document(number), "status": "COMPLETED"}))
    }

    /// A vendor says this; the id of the event.
    #[track_caller]
    pub(crate) fn say(&self, body: &Value) -> String {
        let answer = self.relay.ask(&Request::post(&self.hook).json(&body.to_string()));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("docrelay-event-id").expect("the event's id").to_owned()
    }

    /// A live stream that has begun: what is told from now on is in it.
    #[track_caller]
    pub(crate) fn follow(&self) -> Follower {
        self.relay.follow(&self.token)
    }

    /// A stream with this query beside the token in the header.
    #[track_caller]
    pub(crate) fn query(&self, query: &str) -> Follower {
        Follower::open(self.relay.listen, &Request::get(&format!("/events/client?{query}")).bearer(&self.token))
    }

    /// Raw bytes to the public address.
    #[track_caller]
    pub(crate) fn raw(&self, bytes: impl AsRef<[u8]>) -> Wire {
        let mut wire = Wire::connect(self.relay.listen);
        wire.send(bytes);
        wire
    }

    /// `GET /events/client` by hand, the head's end left to the caller.
    pub(crate) fn head(&self) -> String {
        format!("GET /events/client HTTP/1.1\r\nHost: relay.test\r\nAuthorization: Bearer {}\r\n", self.token)
    }

    /// A request with the admin token.
    #[track_caller]
    pub(crate) fn admin(&self, method: &'static str, path: &str) -> Answer {
        let token = fs::read_to_string(self.relay.data().join("admin.token")).expect("the admin token");
        self.relay.ask_admin(&Request::new(method, path).bearer(token.trim()))
    }

    /// The value of one line of `/metrics`, such as `docrelay_followers`.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> i64 {
        let page = self.relay.ask_admin(&Request::get("/metrics"));
        let line = page.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no {name} in {}", page.text()))
    }

    /// Waits until a metric has a value.
    #[track_caller]
    pub(crate) fn wait_for_metric(&self, name: &str, value: i64) {
        wait_until(&format!("{name} is {value}"), || self.metric(name) == value);
    }

    /// A token with these claims beside or instead of good ones, signed with the relay's own key; `null` removes one.
    #[track_caller]
    pub(crate) fn forge(&self, changes: &Value) -> String {
        let key = fs::read_dir(self.relay.data().join("keys")).expect("keys").next().expect("a key").expect("a key");
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = key.path().file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let now = jsonwebtoken::get_current_timestamp();
        let mut claims = json!({
            "iss": "docrelay", "aud": "docrelay", "sub": "acme", "scope": "events manage",
            "iat": now, "exp": now + 3600, "jti": "forged",
        });
        for (name, value) in changes.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
        let pem = fs::read(key.path()).expect("a key");
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_pem(&pem).expect("a key")).expect("a token")
    }
}

/// The id of a document of this number.
pub(crate) fn document(number: u32) -> String {
    format!("626626a0-749f-11e2-bfd6-{number:012x}")
}

/// Looks again and again until something is so; it must be so in time.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

/// Splits an answer into its head, without what differs from request to request, and the rest.
#[track_caller]
pub(crate) fn split(bytes: &[u8]) -> (String, Vec<u8>) {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("the end of a head") + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head is text");
    let stable =
        head.split_inclusive("\r\n").filter(|line| !line.starts_with("x-request-id: ") && !line.starts_with("date: "));
    (stable.collect(), bytes[end..].to_vec())
}
