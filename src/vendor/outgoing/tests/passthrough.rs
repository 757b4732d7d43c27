//! Original content is forwarded byte for byte; only the signature is new.

use bytes::Bytes;

use super::{PPJ_SECRET, names, secrets, secrets_of, value, verify_of};
use crate::domain::{Format, Status, Vendor};
use crate::vendor::fixture::{ENDPOINT, Request, hook, now, outgoing_event};
use crate::vendor::{OriginalRequest, OutgoingRequest, render_notification};

fn original<'a>(
    method: &'a str,
    query: Option<&'a str>,
    headers: &'a [(String, String)],
    body: &str,
) -> OriginalRequest<'a> {
    OriginalRequest { method, query, headers, body: Bytes::copy_from_slice(body.as_bytes()) }
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn repeated(format: Format, original: &OriginalRequest<'_>, endpoint: &str) -> OutgoingRequest {
    render_notification(format, &outgoing_event("8v9iSKnj", Status::Completed), Some(original), endpoint, &[], now())
        .expect("rendered")
}

// Rule 14: bodies stay as they came.
#[test]
fn original_body_is_sent_unchanged_as_json() {
    let body = "{ \"taskId\":\"8v9iSKnj\" ,\r\n \"code\":\"TaskSuccessNotify\"}\n ";
    for format in [Format::Baidu, Format::Zoffice, Format::Gini, Format::Standard] {
        for (media, event) in [
            ("application/json; charset=UTF-8", "application/json; charset=UTF-8"),
            ("application/cloudevents-batch+json", "application/cloudevents-batch+json"),
            ("application/x-www-form-urlencoded", "application/json"),
            ("x", "application/json"),
        ] {
            let headers = [header("host", "h"), header("content-type", media), header("cookie", "a=b")];
            let out = repeated(format, &original("POST", None, &headers, body), ENDPOINT);
            assert_eq!((out.method.as_str(), out.url.as_str(), &out.body[..]), ("POST", ENDPOINT, body.as_bytes()));
            assert_eq!(value(&out.headers, "content-type"), event, "{format}");
            let ours: &[_] = if format == Format::Standard { &["webhook-id", "webhook-timestamp"] } else { &[] };
            assert_eq!(&names(&out.headers)[1..], ours, "{format}");
        }
        let out = repeated(format, &original("POST", None, &[], body), ENDPOINT);
        assert_eq!(value(&out.headers, "content-type"), "application/json", "{format}");
    }
}

#[test]
fn original_structured_cloudevent_is_kept_and_signed_with_own_key() {
    let event = outgoing_event("8v9iSKnj", Status::Completed);
    let media = "application/cloudevents+json; charset=utf-8";
    let structured = r#"{"specversion":"1.0","id":"7","source":"/s","type":"a.completed","subject":"8v9iSKnj"}"#;
    let headers = [header("content-type", media), header("ce-id", "8"), header("webhook-id", "theirs")];
    let own = original("POST", None, &headers, structured);
    let out = render_notification(Format::Standard, &event, Some(&own), ENDPOINT, &secrets_of(Format::Standard), now())
        .expect("rendered");
    assert_eq!(names(&out.headers), ["content-type", "webhook-id", "webhook-timestamp", "webhook-signature"]);
    assert_eq!((&out.body[..], value(&out.headers, "webhook-id")), (structured.as_bytes(), "msg_1"));
    let signed = hook(Vendor::Standard, verify_of(Format::Standard));
    assert_eq!(Request::of(&out).update(&signed).dedup_key.as_deref(), Some("cloudevent:2:/s:7"));
}

