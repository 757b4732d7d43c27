//! `/oauth/token`: tokens for client credentials (RFC 6749, 4.4), and the public keys.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode};
use serde::Serialize;
use warp::reply::Response;

use crate::auth::{Scopes, basic, check_client_secret, expires_in};
use crate::domain::{ClientId, Timestamp};
use crate::http::problem::HandlerResult;
use crate::http::request::Request;
use crate::http::response;
use crate::http::{Context, body};

const MAX_FORM_BYTES: usize = 16 << 10;

/// An error of RFC 6749, 5.2.
struct OauthError {
    code: &'static str,
    description: &'static str,
}

impl OauthError {
    const fn new(code: &'static str, description: &'static str) -> Self {
        Self { code, description }
    }

    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct OauthErrorJson {
            error: &'static str,
            error_description: &'static str,
        }
        let status = match self.code {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            // Section 5.2 lists errors of the caller only.
            "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut response =
            response::json(status, &OauthErrorJson { error: self.code, error_description: self.description });
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"docrelay\"");
            response.headers_mut().insert("www-authenticate", challenge);
        }
        response
    }
}

/// `GET|POST /oauth/token?grant_type=client_credentials`: parameters in the query or, with POST, in a form.
pub(in crate::http) async fn token(context: Arc<Context>, mut request: Request) -> HandlerResult {
    let mut pairs: Vec<(String, String)> = match request.method {
        Method::POST => {
            let form = body::read(&mut request, context.body_limits().at_most(MAX_FORM_BYTES)).await?;
            form_urlencoded::parse(&form).into_owned().collect()
        }
        _ => Vec::new(),
    };
    let query: Vec<(String, String)> =
        form_urlencoded::parse(request.query.as_deref().unwrap_or_default().as_bytes()).into_owned().collect();
    // A secret in a URL would appear in the logs of proxies (RFC 6749, 2.3.1).
    let issued = if query.iter().any(|(name, _)| name == "client_secret") {
        Err(OauthError::new("invalid_request", "client_secret belongs into the form, not into the query"))
    } else {
        pairs.extend(query);
        issue(&context, &request, pairs)
    };
    let mut response = issued.unwrap_or_else(OauthError::into_response);
    response.headers_mut().insert("pragma", HeaderValue::from_static("no-cache"));
    Ok(response)
}

fn issue(context: &Context, request: &Request, pairs: Vec<(String, String)>) -> Result<Response, OauthError> {
    #[derive(Serialize)]
    struct TokenJson {
        access_token: String,
        token_type: &'static str,
        expires_in: u64,
        scope: String,
    }
    let mut parameters = HashMap::new();
    for (name, value) in pairs {
        if parameters.insert(name, value).is_some() {
            return Err(OauthError::new("invalid_request", "a parameter occurs twice"));
        }
    }
    match parameters.get("grant_type").map(String::as_str) {
        Some("client_credentials") => {}
        None | Some("") => return Err(OauthError::new("invalid_request", "grant_type is missing")),
        Some(_) => return Err(OauthError::new("unsupported_grant_type", "the only grant_type is client_credentials")),
    }
    let now = Timestamp::now();
    let client = authenticated(context, request, &parameters, now)?;
    let scopes = match parameters.get("scope").map(|s| s.trim()).filter(|s| !s.is_empty()) {
        None => Scopes::ALL,
        Some(text) => {
            text.parse().map_err(|_| OauthError::new("invalid_scope", "scope is one or more of events, manage"))?
        }
    };
    let ttl = context.options.token_ttl;
    let access_token = context.keys.issue(&client, &scopes, ttl, now).map_err(|error| {
        tracing::error!(%error, "token not signed");
        OauthError::new("server_error", "no token can be signed at present")
    })?;
    let token =
        TokenJson { access_token, token_type: "bearer", expires_in: expires_in(ttl), scope: scopes.to_string() };
    Ok(response::json(StatusCode::OK, &token))
}

/// HTTP Basic, or the form's `client_id` and `client_secret`, but not both.
fn authenticated(
    context: &Context,
    request: &Request,
    parameters: &HashMap<String, String>,
    now: Timestamp,
) -> Result<ClientId, OauthError> {
    let failed = || OauthError::new("invalid_client", "the client id or its secret is wrong or missing");
    let (id, secret) = match (request.header("authorization"), parameters.get("client_secret")) {
        (Some(_), Some(_)) => {
            return Err(OauthError::new("invalid_request", "credentials in the header and in the form: use one"));
        }
        (Some(header), None) => {
            let (id, secret) = basic(header).ok_or_else(failed)?;
            (id, secret.expose().to_owned())
        }
        (None, Some(secret)) => (parameters.get("client_id").cloned().ok_or_else(failed)?, secret.clone()),
        (None, None) => return Err(failed()),
    };
    let client = id.parse().ok().and_then(|id| context.clients.get(&id)).ok_or_else(failed)?;
    if check_client_secret(&client, &secret, now) { Ok(client.id.clone()) } else { Err(failed()) }
}

/// `GET /.well-known/jwks.json`
pub(in crate::http) async fn jwks(context: Arc<Context>, _: Request) -> HandlerResult {
    let mut response = response::json_bytes(StatusCode::OK, context.keys.jwks_json());
    response.headers_mut().insert("cache-control", HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}
