//! Tokens and clients: the client credentials grant of RFC 6749, published keys, rotation of secrets, removal.

use std::time::Instant;

use data_encoding::BASE64;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::Value;

use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::{Response, assert_problem, stored_event_id, string_at};
use crate::harness::{TIMEOUT, TestRelay};

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{id}:{secret}").as_bytes()))
}

#[track_caller]
fn assert_oauth_error(response: &Response, status: u16, error: &str) {
    assert_eq!((response.status, &response.json()["error"]), (status, &Value::from(error)), "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!((response.header("cache-control"), response.header("pragma")), (Some("no-store"), Some("no-cache")));
    assert_eq!(response.header("www-authenticate").is_some(), status == 401);
}

#[test]
fn client_given_as_json_array_is_refused() {
    let relay = TestRelay::start();
    let create =
        |body: &str| relay.send_admin(&Request::post("/admin/clients").bearer(&relay.admin_token()).json(body));
    for body in [r#"["acme"]"#, r#"[{"clientId":"acme"}]"#, r#""acme""#, "null"] {
        assert_problem(&create(body), 400);
    }
    assert_eq!(create(r#"{"clientId":"acme"}"#).status, 201, "no earlier request has created it");
}

#[test]
fn token_endpoint_accepts_get_post_basic_and_form() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let secret = &acme.secret;
    let header = basic("acme", secret);
    let query = "/oauth/token?grant_type=client_credentials";
    let in_form = format!("grant_type=client_credentials&client_id=acme&client_secret={secret}");
    let requests = [
        (Request::get(query).header("Authorization", &header), "events manage"),
        (Request::post(query).header("Authorization", &header), "events manage"),
        (
            Request::post("/oauth/token")
                .header("Authorization", &header)
                .form("grant_type=client_credentials&scope=events"),
            "events",
        ),
        (Request::post("/oauth/token").form(&format!("{in_form}&scope=manage")), "manage"),
        (
            Request::get(&format!("{query}&scope=events%20manage"))
                .header("Authorization", &header.replace("Basic", "basic")),
            "events manage",
        ),
    ];
    for (request, scope) in requests {
        let response = relay.send(&request);
        let json = response.json();
        assert_eq!(
            (response.status, &json["token_type"], &json["expires_in"]),
            (200, &"bearer".into(), &3599.into()),
            "{response:?}"
        );
        assert_eq!(json["scope"], scope);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let list = relay.send(&Request::get("/documents").bearer(&string_at(&json, "access_token")));
        assert_eq!(list.status, 200);
    }
}

#[test]
fn invalid_token_request_gets_rfc_6749_error() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let good = basic("acme", &acme.secret);
    let post = |form: &str, header: &str| {
        relay.send(&Request::post("/oauth/token").header("Authorization", header).form(form))
    };
    assert_oauth_error(&post("grant_type=client_credentials", &basic("acme", "wrong")), 401, "invalid_client");
    assert_oauth_error(&post("grant_type=client_credentials", &basic("unknown", &acme.secret)), 401, "invalid_client");
    assert_oauth_error(&post("grant_type=client_credentials", "Basic !!"), 401, "invalid_client");
    assert_oauth_error(&relay.send(&Request::get("/oauth/token?grant_type=client_credentials")), 401, "invalid_client");
    assert_oauth_error(&post("", &good), 400, "invalid_request");
    assert_oauth_error(
        &post("grant_type=client_credentials&grant_type=client_credentials", &good),
        400,
        "invalid_request",
    );
    assert_oauth_error(&post("grant_type=client_credentials&client_secret=x", &good), 400, "invalid_request");
    assert_oauth_error(&post("grant_type=password", &good), 400, "unsupported_grant_type");
    assert_oauth_error(&post("grant_type=client_credentials&scope=admin", &good), 400, "invalid_scope");
    assert_problem(&relay.send(&Request::new("DELETE", "/oauth/token")), 405);
    assert_problem(&relay.send(&Request::post("/oauth/token").form(&"x".repeat(20_000))), 413);
}

#[test]
fn token_verifies_with_published_key_and_claims() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let response = relay.send(&Request::get("/.well-known/jwks.json"));
    let set: JwkSet = serde_json::from_slice(&response.body).expect("a set of keys");
    assert!(!response.text().contains("\"d\""), "the private key is not published");
    let header = decode_header(&acme.token).expect("a header");
    assert_eq!(header.alg, Algorithm::EdDSA);
    let key = set.find(header.kid.as_deref().expect("a kid")).expect("published");
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.validate_aud = false;
    let claims = decode::<Value>(&acme.token, &DecodingKey::from_jwk(key).expect("a key"), &rules)
        .expect("a valid signature")
        .claims;
    for name in ["iss", "aud", "sub", "scope", "exp", "iat", "jti"] {
        assert!(!claims[name].is_null(), "{name} is missing: {claims}");
    }
    assert_eq!([&claims["sub"], &claims["scope"]], ["acme", "events manage"]);
    let lasts = claims["exp"].as_i64().expect("seconds") - claims["iat"].as_i64().expect("seconds");
    assert_eq!(lasts, 3600);
    assert_problem(&relay.send(&Request::post("/.well-known/jwks.json")), 405);
}