/// The signature covers the body only, so the type must not travel in a header.
#[test]
fn original_binary_cloudevent_is_translated_with_its_type_in_the_body() {
    let attributes = [("ce-specversion", "1.0"), ("ce-id", "7"), ("ce-source", "/s"), ("ce-type", "a.completed")];
    let attributes: Vec<_> = attributes.iter().map(|(name, value)| header(name, value)).collect();
    let signed = hook(Vendor::Standard, verify_of(Format::Standard));
    for (media, body) in [(Some("application/json"), r#"{"id":"8v9iSKnj"}"#), (None, "")] {
        let mut headers = attributes.clone();
        headers.extend(media.map(|media| header("content-type", media)));
        let own = original("POST", None, &headers, body);
        let event = outgoing_event("8v9iSKnj", Status::Completed);
        let out =
            render_notification(Format::Standard, &event, Some(&own), ENDPOINT, &secrets_of(Format::Standard), now())
                .expect("rendered");
        assert_eq!(names(&out.headers), ["content-type", "webhook-id", "webhook-timestamp", "webhook-signature"]);
        let sent: serde_json::Value = serde_json::from_slice(&out.body).expect("JSON");
        assert_eq!((&sent["type"], &sent["data"]["vendorId"]), (&"document.completed".into(), &"8v9iSKnj".into()));
        assert_eq!(Request::of(&out).update(&signed).status, Status::Completed);
    }
}

#[test]
fn original_ppj_parameters_are_appended_unchanged() {
    let get = |query| original("GET", Some(query), &[], "");
    for (query, endpoint, url) in [
        ("type=complete&token=8v9iSKnj&code=0", "https://h/n", "https://h/n?type=complete&token=8v9iSKnj&code=0"),
        ("token=a&type=completed", "https://h/n?x=%2f+%C3%A9", "https://h/n?x=%2f+%C3%A9&token=a&type=completed"),
        ("agent=1&type=complete&token=a", "https://h/n?", "https://h/n?agent=1&type=complete&token=a"),
        ("type=complete&token=%38v+9&&x", "https://h#top", "https://h/?type=complete&token=%38v+9&&x"),
        ("type=complete&token=o'n{e}|", "https://h/n?q='", "https://h/n?q=%27&type=complete&token=o'n{e}|"),
        (
            "type=complete&token=a&timestamp=1&nonce=n&signature=00",
            "https://h/n",
            "https://h/n?type=complete&token=a&timestamp=1&nonce=n&signature=00",
        ),
    ] {
        let out = repeated(Format::Ppj, &get(query), endpoint);
        assert_eq!((out.method.as_str(), out.url.as_str()), ("GET", url));
        assert!(out.headers.is_empty() && out.body.is_empty());
    }
    let types = [header("content-type", "application/x-www-form-urlencoded")];
    let form = original("POST", None, &types, "type=complete&token=8v9iSKnj");
    let out = repeated(Format::Ppj, &form, "https://h/n?a=1");
    assert_eq!(out.url, "https://h/n?a=1&type=complete&token=8v9iSKnj");
    assert!(out.method == "GET" && out.headers.is_empty() && out.body.is_empty());
    let both = original("POST", Some("agent=2"), &[], "type=complete&token=8v9iSKnj");
    assert_eq!(repeated(Format::Ppj, &both, "https://h/n").url, "https://h/n?agent=2&type=complete&token=8v9iSKnj");
}

#[test]
fn signature_covers_original_and_configured_parameters() {
    let signed = hook(Vendor::Ppj, verify_of(Format::Ppj));
    let endpoint = format!("{ENDPOINT}?agent=0%268&_=1");
    for query in
        ["type=complete&token=8v9iSKnj", "token=%C3%A9+%26%3D&code=0&type=completed&sig=%E4", "type=error&token=o'n"]
    {
        let event = outgoing_event("8v9iSKnj", Status::Completed);
        let own = original("GET", Some(query), &[], "");
        let out = render_notification(Format::Ppj, &event, Some(&own), &endpoint, &secrets(&[PPJ_SECRET]), now())
            .expect("rendered");
        assert_eq!(out.url, format!("{endpoint}&{query}"));
        Request::of(&out).update(&signed);
        let moved = OutgoingRequest { url: out.url.replace("agent=0", "agent=1"), ..out };
        assert!(Request::of(&moved).is_unauthorized(&signed), "{query}");
    }
}

#[test]
fn form_bytes_not_allowed_in_urls_are_percent_encoded() {
    let form = original("POST", None, &[], "type=complete&token=a #b\"<>é\u{2028}%&c=\r\nx: y\0");
    let out = repeated(Format::Ppj, &form, "https://h/n");
    let sent = "type=complete&token=a%20%23b%22%3C%3E%C3%A9%E2%80%A8%&c=%0D%0Ax:%20y%00";
    assert_eq!(out.url, format!("https://h/n?{sent}"));
    let pairs = |text: &[u8]| form_urlencoded::parse(text).into_owned().collect::<Vec<_>>();
    assert_eq!(pairs(sent.as_bytes()), pairs(&form.body));
}

#[test]
fn form_too_long_for_a_url_is_translated() {
    let long = format!("type=complete&token=8v9iSKnj&x={}", "x".repeat(8000));
    let out = repeated(Format::Ppj, &original("POST", None, &[], &long), "https://h/n");
    assert_eq!(out.url, "https://h/n?type=complete&token=8v9iSKnj&code=0");
}
