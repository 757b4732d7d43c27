//! Tells OAuth libraries where tokens come from: the metadata of the relay as an authorization server (RFC 8414), which
//! has the client credentials grant only, and as a protected resource (RFC 9728). Both are made from the public URL.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use serde_json::json;
use warp::reply::Response;

use crate::auth::{JWKS_MAX_AGE, QueryToken, Scope};
use crate::http::Context;
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult};

/// `GET /.well-known/oauth-authorization-server`, and `/.well-known/openid-configuration`, where libraries of OpenID
/// Connect look for it (RFC 8414, 5). The relay has no users and issues no ID tokens.
pub(in crate::http) async fn authorization_server(context: Arc<Context>, _: Request) -> HandlerResult {
    let url = &context.public_url;
    Ok(public_json(&json!({
        "issuer": url,
        "token_endpoint": format!("{url}/oauth/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "grant_types_supported": ["client_credentials"],
        // Required by RFC 8414, which forbids an empty list; there is no authorization endpoint.
        "response_types_supported": ["none"],
        "scopes_supported": Scope::ALL.map(Scope::as_str),
        "jwks_uri": format!("{url}/.well-known/jwks.json"),
        "service_documentation": format!("{url}/docs"),
        "protected_resources": [url],
    })))
}

/// `GET /.well-known/oauth-protected-resource`
pub(in crate::http) async fn protected_resource(context: Arc<Context>, _: Request) -> HandlerResult {
    let url = &context.public_url;
    // Other names than URLs cannot be looked up.
    let foreign = context.auth.issuers();
    let foreign = foreign.iter().map(String::as_str).filter(|issuer| issuer.starts_with("https://"));
    let servers: Vec<&str> = std::iter::once(url.as_str()).chain(foreign).collect();
    // A ticket in the query is no token that an authorization server issues.
    let methods: &[&str] = match context.limits.get().query_token {
        QueryToken::Off | QueryToken::Ticket => &["header"],
        QueryToken::Any => &["header", "query"],
    };
    Ok(public_json(&json!({
        "resource": url,
        "authorization_servers": servers,
        "scopes_supported": Scope::ALL.map(Scope::as_str),
        "bearer_methods_supported": methods,
        "resource_name": "docrelay",
        "resource_documentation": format!("{url}/docs"),
    })))
}

/// JSON that is the same for every request.
fn public_json(body: &serde_json::Value) -> Response {
    let mut response = response::json(StatusCode::OK, body);
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={}", JWKS_MAX_AGE.as_secs())) {
        response.headers_mut().insert("cache-control", value);
    }
    response
}