#[test]
fn rotated_secret_stays_valid_for_one_rotation() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let admin = relay.admin_token();
    let rotate = || {
        string_at(&relay.send_admin(&Request::post("/admin/clients/acme/secret").bearer(&admin)).json(), "clientSecret")
    };
    let status = |secret: &str| {
        let query = "/oauth/token?grant_type=client_credentials";
        relay.send(&Request::get(query).header("Authorization", &basic("acme", secret))).status
    };
    let second = rotate();
    assert_eq!([&acme.secret, &second, "x"].map(&status), [200, 200, 401]);
    let third = rotate();
    assert_eq!([&acme.secret, &second, &third].map(|s| status(s)), [401, 200, 200]);
    assert_eq!(acme.get("/documents").status, 200, "a rotated secret does not invalidate tokens");
}

#[test]
fn removed_client_is_erased_and_name_is_reusable() {
    let relay = TestRelay::start();
    let admin = relay.admin_token();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini");
    let body = r#"{"documentId":"d","status":"PENDING"}"#;
    let id = stored_event_id(&relay.send(&Request::post(&hook.path).json(body)));
    assert_problem(&relay.send(&Request::post(&hook.path).json("{")), 422);
    let document = string_at(&acme.documents()[0], "documentId");
    let mut follower = relay.follow(&acme.token);

    relay.remove_client("acme");
    assert_eq!(follower.next_event().data, "auth_failed");
    assert!(follower.ends());
    assert_problem(&relay.send(&Request::post(&hook.path).json(body)), 404);
    assert_problem(&acme.get("/documents"), 401);
    assert_problem(&relay.send_admin(&Request::new("DELETE", "/admin/clients/acme").bearer(&admin)), 404);

    // A client of the same name, created in the same second, does not accept the old tokens.
    let recreated = TestClient::new(&relay, "acme");
    assert_problem(&acme.get("/documents"), 401);
    assert_problem(&acme.get("/hooks"), 401);
    assert!(recreated.documents().is_empty() && recreated.rejects().is_empty());
    assert_eq!(recreated.get("/hooks").json()["hooks"], serde_json::json!([]));
    for target in [format!("/documents/{document}"), format!("/events/{id}/raw"), format!("/hooks/{}", hook.id)] {
        assert_problem(&recreated.get(&target), 404);
    }
    let fresh = stored_event_id(&relay.send(&Request::post(&recreated.add_unverified_hook("gini").path).json(body)));
    assert_ne!(fresh, id, "messages of the removed client count for no repeat");
    assert_eq!(recreated.events(1)[0].id, fresh);

    // The writer erases the rows of the removed client; those of the new client remain. The removed client's own row
    // stays, without its name: no later client may get its time of creation.
    let file = rusqlite::Connection::open(relay.data_dir().join("docrelay.db")).expect("opened");
    let row_counts = || {
        ["client", "hook", "event", "raw", "document", "reject"].map(|table| {
            file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).expect("a count")
        })
    };
    let deadline = Instant::now() + TIMEOUT;
    while row_counts() != [2, 1, 1, 1, 1, 0] {
        assert!(Instant::now() < deadline, "{:?}", row_counts());
    }
}

// Rule 32: the admin address is separate.
#[test]
fn admin_address_requires_admin_token_and_is_separate() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let admin = relay.admin_token();
    let add = |token: &str, body: &str| relay.send_admin(&Request::post("/admin/clients").bearer(token).json(body));
    for target in ["/admin/clients", "/admin/followers", "/admin/clients/acme/secret", "/admin/clients/acme"] {
        assert_problem(&relay.send_admin(&Request::get(target)), 401);
        assert_problem(&relay.send_admin(&Request::get(target).bearer(&acme.token)), 401);
        assert_problem(&relay.send(&Request::get(target).bearer(&admin)), 404);
    }
    for target in ["/metrics", "/livez", "/readyz"] {
        assert_problem(&relay.send(&Request::get(target)), 404);
        assert_eq!(relay.send_admin(&Request::get(target)).status, 200, "{target}");
    }
    assert_problem(&add(&admin, r#"{"clientId":"acme"}"#), 409);
    for bad in [r#"{"clientId":""}"#, r#"{"clientId":"a b"}"#, r#"{"clientId":"../x"}"#, r#"{"id":"x"}"#, "{"] {
        assert_problem(&add(&admin, bad), 400);
    }
    assert_problem(&relay.send_admin(&Request::get("/events/client").bearer(&acme.token)), 404);
    let clients = relay.send_admin(&Request::get("/admin/clients").bearer(&admin));
    assert_eq!(clients.json()["clients"][0]["clientId"], "acme");
    assert!(!clients.text().contains(&acme.secret));
}

#[test]
fn thousand_hooks_per_client_is_the_limit() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let mut connection = Connection::open(relay.listen);
    let mut last = String::new();
    for n in 0..1000 {
        let body = format!(r#"{{"vendor":"gini","name":"hook {n}"}}"#);
        let made = connection.send(&Request::post("/hooks").bearer(&acme.token).json(&body));
        assert_eq!(made.status, 201, "{made:?}");
        last = string_at(&made.json(), "url");
    }
    assert_problem(&acme.post("/hooks", r#"{"vendor":"gini"}"#), 409);
    assert_eq!(acme.get("/hooks").json()["hooks"].as_array().map(Vec::len), Some(1000));
    let path = &last[last.find("/in/").expect("a path")..];
    stored_event_id(&relay.send(&Request::post(path).json(r#"{"documentId":"d","status":"PENDING"}"#)));
}
