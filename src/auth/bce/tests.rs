//! Published test vectors, signatures of Baidu's SDKs, and forged or malformed ones.

use http::HeaderMap;

use super::*;
use crate::auth::rotate_secret;

/// Time of the SDKs' signatures below.
const SIGNED_AT: &str = "2026-07-22T00:00:00Z";

fn client(id: &str, secret: &str) -> Client {
    let created = Timestamp::from_seconds(1);
    Client { id: id.parse().expect("good"), created, secret: Secret::new(secret), previous: None }
}

fn acme() -> Client {
    client("acme", "0123456789abcdefghij")
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in all {
        map.append(*name, value.parse().expect("good"));
    }
    map
}

fn check(
    authorization: &str,
    request: &BceRequest<'_>,
    client: &Client,
    now: Timestamp,
) -> Result<(), BceSignatureError> {
    BceAuthorization::parse(authorization)?.verify(request, Some(client), now)
}

/// As the JS SDK signs `notification.remove("main")`.
const REMOVAL: &str = "bce-auth-v1/acme/2026-07-22T00:00:00Z/1800/content-length;content-type;host;x-bce-date/\
                       1244652300cb86e11901db3ef2270f8f5e3dfd86250fbacdcd81528f5ff680a4";

fn removal_headers() -> HeaderMap {
    headers(&[
        ("host", "relay.test:8080"),
        ("content-type", "application/json; charset=UTF-8"),
        ("content-length", "0"),
        ("x-bce-date", SIGNED_AT),
        ("connection", "close"),
    ])
}

fn removal(headers: &HeaderMap) -> BceRequest<'_> {
    BceRequest { method: "DELETE", path: "/v1/notification/main", query: None, headers }
}

#[test]
fn published_vectors_are_accepted() {
    let sample = client("my_ak", "my_sk");
    let now = at("2014-06-13T05:57:36Z");
    let all = headers(&[("host", "bce.baidu.com"), ("abc", "123"), ("x-bce-meta-key1", "ABC")]);
    let put = BceRequest { method: "PUT", path: "/v1/bucket/object1", query: Some("A&b=&C=d"), headers: &all };
    let signed = "bce-auth-v1/my_ak/2014-06-13T05:57:36Z/1800/host;x-bce-meta-key1/\
                  80c9672aca2ea9af4bb40b9a8ff458d72df94e97d550840727f3a929af271d25";
    assert_eq!(check(signed, &put, &sample, now), Ok(()));
    let all = headers(&[("content-type", "application/json; charset=utf-8"), ("content-length", "0"), ("host", "any")]);
    let delete = BceRequest { method: "DELETE", path: "/v1/test-bucket1361199862", query: None, headers: &all };
    let signed = "bce-auth-v1/my_ak/2014-06-13T05:57:36Z/1800/content-length;content-type/\
                  c9386b15d585960ae5e6972f73ed92a9a682dc81025480ba5b41206d3e489822";
    assert_eq!(check(signed, &delete, &sample, now), Ok(()));
}

#[test]
fn sdk_signatures_are_accepted_with_and_without_named_headers() {
    let all = headers(&[
        ("host", "relay.test:8080"),
        ("content-type", "application/json;charset=utf-8"),
        ("content-length", "57"),
        ("x-bce-date", SIGNED_AT),
        ("user-agent", "bce-sdk-python"),
        ("content-md5", ""),
    ]);
    // Python, no named headers, a query with characters that need escaping.
    let query = Some("a%20b=c%2Bd%2F%C3%BC&flag=&authorization=left-out");
    let post = BceRequest { method: "POST", path: "/v1/notification", query, headers: &all };
    let unnamed = "bce-auth-v1/acme/2026-07-22T00:00:00Z/1800//\
                   3402424e141ffc8d77a2ff64d68345682fa7bdd933d882394fbbb405cdd15b8d";
    assert_eq!(check(unnamed, &post, &acme(), at(SIGNED_AT)), Ok(()));
    // Python, named headers: x-bce-date is signed in addition.
    let named = "bce-auth-v1/acme/2026-07-22T00:00:00Z/1800/host;content-type/\
                 ec2a83e3b5e3c74a7a6fb5c92136a27069068a2505191f7b0f003681e7ac57ad";
    assert_eq!(check(named, &BceRequest { query: None, ..post }, &acme(), at(SIGNED_AT)), Ok(()));
    // Python, a path that is signed as sent.
    let get = BceRequest { method: "GET", path: "/v1/notification/a%20b", query: None, headers: &all };
    let escaped = "bce-auth-v1/acme/2026-07-22T00:00:00Z/1800/host/\
                   d43400b0c07d4c4318d3e91305c4ef498df076b074f58d7b3380641d95c6e574";
    assert_eq!(check(escaped, &get, &acme(), at(SIGNED_AT)), Ok(()));
    assert_eq!(check(REMOVAL, &removal(&removal_headers()), &acme(), at(SIGNED_AT)), Ok(()));
}

