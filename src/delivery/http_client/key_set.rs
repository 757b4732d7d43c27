//! Fetches the key set of an issuer: the response is used in full or not at all, because half a key set would retire
//! the other keys. Without TLS only from addresses that the operator has opened: the keys decide who may sign.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http::header::{ACCEPT, CACHE_CONTROL, CONNECTION};
use http::{HeaderMap, StatusCode};
use reqwest::Response;
use tokio::time::timeout;

use super::{ReqwestClient, response};
use crate::auth::{KEY_SET_TIMEOUT, KeySetClient, KeySetDocument, KeySetUnavailable, MAX_KEY_SET_BYTES};
use crate::delivery::ForbiddenEndpoint;

impl KeySetClient for ReqwestClient {
    fn fetch_key_set<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<KeySetDocument, KeySetUnavailable>> {
        Box::pin(async move {
            let fetched = timeout(KEY_SET_TIMEOUT, self.get_key_set(url)).await;
            fetched
                .unwrap_or_else(|_| unavailable(format!("no complete response within {} s", KEY_SET_TIMEOUT.as_secs())))
        })
    }
}

impl ReqwestClient {
    async fn get_key_set(&self, url: &str) -> Result<KeySetDocument, KeySetUnavailable> {
        let url = self.guard.check_url(url).map_err(|ForbiddenEndpoint(reason)| KeySetUnavailable(reason))?;
        let client = if url.scheme() == "https" {
            &self.client
        } else {
            self.guard.check_opened(&url).map_err(|ForbiddenEndpoint(reason)| KeySetUnavailable(reason))?;
            &self.opened_only
        };
        // One request in minutes: a connection that stays open would not be used again.
        let request = client
            .get(url.clone())
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(CONNECTION, "close");
        let failed =
            |error: reqwest::Error| KeySetUnavailable(response::error(&error, &url, KEY_SET_TIMEOUT).to_string());
        let response = request.send().await.map_err(failed)?;
        if response.status() != StatusCode::OK {
            return unavailable(format!("the response has the status {}", response.status().as_u16()));
        }
        let max_age = max_age(response.headers());
        Ok(KeySetDocument { body: read_all(response).await?, max_age })
    }
}

fn unavailable<T>(reason: String) -> Result<T, KeySetUnavailable> {
    Err(KeySetUnavailable(reason))
}

/// Reads the whole body, at most [`MAX_KEY_SET_BYTES`].
async fn read_all(mut response: Response) -> Result<Bytes, KeySetUnavailable> {
    let mut body = BytesMut::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|_| KeySetUnavailable("the response is incomplete".to_owned()))?
    {
        if body.len() + chunk.len() > MAX_KEY_SET_BYTES {
            return unavailable(format!("the response has more than {MAX_KEY_SET_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// How long the response is fresh (RFC 9111, 5.2.2). The first `max-age` counts; one that is malformed is ignored.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    if directives.iter().any(|name| name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache")) {
        return Some(Duration::ZERO);
    }
    directives.iter().find_map(|directive| {
        let (name, seconds) = directive.split_once('=')?;
        let is_max_age = name.trim_end().eq_ignore_ascii_case("max-age");
        let digits = seconds.trim().trim_matches('"');
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        // Digits only: parsing fails on overflow only.
        (is_max_age && is_number).then(|| Duration::from_secs(digits.parse().unwrap_or(u64::MAX)))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn freshness_of_response_is_read_from_cache_control() {
        for (value, seconds) in [
            ("max-age=300", Some(300)),
            ("public, MAX-AGE = 60, immutable", Some(60)),
            ("max-age=\"5\"", Some(5)),
            ("max-age=99999999999999999999", Some(u64::MAX)),
            ("no-cache, max-age=300", Some(0)),
            ("no-store", Some(0)),
            ("max-age=-1", None),
            ("max-age=soon", None),
            ("max-age", None),
            ("s-maxage=9", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(CACHE_CONTROL, HeaderValue::from_static(value));
            assert_eq!(max_age(&headers), seconds.map(Duration::from_secs), "{value}");
        }
        assert_eq!(max_age(&HeaderMap::new()), None);
    }
}
