//! Parsers of single values. Each error text completes the sentence "… must be".

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use http::Uri;
use ipnet::IpNet;

use crate::auth::QueryToken;
use crate::domain::Secret;

type Parsed<T> = Result<T, &'static str>;

/// Longer durations could overflow deadlines.
const MAX_DURATION: Duration = Duration::from_secs(3650 * 24 * 3600);

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, message and fields; in colour on a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

/// The origins whose pages may read streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// All origins.
    Any,
    /// These origins in the form that browsers send: `https://app.example.com`. Empty: no origin.
    Only(Vec<String>),
}

pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| "an address with a port, such as 127.0.0.1:8080 or [::]:8080")
}

pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    if text.is_empty() || text.contains('\0') { Err("the path of a directory") } else { Ok(text.into()) }
}

pub(super) fn file(text: &str) -> Parsed<PathBuf> {
    if text.is_empty() || text.contains('\0') { Err("the path of a file") } else { Ok(text.into()) }
}

/// Addresses of NATS servers; none for `none`.
pub(super) fn nats_servers(text: &str) -> Parsed<Vec<String>> {
    let expected = "addresses of NATS servers such as nats://host:4222,nats://host2:4222, or none";
    let server = |one: &str| match one.starts_with("nats://") || one.starts_with("tls://") {
        true => Ok(one.to_owned()),
        false => Err(expected),
    };
    match text {
        "" | "none" => Ok(Vec::new()),
        list => list.split(',').map(|one| server(one.trim())).collect(),
    }
}

pub(super) fn cluster_name(text: &str) -> Parsed<String> {
    let is_name =
        (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if is_name { Ok(text.to_owned()) } else { Err("1 to 32 letters, digits, - or _") }
}

pub(super) fn base_url(text: &str) -> Parsed<String> {
    let expected = "an http:// or https:// URL without query, such as https://relay.example.com";
    let uri: Uri = text.parse().map_err(|_| expected)?;
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.authority().is_some_and(|a| !a.host().is_empty() && !a.as_str().contains('@'));
    // http::Uri drops a fragment silently.
    if web && host && uri.query().is_none() && !text.contains('#') {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(expected)
    }
}

pub(super) fn origins(text: &str) -> Parsed<AllowedOrigins> {
    match text {
        "*" => Ok(AllowedOrigins::Any),
        "" | "none" => Ok(AllowedOrigins::Only(Vec::new())),
        list => list.split(',').map(|one| origin(one.trim())).collect::<Parsed<_>>().map(AllowedOrigins::Only),
    }
}

/// Address ranges in CIDR notation.
pub(super) fn ranges(text: &str) -> Parsed<Vec<IpNet>> {
    let expected = "ranges of addresses such as 10.1.0.0/16 or fd00::/8, or none";
    match text {
        "" | "none" => Ok(Vec::new()),
        list => list.split(',').map(|one| one.trim().parse().map_err(|_| expected)).collect(),
    }
}

/// Address ranges in CIDR notation, and single addresses.
pub(super) fn proxies(text: &str) -> Parsed<Vec<IpNet>> {
    let expected = "addresses of proxies such as 127.0.0.1, 10.1.0.0/16 or fd00::/8, or none";
    let one = |text: &str| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| expected);
    match text {
        "" | "none" => Ok(Vec::new()),
        list => list.split(',').map(|text| one(text.trim())).collect(),
    }
}

/// Addresses of name servers, with port 53 by default; none for `system`.
pub(super) fn name_servers(text: &str) -> Parsed<Vec<SocketAddr>> {
    let expected = "addresses of name servers such as 10.0.0.2 or [fd00::2]:5353, or system";
    let server = |one: &str| {
        let address = one.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        address.or_else(|_| one.parse()).map_err(|_| expected)
    };
    match text {
        "system" => Ok(Vec::new()),
        list => list.split(',').map(|one| server(one.trim())).collect(),
    }
}

