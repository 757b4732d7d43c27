//! Checks of a response's head and of the TLS handshake: is it docrelay, and did a proxy change its headers?

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Url};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;

use super::report::{Finding, duration_text};
use crate::domain::Timestamp;

/// A larger difference of the clocks is worth a warning.
const CLOCK_SKEW_WARN: Duration = Duration::from_secs(5);

/// A larger difference of the clocks makes tokens and signed webhooks fail.
const CLOCK_SKEW_FAIL: Duration = Duration::from_secs(60);

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default().trim())
}

/// Why the response cannot be a stream of docrelay; `None` if it can.
pub(super) fn not_docrelay(status: StatusCode, headers: &HeaderMap) -> Option<Finding> {
    let reason = match status {
        StatusCode::OK => {
            let media =
                header(headers, "content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
            if media.eq_ignore_ascii_case("text/event-stream") {
                return None;
            }
            let media = if media.is_empty() { "no content type" } else { media };
            format!("responds with {media}: the stream of a relay is text/event-stream")
        }
        _ if status.is_redirection() => {
            let location = header(headers, "location").unwrap_or_default();
            let location = location.split('?').next().unwrap_or_default();
            format!("redirects to {location}: use that URL, because a redirect of a stream also passes on its token")
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            format!(
                "responds {status}: a proxy in front of the relay requires its own credentials; the stream of a relay never does"
            )
        }
        _ if status.is_server_error() => {
            format!("responds {status}: a proxy in front of the relay cannot reach it")
        }
        _ => {
            format!("responds {status}: the stream of a relay responds 200 even to refuse a client; is the path right?")
        }
    };
    Some(Finding::fail(format!("this is not docrelay: the URL {reason}")))
}

/// A compressed stream: the proxy that compresses it also buffers it.
pub(super) fn compression(headers: &HeaderMap) -> Option<Finding> {
    let is_encoded = |encoding: &&str| !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity");
    let encoding = header(headers, "content-encoding").filter(is_encoded)?;
    Some(Finding::fail(format!(
        "compressed: Content-Encoding is {encoding}, so events wait until a block is full: exclude text/event-stream from compression \
         (gzip_types in nginx)"
    )))
}

/// The headers that ask proxies not to cache, transform or buffer the stream.
pub(super) fn proxy_headers(headers: &HeaderMap) -> [Finding; 2] {
    let cache = headers.get_all("cache-control").iter().filter_map(|v| v.to_str().ok()).collect::<Vec<_>>().join(",");
    let is_missing = |name: &&str| !cache.split(',').any(|directive| directive.trim().eq_ignore_ascii_case(name));
    let missing: Vec<_> = ["no-cache", "no-transform"].into_iter().filter(is_missing).collect();
    let cache_control = if missing.is_empty() {
        Finding::ok("Cache-Control forbids caching and transforming the stream")
    } else {
        Finding::fail(format!(
            "Cache-Control lacks {}: a proxy replaces it; pass the relay's own header through",
            missing.join(" and ")
        ))
    };
    let accel_buffering = match header(headers, "x-accel-buffering") {
        Some(value) if value.eq_ignore_ascii_case("no") => {
            Finding::ok("X-Accel-Buffering disables buffering of the stream")
        }
        // nginx removes the header after applying it, so its absence alone is not a failure.
        None => Finding::warn(
            "X-Accel-Buffering is missing: nginx removes it after applying it, which is fine; any other proxy must pass it through",
        ),
        Some(other) => Finding::fail(format!("X-Accel-Buffering is {other}: a proxy replaces the relay's `no`")),
    };
    [cache_control, accel_buffering]
}

/// The difference between the clocks; `None` if the response has no valid `Date`.
pub(super) fn clock_skew(headers: &HeaderMap, now: Timestamp) -> Option<Finding> {
    let date = httpdate::parse_http_date(header(headers, "date")?).ok()?;
    let millis = date.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis();
    let remote = Timestamp::from_millis(i64::try_from(millis).ok()?);
    // `Date` is truncated to whole seconds.
    let ahead = now.until(remote);
    let behind = remote.plus(Duration::from_secs(1)).until(now);
    let (skew, direction) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    let text = format!("the relay's clock is {} {direction} this machine's", duration_text(skew));
    Some(if skew > CLOCK_SKEW_FAIL {
        Finding::fail(format!("{text}: synchronize both with NTP; tokens and signatures are refused otherwise"))
    } else if skew > CLOCK_SKEW_WARN {
        Finding::warn(format!("{text}: synchronize both with NTP"))
    } else {
        Finding::ok("the clocks agree")
    })
}

/// Whether the server speaks HTTP/2, by the ALPN of one more TLS handshake.
pub(super) async fn http2(url: &Url, limit: Duration) -> Finding {
    match timeout(limit, negotiated_protocol(url)).await {
        Ok(Ok(protocol)) => http2_finding(protocol.as_deref()),
        // The server was reachable a moment ago: this failure is temporary.
        Ok(Err(_)) | Err(_) => Finding::warn("HTTP/2: the TLS handshake that tests it failed: run the command again"),
    }
}

fn http2_finding(protocol: Option<&[u8]>) -> Finding {
    match protocol {
        Some(b"h2") => Finding::ok("HTTP/2 is enabled, so all streams of a browser share one connection"),
        // Over HTTP/1.1 a browser opens six connections per origin, and each stream occupies one.
        _ => Finding::warn(
            "HTTP/2 is missing: a browser then opens at most 6 streams to this origin, over all its tabs; enable it (http2 on, in nginx)",
        ),
    }
}

async fn negotiated_protocol(url: &Url) -> anyhow::Result<Option<Vec<u8>>> {
    let host = url.host_str().context("no host")?.trim_matches(['[', ']']).to_owned();
    let builder =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions()?;
    let mut config = builder.with_platform_verifier()?.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let socket = TcpStream::connect((host.as_str(), url.port_or_known_default().context("no port")?)).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(host)?, socket).await?;
    Ok(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
}

#[cfg(test)]
mod tests {
    use super::super::report::Severity;
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn clock_skew_of_seconds_warns_and_of_minutes_fails() {
        let date = headers(&[("date", "Sun, 22 Nov 2026 12:43:00 GMT")]);
        let remote = Timestamp::parse("2026-11-22T12:43:00Z").expect("a time");
        let severity = |now| clock_skew(&date, now).expect("a date").severity;
        for (seconds, expected) in
            [(0, Severity::Ok), (5, Severity::Ok), (7, Severity::Warn), (60, Severity::Warn), (62, Severity::Fail)]
        {
            let skew = Duration::from_secs(seconds);
            assert_eq!(severity(remote.plus(skew)), expected, "{seconds} s ahead");
            assert_eq!(severity(remote.minus(skew)), expected, "{seconds} s behind");
        }
        for invalid in ["", "yesterday"] {
            assert_eq!(clock_skew(&headers(&[("date", invalid)]), remote), None);
        }
        assert_eq!(clock_skew(&HeaderMap::new(), remote), None);
    }

    #[test]
    fn replaced_proxy_headers_fail_and_missing_accel_warns() {
        let severities = |pairs: &[(&'static str, &str)]| proxy_headers(&headers(pairs)).map(|f| f.severity);
        let accel = ("x-accel-buffering", "no");
        assert_eq!(severities(&[("cache-control", "no-cache, no-transform"), accel]), [Severity::Ok, Severity::Ok]);
        assert_eq!(
            severities(&[("cache-control", "No-Transform"), ("cache-control", "no-cache")]),
            [Severity::Ok, Severity::Warn]
        );
        for replaced in ["no-cache", "max-age=60", ""] {
            assert_eq!(severities(&[("cache-control", replaced), accel]), [Severity::Fail, Severity::Ok], "{replaced}");
        }
        assert_eq!(severities(&[("x-accel-buffering", "yes")]), [Severity::Fail, Severity::Fail]);
    }

    #[test]
    fn missing_http2_is_a_warning() {
        assert_eq!(http2_finding(Some(b"h2")).severity, Severity::Ok);
        for other in [Some(&b"http/1.1"[..]), Some(b""), None] {
            assert_eq!(http2_finding(other).severity, Severity::Warn);
        }
    }
}
