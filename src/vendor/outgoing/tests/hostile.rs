//! Property tests of outgoing requests: hostile identifiers, titles and endpoints inject no header or parameter, and
//! stored events parse back unchanged.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
use serde_json::{Map, Value};

use super::{secrets_of, verify_of};
use crate::domain::{DocumentId, EventJson, Format, Status, Timestamp, Update, Vendor, VendorError, VendorId};
use crate::vendor::fixture::{ENDPOINT, Request, hook, now, outgoing_event};
use crate::vendor::{OutgoingEvent, OutgoingRequest, render_notification};

/// Text with many separators, quotes and escapes.
fn hostile() -> impl Strategy<Value = String> {
    let piece = proptest::prop_oneof![
        any::<char>().prop_map(String::from),
        prop::sample::select(
            &["\r\n", "\0", "\"", "'", "&", "=", "#", "%", "%26", "+", ";", "?", "/", "é", "\u{2028}", "\\", "x: y"][..]
        )
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 1..24).prop_map(|pieces| pieces.concat())
}

fn identifier() -> impl Strategy<Value = VendorId> {
    hostile().prop_filter_map("an identifier", |text| text.replace(char::is_control, "").parse().ok())
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = proptest::prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        hostile().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        proptest::prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((hostile(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn update() -> impl Strategy<Value = Update> {
    let result = prop::collection::vec((hostile(), json()), 0..4).prop_map(|pairs| pairs.into_iter().collect());
    let option = proptest::option::of::<proptest::strategy::BoxedStrategy<Map<String, Value>>>;
    (
        identifier(),
        prop::sample::select(&Status::ALL[..]),
        proptest::option::of(any::<String>()),
        option(result.boxed()),
        proptest::option::of((hostile(), any::<String>())),
        proptest::option::of(any::<i64>()),
        prop::collection::btree_map(any::<String>(), any::<String>(), 0..3),
    )
        .prop_map(|(vendor_id, status, title, result, error, vendor_time, labels)| Update {
            title,
            result,
            error: error.map(|(code, message)| VendorError { code, message }),
            vendor_time: vendor_time.map(Timestamp::from_millis),
            labels,
            ..Update::new(vendor_id, status)
        })
}

fn is_sound(out: &OutgoingRequest) -> bool {
    let headers = out
        .headers
        .iter()
        .all(|(name, value)| HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok());
    headers && out.url.bytes().all(|b| b.is_ascii_graphic()) && out.url.parse::<http::Uri>().is_ok()
}

proptest! {
    #[test]
    fn stored_event_parses_back_to_its_update(
        update in update(),
        vendor in prop::sample::select(&Vendor::ALL[..]),
        time in any::<i64>(),
    ) {
        let document_id: DocumentId = "626626a0-749f-11e2-bfd6-000000000000".parse().expect("good");
        let draft = EventJson {
            document_id,
            status: update.status,
            vendor,
            vendor_id: &update.vendor_id,
            time: Timestamp::from_millis(time),
            title: update.title.as_deref(),
            result: update.result.as_ref(),
            error: update.error.as_ref(),
            vendor_time: update.vendor_time,
            labels: &update.labels,
        };
        let stored = draft.encode();
        let (who, event) = OutgoingEvent::from_stored(&stored, "msg_a_1".into(), "main".into()).expect("one of ours");
        prop_assert_eq!(who, vendor);
        prop_assert_eq!(event.update, update);
        prop_assert_eq!((event.time, event.document_id), (Timestamp::from_millis(time), document_id.to_string()));
        prop_assert_eq!((event.message_id.as_str(), event.notification.as_str()), ("msg_a_1", "main"));
        prop_assert_eq!(event.event, Some(stored));
    }

    #[test]
    fn arbitrary_bytes_make_from_stored_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), value in json()) {
        let _ours = OutgoingEvent::from_stored(&bytes.into(), String::new(), String::new());
        prop_assert!(OutgoingEvent::from_stored(&value.to_string().into(), String::new(), String::new()).is_none());
    }

    #[test]
    fn hostile_identifiers_and_titles_inject_nothing(vendor_id in identifier(), title in hostile()) {
        for format in Format::ALL {
            let mut event = outgoing_event("a", Status::Completed);
            event.update.vendor_id = vendor_id.clone();
            event.update.title = Some(title.clone());
            let out = render_notification(format, &event, None, ENDPOINT, &secrets_of(format), now()).expect("rendered");
            prop_assert!(is_sound(&out), "{} {:?}", format, out);
            if format == Format::Ppj {
                let url = url::Url::parse(&out.url).expect("a URL");
                let pairs: Vec<_> = url.query_pairs().into_owned().collect();
                let sent = [("type", "complete"), ("token", vendor_id.as_str()), ("code", "0")];
                prop_assert_eq!(pairs, sent.map(|(k, v)| (k.to_owned(), v.to_owned())));
                // In a query a replacement character is indistinguishable from invalid UTF-8 and is rejected.
                if vendor_id.as_str().contains(char::REPLACEMENT_CHARACTER) {
                    continue;
                }
            }
            // Gini's two keys name the document, which is another identifier here.
            let read = Request::of(&out).update(&hook(format.vendor(), verify_of(format)));
            let silent = format == Format::Ppj;
            prop_assert_eq!(read.vendor_id.as_str(), if format == Format::Gini { "a" } else { vendor_id.as_str() });
            prop_assert_eq!(read.title.as_ref(), Some(&title).filter(|_| !silent), "{}", format);
        }
    }

    #[test]
    fn hostile_endpoints_inject_nothing(query in hostile(), own in proptest::option::of(hostile())) {
        let endpoint = format!("https://relay.example/in/k0?{query}");
        let own = own.map(|text| format!("type=complete&token=8v9iSKnj&{text}"));
        let original = own.as_deref().map(|form| super::super::OriginalRequest {
            method: "POST",
            query: None,
            headers: &[],
            body: form.to_owned().into(),
        });
        let event = outgoing_event("8v9iSKnj", Status::Completed);
        let out = render_notification(Format::Ppj, &event, original.as_ref(), &endpoint, &secrets_of(Format::Ppj), now());
        let Ok(out) = out else {
            prop_assert!(endpoint.trim_end() != endpoint || endpoint.chars().any(char::is_control));
            return Ok(());
        };
        prop_assert!(is_sound(&out), "{:?}", out);
        let url = url::Url::parse(&out.url).expect("a URL");
        let sent: Vec<_> = url.query_pairs().into_owned().collect();
        // The configured parameters, without the fragment, then the original or translated ones.
        let configured = query.split('#').next().unwrap_or_default();
        let appended = own.unwrap_or_else(|| "type=complete&token=8v9iSKnj&code=0".to_owned());
        let expected = [configured, &appended].map(|text| form_urlencoded::parse(text.as_bytes()).into_owned().collect::<Vec<_>>());
        prop_assert_eq!(sent, expected.concat());
    }
}

#[test]
fn json_that_is_no_event_is_rejected() {
    let good = r#"{"documentId":"d","status":"ERROR","vendor":"ppj","vendorId":"a","time":"2017-03-23T07:49:58.000Z"}"#;
    let read = |text: &str| OutgoingEvent::from_stored(&text.to_owned().into(), String::new(), String::new());
    let (vendor, event) = read(good).expect("an event");
    assert_eq!((vendor, event.update.labels), (Vendor::Ppj, BTreeMap::new()));
    for (is, becomes) in [
        ("ERROR", "error"),
        ("ppj", "PPJ"),
        ("\"a\"", "\"\""),
        ("\"a\"", "7"),
        ("2017-03-23T07:49:58.000Z", "yesterday"),
        ("\"documentId\":\"d\",", ""),
    ] {
        assert!(read(&good.replace(is, becomes)).is_none(), "{becomes}");
    }
    assert!(read(&good.replace('}', ",\"vendorTime\":\"never\"}")).is_none());
    assert!(read(&good.replace('}', ",\"later\":{}}")).is_some(), "a key of a later version is ignored");
}
