//! PPJ's handshake: the request as a hook answers it, and the accepted responses.

use super::{PPJ_SECRET, secrets, verify_of};
use crate::domain::{Format, Vendor, Verify};
use crate::vendor::fixture::{ENDPOINT, Request, hook, now};
use crate::vendor::{ParsedMessage, handshake_request, is_handshake_response};

#[test]
fn hook_answers_the_handshake_request() {
    for secrets in [vec![], secrets(&[PPJ_SECRET])] {
        let out = handshake_request(ENDPOINT, "n&\"=#é", &secrets, now()).expect("written");
        let verify = if secrets.is_empty() { Verify::None {} } else { verify_of(Format::Ppj) };
        match Request::of(&out).parse(&hook(Vendor::Ppj, verify)) {
            Ok(ParsedMessage::Handshake(reply)) => assert!(is_handshake_response("n&\"=#é", &reply.body)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn handshake_response_must_be_an_object_with_the_nonce() {
    for good in [r#"{"nonce":"abc"}"#, " \r\n{ \"nonce\" : \"abc\" }\n\t ", r#"{"ok":1,"nonce":"\u0061bc"}"#] {
        assert!(is_handshake_response("abc", good.as_bytes()), "{good}");
    }
    for bad in [
        "",
        "abc",
        "\"abc\"",
        "[\"abc\"]",
        "{}",
        "{'nonce':'abc'}",
        r#"{"nonce":"abC"}"#,
        r#"{"nonce":" abc "}"#,
        r#"{"nonce":["abc"]}"#,
        r#"{"Nonce":"abc"}"#,
        r#"{"nonce":"abc"} {}"#,
        r#"{"nonce":"abc","nonce":"abc"}"#,
        r#"{"nonce":"abc""#,
        r#"{"data":{"nonce":"abc"}}"#,
        "\u{FEFF}{\"nonce\":\"abc\"}",
    ] {
        assert!(!is_handshake_response("abc", bad.as_bytes()), "{bad}");
    }
    assert!(!is_handshake_response("", br#"{"nonce":""}"#));
    assert!(!is_handshake_response("7", br#"{"nonce":7}"#));
    assert!(!is_handshake_response("abc", b"{\"nonce\":\"abc\xFF\"}"));
}
