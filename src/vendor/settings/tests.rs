//! Validation of hook settings.

use std::collections::BTreeMap;

use super::check_settings;
use crate::domain::{Encoding, Mapping, Secret, Status, Vendor, Verify};

const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn mapping() -> Mapping {
    Mapping {
        vendor_id: "/id".into(),
        status: String::new(),
        statuses: BTreeMap::from([("done".into(), Status::Completed)]),
        title: None,
        result: None,
        error_code: None,
        error_message: None,
        time: None,
        message_id: None,
    }
}

fn hmac(secret: &str, header: &str, prefix: &str) -> Verify {
    Verify::HmacSha256 {
        secret: Secret::new(secret),
        header: header.into(),
        prefix: prefix.into(),
        encoding: Encoding::Hex,
    }
}

fn every_verify(text: &str) -> Vec<Verify> {
    let secret = Secret::new(text);
    vec![
        Verify::Ppj { secret: secret.clone(), edition: None },
        Verify::Baidu { secret: secret.clone() },
        Verify::Cookie { secret: secret.clone() },
        Verify::Authorization { secret: secret.clone() },
        Verify::Standard { secrets: vec![secret] },
        hmac(text, "x-signature", ""),
        Verify::None {},
    ]
}

fn mapping_for(vendor: Vendor) -> Option<Mapping> {
    (vendor == Vendor::Generic).then(mapping)
}

#[test]
fn each_vendor_supports_its_documented_verify_types() {
    for vendor in Vendor::ALL {
        let taken: Vec<_> = every_verify(WHSEC)
            .iter()
            .filter(|v| check_settings(vendor, v, mapping_for(vendor).as_ref(), &[]).is_ok())
            .map(Verify::kind)
            .collect();
        let wanted: &[&str] = match vendor {
            Vendor::Ppj => &["ppj", "none"],
            Vendor::Baidu => &["baidu", "none"],
            Vendor::Zoffice => &["cookie", "authorization", "none"],
            Vendor::Gini => &["authorization", "none"],
            Vendor::Standard => &["standard", "none"],
            Vendor::Generic => &["authorization", "hmac-sha256", "none"],
        };
        assert_eq!(taken, wanted, "{vendor}");
    }
}

#[test]
fn empty_secret_is_rejected_for_every_verify_type() {
    for vendor in Vendor::ALL {
        for verify in every_verify("").iter().filter(|v| v.kind() != "none") {
            assert!(check_settings(vendor, verify, mapping_for(vendor).as_ref(), &[]).is_err(), "{vendor} {verify:?}");
        }
    }
}

#[test]
fn standard_requires_one_or_two_valid_secrets() {
    for (secrets, good) in [
        (vec![WHSEC], true),
        (vec![WHSEC, WHSEC], true),
        (vec![WHSEC; 3], false),
        (vec![], false),
        (vec![WHSEC, ""], false),
        (vec!["whsec_c2hvcnQ="], false),
        (vec!["no prefix"], false),
    ] {
        let verify = Verify::Standard { secrets: secrets.iter().map(|s| Secret::new(s)).collect() };
        let answer = check_settings(Vendor::Standard, &verify, None, &[]);
        assert_eq!(answer.is_ok(), good, "{secrets:?}: {answer:?}");
    }
}

#[test]
fn secret_that_is_no_header_value_is_rejected() {
    for bad in ["a\nb", " a", "a ", "a\u{0}"] {
        let verify = Verify::Cookie { secret: Secret::new(bad) };
        assert!(check_settings(Vendor::Zoffice, &verify, None, &[]).is_err(), "{bad:?}");
    }
    let umlaut = Verify::Authorization { secret: Secret::new("Grüße") };
    assert_eq!(check_settings(Vendor::Zoffice, &umlaut, None, &[]), Ok(()));
    for (header, prefix, good) in [
        ("X-Hub-Signature-256", "sha256=", true),
        ("x y", "", false),
        ("", "", false),
        ("x", "\n", false),
        ("x", "HMAC ", true),
    ] {
        let answer = check_settings(Vendor::Generic, &hmac("s", header, prefix), Some(&mapping()), &[]);
        assert_eq!(answer.is_ok(), good, "{header} {prefix}: {answer:?}");
    }
}

#[test]
fn mapping_is_for_generic_hooks_and_must_be_valid() {
    let none = Verify::None {};
    assert!(check_settings(Vendor::Generic, &none, None, &[]).is_err());
    assert!(check_settings(Vendor::Gini, &none, Some(&mapping()), &[]).is_err());
    for (pointer, good) in
        [("", true), ("/a/0", true), ("/a~1b~0", true), ("a", false), ("/a~2", false), ("/a~", false)]
    {
        let changed = Mapping { time: Some(pointer.into()), ..mapping() };
        assert_eq!(check_settings(Vendor::Generic, &none, Some(&changed), &[]).is_ok(), good, "{pointer}");
    }
    let wordless = Mapping { statuses: BTreeMap::new(), ..mapping() };
    assert!(check_settings(Vendor::Generic, &none, Some(&wordless), &[]).is_err());
}

#[test]
fn label_cookies_are_for_zoffice_and_must_be_names() {
    let none = Verify::None {};
    let names = ["fileZTaskId".to_owned()];
    assert_eq!(check_settings(Vendor::Zoffice, &none, None, &names), Ok(()));
    assert!(check_settings(Vendor::Gini, &none, None, &names).is_err());
    for bad in ["", "a b", "a=b", "a;b"] {
        assert!(check_settings(Vendor::Zoffice, &none, None, &[bad.to_owned()]).is_err(), "{bad}");
    }
}

#[test]
fn settings_errors_contain_no_secret() {
    for vendor in Vendor::ALL {
        for verify in every_verify(" hunter2\n") {
            let answer = check_settings(vendor, &verify, None, &[]);
            assert!(!format!("{answer:?}").contains("hunter2"));
        }
    }
}
