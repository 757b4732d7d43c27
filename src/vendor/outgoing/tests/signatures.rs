//! Signatures of notifications: published vectors, rotation, and invalid secrets.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use bytes::Bytes;
use data_encoding::BASE64;

use super::{PPJ_SECRET, SHARED, secrets, secrets_of, value};
use crate::domain::{Format, Status, Timestamp, Vendor, Verify};
use crate::vendor::fixture::{ENDPOINT, Request, hook, now, outgoing_event};
use crate::vendor::{
    OriginalRequest, RenderError, check_secrets, handshake_request, render_notification, shared_secret,
    verify_and_parse,
};

/// The key pair of the published vector of `v1a`, and its public half.
const PAIR: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const PUBLIC: &str = "1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

#[test]
fn published_ppj_vectors_are_reproduced() {
    let sample = secrets(&[PPJ_SECRET]);
    let own = OriginalRequest {
        method: "GET",
        query: Some("code=0&token=8v9iSKnj&type=completed"),
        headers: &[],
        body: Bytes::new(),
    };
    let (event, at) = (outgoing_event("8v9iSKnj", Status::Completed), Timestamp::from_seconds(1_490_255_398));
    let endpoint = "https://h.example/notify?agent=06875f8b";
    let out = render_notification(Format::Ppj, &event, Some(&own), endpoint, &sample, at).expect("rendered");
    assert_eq!(value(&out.headers, "x-ppj-timestamp"), "1490255398");
    let signature = value(&out.headers, "x-ppj-signature");
    assert_eq!(signature, "9b566f493c25afa7b57b6e2289f2382c32ab2393bdf0b0367ba77bb53dce36db");

    let at = Timestamp::from_seconds(1_489_820_220);
    let out = handshake_request("https://h.example/notify?a=1", "7bzaglsx2y1nmujw", &sample, at).expect("written");
    assert_eq!((out.method.as_str(), out.headers.len(), out.body.len()), ("GET", 0, 0));
    assert_eq!(
        out.url,
        "https://h.example/notify?a=1&type=verify&timestamp=1489820220&nonce=7bzaglsx2y1nmujw\
         &signature=988b7b1bdd05d10a0b21840561097f2dbbabeaf7e2bbe0dc960856a5fcdeb84e"
    );
    let out = handshake_request("https://h.example/notify", "7bzaglsx2y1nmujw", &[], at).expect("written");
    assert_eq!(out.url, "https://h.example/notify?type=verify&timestamp=1489820220&nonce=7bzaglsx2y1nmujw");
}

#[test]
fn baidu_token_covers_the_documented_text() {
    let out = render_notification(
        Format::Baidu,
        &outgoing_event("doc-1", Status::Completed),
        None,
        ENDPOINT,
        &secrets(&["s3cret"]),
        now(),
    );
    let out = out.expect("rendered");
    let expire = (now().millis() + 1_800_000).to_string();
    let text = [b"POST;https://relay.example/in/k0;", &out.body[..], format!(";{expire};docrelay").as_bytes()].concat();
    let tag = shared_secret::hex(&shared_secret::hmac(b"s3cret", &[&text]));
    let sent = ["notification-auth-expire", "notification-auth-user", "notification-auth-token"];
    assert_eq!(sent.map(|name| value(&out.headers, name)), [expire.as_str(), "docrelay", tag.as_str()]);
}