fn origin(text: &str) -> Parsed<String> {
    let expected = "origins such as https://app.example.com without a path, or * alone";
    let url = base_url(text).map_err(|_| expected)?;
    let path = url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    // Browsers send scheme and host in lower case, and the header is compared as text.
    if path || text.ends_with('/') { Err(expected) } else { Ok(url.to_ascii_lowercase()) }
}

pub(super) fn duration(text: &str) -> Parsed<Duration> {
    let expected = "a duration such as 500ms, 15s or 30d, more than 0 and at most 10 years";
    let d = humantime::parse_duration(text).map_err(|_| expected)?;
    if d < Duration::from_millis(1) || d > MAX_DURATION { Err(expected) } else { Ok(d) }
}

/// Durations that are counted in whole seconds.
pub(super) fn seconds(text: &str) -> Parsed<Duration> {
    let expected = "a duration such as 15s, 1h or 30d, at least 1s and at most 10 years";
    duration(text).ok().filter(|d| d.as_secs() >= 1).ok_or(expected)
}

pub(super) fn size(text: &str) -> Parsed<u64> {
    let size = text.parse::<ByteSize>().map_err(|_| "a size such as 256KiB or 4GiB")?.as_u64();
    if size == 0 { Err("a size such as 256KiB or 4GiB; 0 does not mean unlimited, name a bound") } else { Ok(size) }
}

/// Sizes of data in memory.
pub(super) fn small_size(text: &str) -> Parsed<usize> {
    let expected = "a size such as 256KiB, more than 0 and at most 1GiB";
    let size = size(text).map_err(|_| expected)?;
    usize::try_from(size).ok().filter(|n| *n <= 1 << 30).ok_or(expected)
}

pub(super) fn header_size(text: &str) -> Parsed<usize> {
    let expected = "a size such as 16KiB, at least 8KiB and at most 1MiB";
    small_size(text).ok().filter(|n| (8 << 10..=1 << 20).contains(n)).ok_or(expected)
}

pub(super) fn number(text: &str) -> Parsed<u64> {
    match text.parse() {
        Ok(0) => Err("a whole number; 0 does not mean unlimited, name a bound"),
        // SQLite stores integers as i64.
        Ok(n) if i64::try_from(n).is_ok() => Ok(n),
        _ => Err("a whole number"),
    }
}

pub(super) fn count(text: &str) -> Parsed<usize> {
    // 2³⁰ exceeds the sockets of any machine and prevents overflow.
    usize::try_from(number(text)?).ok().filter(|n| *n <= 1 << 30).ok_or("a whole number of at most 1073741824")
}

pub(super) fn rate(text: &str) -> Parsed<NonZeroU32> {
    u32::try_from(number(text)?).ok().and_then(NonZeroU32::new).ok_or("a whole number of at most 4294967295")
}

pub(super) fn query_token(text: &str) -> Parsed<QueryToken> {
    match text {
        "any" => Ok(QueryToken::Any),
        "ticket" => Ok(QueryToken::Ticket),
        "off" => Ok(QueryToken::Off),
        _ => Err("any, ticket or off"),
    }
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("text or json"),
    }
}

pub(super) fn log_level(text: &str) -> Parsed<tracing::Level> {
    match text {
        "error" => Ok(tracing::Level::ERROR),
        "warn" => Ok(tracing::Level::WARN),
        "info" => Ok(tracing::Level::INFO),
        "debug" => Ok(tracing::Level::DEBUG),
        "trace" => Ok(tracing::Level::TRACE),
        _ => Err("error, warn, info, debug or trace"),
    }
}

pub(super) fn secret(text: &str) -> Parsed<Secret> {
    // The secret is sent in a header, which allows nothing else.
    let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if good { Ok(Secret::new(text)) } else { Err("visible ASCII without spaces, and not empty") }
}

pub(super) fn switch(text: &str) -> Parsed<bool> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("true or false"),
    }
}