#[test]
fn signature_covers_method_path_query_headers_and_lifetime() {
    let all = removal_headers();
    let good = removal(&all);
    let mut changed = removal_headers();
    changed.insert("host", "relay.test".parse().expect("good"));
    let mut twice = removal_headers();
    twice.append("x-bce-date", "2026-07-22T00:00:01Z".parse().expect("good"));
    let mut less = removal_headers();
    less.remove("x-bce-date");
    for bad in [
        BceRequest { method: "GET", ..good },
        BceRequest { path: "/v1/notification/other", ..good },
        BceRequest { query: Some("a=b"), ..good },
        BceRequest { headers: &changed, ..good },
        BceRequest { headers: &twice, ..good },
        BceRequest { headers: &less, ..good },
    ] {
        assert_eq!(
            check(REMOVAL, &bad, &acme(), at(SIGNED_AT)),
            Err(BceSignatureError::SignatureDoesNotMatch),
            "{bad:?}"
        );
    }
    for (from, to) in [("00:00:00Z", "00:00:01Z"), ("1800", "1801"), (";host", ""), ("1244", "0244")] {
        let forged = REMOVAL.replacen(from, to, 1);
        assert_eq!(
            check(&forged, &good, &acme(), at(SIGNED_AT)),
            Err(BceSignatureError::SignatureDoesNotMatch),
            "{forged}"
        );
    }
    let other = client("acme", "another");
    assert_eq!(check(REMOVAL, &good, &other, at(SIGNED_AT)), Err(BceSignatureError::SignatureDoesNotMatch));
}

#[test]
fn unknown_or_other_client_is_invalid_access_key() {
    let all = removal_headers();
    let parsed = BceAuthorization::parse(REMOVAL).expect("well formed");
    assert_eq!(parsed.access_key(), "acme");
    assert_eq!(parsed.verify(&removal(&all), None, at(SIGNED_AT)), Err(BceSignatureError::InvalidAccessKeyId));
    let other = client("other", "0123456789abcdefghij");
    assert_eq!(parsed.verify(&removal(&all), Some(&other), at(SIGNED_AT)), Err(BceSignatureError::InvalidAccessKeyId));
}

#[test]
fn previous_secret_is_accepted_for_a_day() {
    let all = removal_headers();
    let hours_ago = |hours: u64| at(SIGNED_AT).minus(Duration::from_secs(hours * 3600));
    let rotated = |when| rotate_secret(&acme(), Secret::new("new"), when);
    assert_eq!(check(REMOVAL, &removal(&all), &rotated(hours_ago(23)), at(SIGNED_AT)), Ok(()));
    let late = rotated(hours_ago(24));
    assert_eq!(check(REMOVAL, &removal(&all), &late, at(SIGNED_AT)), Err(BceSignatureError::SignatureDoesNotMatch));
}

#[test]
fn signature_expires_after_lifetime_or_clock_skew() {
    let all = removal_headers();
    let later =
        |seconds: u64| check(REMOVAL, &removal(&all), &acme(), at(SIGNED_AT).plus(Duration::from_secs(seconds)));
    let sooner =
        |seconds: u64| check(REMOVAL, &removal(&all), &acme(), at(SIGNED_AT).minus(Duration::from_secs(seconds)));
    assert_eq!([later(1800), later(1801)], [Ok(()), Err(BceSignatureError::RequestExpired)]);
    assert_eq!([sooner(1800), sooner(1801)], [Ok(()), Err(BceSignatureError::RequestExpired)]);
    // The clock skew limits a long lifetime; a short one ends sooner.
    let claimed = |seconds: &str| REMOVAL.replace("1800", seconds);
    let moved = |header: &str, seconds: u64| {
        check(header, &removal(&all), &acme(), at(SIGNED_AT).plus(Duration::from_secs(seconds)))
    };
    assert_eq!(moved(&claimed("86400"), 1801), Err(BceSignatureError::RequestExpired));
    assert_eq!(moved(&claimed("60"), 61), Err(BceSignatureError::RequestExpired));
    assert_eq!(moved(&claimed("60"), 60), Err(BceSignatureError::SignatureDoesNotMatch));
}

#[test]
fn malformed_authorization_is_rejected() {
    let signature = "1244652300cb86e11901db3ef2270f8f5e3dfd86250fbacdcd81528f5ff680a4";
    let with = |made: &str, seconds: &str, names: &str, signature: &str| {
        format!("bce-auth-v1/acme/{made}/{seconds}/{names}/{signature}")
    };
    assert!(BceAuthorization::parse(&with(SIGNED_AT, "1800", "", signature)).is_ok());
    let mut bad = vec![
        String::new(),
        "bce-auth-v1".to_owned(),
        "Bearer x".to_owned(),
        REMOVAL.replace("v1/acme", "v2/acme"),
        REMOVAL.replace("acme", ""),
        format!("{REMOVAL}/"),
        format!(" {REMOVAL}"),
        format!("{REMOVAL} "),
        REMOVAL.replace("/1800/", "/"),
    ];
    for made in ["", "now", "1784678400", "2026-07-22", "2026-07-22T00:00:00+00:00", "2026-07-22t00:00:00z"] {
        bad.push(with(made, "1800", "", signature));
    }
    for made in ["2026-07-22 00:00:00Z", "2026-07-22T00:00:00.5Z", "2026-13-22T00:00:00Z", "2026-07-22T00:00:0\u{e9}"] {
        bad.push(with(made, "1800", "", signature));
    }
    for seconds in ["", "0", "-1", "+1", "1.5", "86401", "4294967297", "99999999999999999999999", "x"] {
        bad.push(with(SIGNED_AT, seconds, "", signature));
    }
    for names in [";", "host;", ";host", "ho st", "h\u{f6}st", "host:"] {
        bad.push(with(SIGNED_AT, "1800", names, signature));
    }
    let (long, odd) = (format!("{signature}00"), "g".repeat(64));
    for signature in ["", "00", &signature[..62], &signature[..63], &long, &odd] {
        bad.push(with(SIGNED_AT, "1800", "host", signature));
    }
    for header in bad {
        let refused = BceAuthorization::parse(&header).err();
        assert_eq!(refused, Some(BceSignatureError::InvalidHttpAuthHeader), "{header:?}");
    }
}