#[test]
fn published_standard_vectors_are_reproduced_together() {
    let mut event = outgoing_event("8v9iSKnj", Status::Completed);
    event.message_id = "msg_p5jXN8AQM9LWM0D4loKWxJek".into();
    let own = OriginalRequest {
        method: "POST",
        query: None,
        headers: &[],
        body: Bytes::from_static(br#"{"test": 2432232314}"#),
    };
    let at = Timestamp::from_seconds(1_614_265_330);
    let out = render_notification(Format::Standard, &event, Some(&own), ENDPOINT, &secrets(&[SHARED, PAIR]), at)
        .expect("rendered");
    assert_eq!(
        out.headers[1..].iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(),
        [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            (
                "webhook-signature",
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= \
                 v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
            ),
        ]
    );
}

#[test]
fn receiver_needs_one_of_two_rotating_secrets() {
    let other = format!("whsec_{}", BASE64.encode(&[9; 32]));
    let event = outgoing_event("8v9iSKnj", Status::Completed);
    let send = |texts: &[&str]| {
        render_notification(Format::Standard, &event, None, ENDPOINT, &secrets(texts), now()).expect("rendered")
    };
    let checks = |out: &_, text: &str| {
        let verify = Verify::Standard { secrets: secrets(&[text]) };
        verify_and_parse(&hook(Vendor::Standard, verify), &Request::of(out).inbound(), now()).is_ok()
    };
    let both = send(&[&other, SHARED]);
    assert!(checks(&both, SHARED) && checks(&both, &other));
    assert!(!checks(&send(&[&other]), SHARED));
    // A mix with an Ed25519 key works too; its signature verifies with the public key.
    let mixed = send(&[PAIR, SHARED]);
    assert!(checks(&mixed, SHARED));
    let signature = value(&mixed.headers, "webhook-signature").split(' ').next().and_then(|s| s.strip_prefix("v1a,"));
    let signature = BASE64.decode(signature.expect("the newest first").as_bytes()).expect("base64");
    let message = [format!("msg_1.{}.", now().seconds()).as_bytes(), &mixed.body[..]].concat();
    let public = BASE64.decode(PUBLIC.as_bytes()).expect("base64");
    assert!(UnparsedPublicKey::new(&ED25519, public).verify(&message, &signature).is_ok());
}

#[test]
fn invalid_secret_is_an_error_not_an_unsigned_request() {
    for (format, text) in [
        (Format::Baidu, ""),
        (Format::Ppj, ""),
        (Format::Standard, ""),
        (Format::Standard, "s3cret"),
        (Format::Standard, "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="),
    ] {
        let out = render_notification(
            format,
            &outgoing_event("a", Status::Completed),
            None,
            ENDPOINT,
            &secrets(&[text]),
            now(),
        );
        assert!(matches!(out, Err(RenderError::InvalidSecret(_))), "{format} {text}");
    }
}

#[test]
fn check_secrets_accepts_valid_secrets_of_each_format() {
    let seed = format!("whsk_{}", BASE64.encode(&[1; 32]));
    let short = format!("whsec_{}", BASE64.encode(&[1; 23]));
    for format in Format::ALL {
        assert_eq!(check_secrets(format, &[]), Ok(()), "{format}");
        assert_eq!(check_secrets(format, &secrets_of(format)), Ok(()), "{format}");
        assert!(check_secrets(format, &secrets(&["a", "b", "c"])).is_err(), "{format}");
    }
    for good in [&[SHARED][..], &[PAIR], &[&seed], &[SHARED, PAIR]] {
        assert_eq!(check_secrets(Format::Standard, &secrets(good)), Ok(()), "{good:?}");
    }
    for bad in [&["s3cret"][..], &[""], &[&short], &[SHARED, "whsk_AAAA"], &[SHARED, SHARED, SHARED]] {
        assert!(check_secrets(Format::Standard, &secrets(bad)).is_err(), "{bad:?}");
    }
    for format in [Format::Baidu, Format::Ppj] {
        assert_eq!(check_secrets(format, &secrets(&["ö any text"])), Ok(()));
        for bad in [&[""][..], &["a\nb"], &["a\u{0}"], &["a", "b"]] {
            assert!(check_secrets(format, &secrets(bad)).is_err(), "{format} {bad:?}");
        }
    }
    for format in [Format::Zoffice, Format::Gini] {
        let answer = check_secrets(format, &secrets(&["a"]));
        assert_eq!(answer, Err("these formats have no signature: use tokenType and tokenValue".to_owned()));
    }
}
