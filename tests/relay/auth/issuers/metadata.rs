//! The metadata of RFC 8414 and RFC 9728, and the challenge that names it.

use serde_json::{Value, json};

use crate::harness::TestRelay;
use crate::harness::request::Request;

fn get(relay: &TestRelay, path: &str) -> Value {
    let response = relay.send(&Request::get(path).header("Origin", "https://app.example"));
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")), "{response:?}");
    assert_eq!(response.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    response.json()
}

#[test]
fn metadata_is_made_from_public_url_and_names_issuers() {
    let issuers = r#"[{issuer = "https://issuer.example", audience = "r", jwks_url = "https://127.0.0.1:9/keys"},
                      {issuer = "internal", audience = "r", jwks_url = "https://127.0.0.1:9/keys"}]"#;
    let url = "https://relay.example/below";
    let config = [("public_url", "https://relay.example/below/"), ("issuers", issuers), ("query_token", "off")];
    let relay = TestRelay::with_config(&config);
    let server = json!({
        "issuer": url,
        "token_endpoint": "https://relay.example/below/oauth/token",
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": ["none"],
        "scopes_supported": ["events", "manage"],
        "jwks_uri": "https://relay.example/below/.well-known/jwks.json",
        "service_documentation": "https://relay.example/below/docs",
        "protected_resources": [url],
    });
    for name in ["oauth-authorization-server", "openid-configuration"] {
        assert_eq!(get(&relay, &format!("/.well-known/{name}")), server, "{name}");
    }
    let resource = json!({
        "resource": url,
        "authorization_servers": [url, "https://issuer.example"],
        "scopes_supported": ["events", "manage"],
        "bearer_methods_supported": ["header"],
        "resource_name": "docrelay",
        "resource_documentation": "https://relay.example/below/docs",
    });
    assert_eq!(get(&relay, "/.well-known/oauth-protected-resource"), resource);

    let parameter = "resource_metadata=\"https://relay.example/below/.well-known/oauth-protected-resource\"";
    let challenge = |request: Request| relay.send(&request).header("www-authenticate").map(str::to_owned);
    assert_eq!(challenge(Request::get("/documents")), Some(format!("Bearer {parameter}")));
    let invalid = challenge(Request::get("/documents").bearer("x"));
    assert_eq!(invalid, Some(format!("Bearer error=\"invalid_token\", {parameter}")));
    for path in ["/v1/notification", "/v2/notification"] {
        let invalid = challenge(Request::get(path).bearer("x"));
        assert_eq!(invalid, Some(format!("Bearer error=\"invalid_token\", {parameter}")), "{path}");
    }
    let admin = relay.send_admin(&Request::get("/admin/clients"));
    assert_eq!(admin.header("www-authenticate"), Some("Bearer"), "the admin token is of another kind");
}

#[test]
fn metadata_names_the_query_only_if_it_takes_any_token() {
    for (rule, methods) in
        [("any", json!(["header", "query"])), ("ticket", json!(["header"])), ("off", json!(["header"]))]
    {
        let relay = TestRelay::with_config(&[("query_token", rule)]);
        let resource = get(&relay, "/.well-known/oauth-protected-resource");
        assert_eq!(resource["bearer_methods_supported"], methods, "{rule}");
    }
}
