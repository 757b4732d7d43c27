//! PPJ's handshake, as whoever answers it sees it, and what counts as an answer.

use super::{PPJ_SECRET, secrets, verify_of};
use crate::domain::{Format, Vendor, Verify};
use crate::vendor::fixture::{ENDPOINT, Request, hook, now};
use crate::vendor::{Message, challenge, passes};

#[test]
fn a_challenge_is_answered_by_a_hook_and_its_answer_passes() {
    for secrets in [vec![], secrets(&[PPJ_SECRET])] {
        let out = challenge(ENDPOINT, "n&\"=#é", &secrets, now()).expect("written");
        let verify = if secrets.is_empty() { Verify::None {} } else { verify_of(Format::Ppj) };
        match Request::of(&out).read(&hook(Vendor::Ppj, verify)) {
            Ok(Message::Handshake(reply)) => assert!(passes("n&\"=#é", &reply.body)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn only_an_object_with_this_very_nonce_passes() {
    for good in [r#"{"nonce":"abc"}"#, " \r\n{ \"nonce\" : \"abc\" }\n\t ", r#"{"ok":1,"nonce":"\u0061bc"}"#] {
        assert!(passes("abc", good.as_bytes()), "{good}");
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
        assert!(!passes("abc", bad.as_bytes()), "{bad}");
    }
    assert!(!passes("", br#"{"nonce":""}"#));
    assert!(!passes("7", br#"{"nonce":7}"#));
    assert!(!passes("abc", b"{\"nonce\":\"abc\xFF\"}"));
}
