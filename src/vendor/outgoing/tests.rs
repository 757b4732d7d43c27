//! Requests of notifications in every format.

mod documented_fields;
mod golden;
mod handshake;
mod hostile;
mod passthrough;
mod signatures;

use super::{handshake_request, render_notification};
use crate::domain::{Format, Secret, Status, Vendor, VendorError, Verify};
use crate::vendor::RenderError;
use crate::vendor::fixture::{ENDPOINT, Request, hook, now, open, outgoing_event};

/// PPJ's documentation sample.
const PPJ_SECRET: &str = "kKdBnfSJNnBjex9gczp6P9g2";
/// The shared secret of the published vectors of Standard Webhooks.
const SHARED: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn secrets(texts: &[&str]) -> Vec<Secret> {
    texts.iter().map(|text| Secret::new(text)).collect()
}

/// One secret for each format that carries a signature.
fn secrets_of(format: Format) -> Vec<Secret> {
    match format {
        Format::Baidu => secrets(&["s3cret"]),
        Format::Ppj => secrets(&[PPJ_SECRET]),
        Format::Standard => secrets(&[SHARED]),
        Format::Zoffice | Format::Gini => Vec::new(),
    }
}

/// How a hook of this relay would check what goes out with [`secrets_of`].
fn verify_of(format: Format) -> Verify {
    let secret = Secret::new;
    match format {
        Format::Baidu => Verify::Baidu { secret: secret("s3cret") },
        Format::Ppj => Verify::Ppj { secret: secret(PPJ_SECRET), edition: None },
        Format::Standard => Verify::Standard { secrets: secrets(&[SHARED]) },
        Format::Zoffice | Format::Gini => Verify::None {},
    }
}

fn names(headers: &[(String, String)]) -> Vec<&str> {
    headers.iter().map(|(name, _)| name.as_str()).collect()
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
}

#[test]
fn rendered_notification_is_accepted_by_a_hook_of_its_vendor() {
    for format in Format::ALL {
        for status in Status::ALL.into_iter().filter(|s| format.supports(*s)) {
            let mut event = outgoing_event("8v9iSKnj", status);
            event.update.error =
                (status == Status::Error).then(|| VendorError { code: "2".into(), message: "m".into() });
            let out =
                render_notification(format, &event, None, ENDPOINT, &secrets_of(format), now()).expect("rendered");
            let read = Request::of(&out).update(&hook(format.vendor(), verify_of(format)));
            assert_eq!((read.vendor_id, read.status), (event.update.vendor_id, status), "{format}");
        }
    }
}

#[test]
fn pending_status_is_rendered_by_supporting_formats_only() {
    for format in Format::ALL {
        let out = render_notification(format, &outgoing_event("8v9iSKnj", Status::Pending), None, ENDPOINT, &[], now());
        let lacks = RenderError::UnsupportedStatus { vendor: format.vendor(), status: Status::Pending };
        match format {
            Format::Baidu | Format::Ppj => assert_eq!(out.map(|o| o.url), Err(lacks)),
            _ => assert_eq!(out.map(|o| o.url), Ok(ENDPOINT.to_owned()), "{format}"),
        }
    }
}

#[test]
fn notification_without_secret_is_unsigned_but_has_its_id() {
    for format in Format::ALL {
        let out =
            render_notification(format, &outgoing_event("8v9iSKnj", Status::Completed), None, ENDPOINT, &[], now())
                .expect("rendered");
        let expected: &[&str] = match format {
            Format::Ppj => &[],
            Format::Standard => &["content-type", "webhook-id", "webhook-timestamp"],
            _ => &["content-type"],
        };
        assert_eq!(names(&out.headers), expected, "{format}");
    }
}

#[test]
fn invalid_endpoint_is_rejected_by_every_format() {
    for bad in [
        "",
        "/notify",
        "ftp://h/x",
        "mailto:a@b",
        "http://",
        "https://h/\r\nx: y",
        "https://h/\u{0}",
        " https://h/",
        "h/x",
    ] {
        for format in Format::ALL {
            let out = render_notification(format, &outgoing_event("a", Status::Completed), None, bad, &[], now());
            assert_eq!(out.map(|o| o.url), Err(RenderError::InvalidEndpoint), "{format} {bad:?}");
        }
        assert_eq!(
            handshake_request(bad, "n", &[], now()).map(|o| o.url),
            Err(RenderError::InvalidEndpoint),
            "{bad:?}"
        );
    }
}

#[test]
fn unknown_error_codes_become_ppjs_server_error() {
    for (code, sent) in [("2", "2"), ("1", "1"), ("", "1"), ("DocExceptions.Broken", "1"), ("TaskFailNotify", "1")] {
        let mut event = outgoing_event("8v9iSKnj", Status::Error);
        event.update.error = Some(VendorError { code: code.into(), message: "source file error".into() });
        let out = render_notification(Format::Ppj, &event, None, "https://h/n", &[], now()).expect("rendered");
        assert_eq!(out.url, format!("https://h/n?type=error&token=8v9iSKnj&code={sent}"));
        let out = render_notification(Format::Zoffice, &event, None, "https://h/n", &[], now()).expect("rendered");
        let read = Request::of(&out).update(&open(Vendor::Zoffice));
        let error = read.error.map(|e| (e.code, e.message));
        assert_eq!(error, Some(("TaskFailNotify".to_owned(), "source file error".to_owned())), "{code}");
    }
}
