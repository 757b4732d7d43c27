//! Every pair of vendor and format, byte for byte: each documented message is parsed, stored and rendered in all five
//! formats. `golden/` has one readable file for each vendor. `UPDATE_GOLDEN=1 cargo test golden` rewrites them; review
//! the changes, because receivers get these bytes.

use std::fmt::Write as _;
use std::path::Path;

use super::{secrets_of, verify_of};
use crate::domain::{DocumentId, EventJson, Format, Hook, Secret, Update, Vendor, Verify};
use crate::vendor::fixture::{Request, hook, mapping, now, open};
use crate::vendor::{OriginalRequest, OutgoingEvent, OutgoingRequest, RenderError, render_notification};

/// Where everything goes; the query is the receiver's own.
const RECEIVER: &str = "https://app.example.com/notify?agent=06875f8b";

const BAIDU_PUBLISHED: &str = include_str!("../../../../tests/fixtures/baidu/published.json");
const BAIDU_FAILED: &str = include_str!("../../../../tests/fixtures/baidu/failed.json");
const ZOFFICE_SUCCESS: &str = include_str!("../../../../tests/fixtures/zoffice/success.json");
const ZOFFICE_FAILURE: &str = include_str!("../../../../tests/fixtures/zoffice/failure.json");
const GINI_COMPLETED: &str = include_str!("../../../../tests/fixtures/gini/completed.json");
const GINI_ERROR: &str = include_str!("../../../../tests/fixtures/gini/error.json");
const STANDARD_COMPLETED: &str = include_str!("../../../../tests/fixtures/standard/completed.json");
const STANDARD_FAILED: &str = include_str!("../../../../tests/fixtures/standard/failed.json");
const GENERIC_COMPLETED: &str = include_str!("../../../../tests/fixtures/generic/completed.json");
const GENERIC_ERROR: &str = include_str!("../../../../tests/fixtures/generic/error.json");
const PPJ_COMPLETE: &str = include_str!("../../../../tests/fixtures/ppj/complete.query");
const PPJ_ERROR: &str = include_str!("../../../../tests/fixtures/ppj/error.query");
const PPJ_FORM: &str = include_str!("../../../../tests/fixtures/ppj/complete.form");

/// Success and failure of each vendor, as its documentation has them.
fn messages(vendor: Vendor) -> Vec<(&'static str, Request)> {
    let json = |body: &str| Request::post(body).header("content-type", "application/json");
    match vendor {
        Vendor::Ppj => vec![
            ("type=complete, the seed's edition", Request::get(PPJ_COMPLETE)),
            ("type=error, source file error", Request::get(PPJ_ERROR)),
            (
                "type=complete, posted as a form",
                Request::post(PPJ_FORM).header("content-type", "application/x-www-form-urlencoded"),
            ),
        ],
        Vendor::Baidu => vec![("PUBLISHED", json(BAIDU_PUBLISHED)), ("FAILED", json(BAIDU_FAILED))],
        Vendor::Zoffice => {
            vec![("TaskSuccessNotify", json(ZOFFICE_SUCCESS)), ("TaskFailNotify", json(ZOFFICE_FAILURE))]
        }
        Vendor::Gini => vec![("COMPLETED", json(GINI_COMPLETED)), ("ERROR", json(GINI_ERROR))],
        Vendor::Standard => {
            vec![("document.completed", json(STANDARD_COMPLETED)), ("document.failed", json(STANDARD_FAILED))]
        }
        Vendor::Generic => vec![("COMPLETED", json(GENERIC_COMPLETED)), ("ERROR", json(GENERIC_ERROR))],
    }
}

fn open_hook(vendor: Vendor) -> Hook {
    Hook { mapping: (vendor == Vendor::Generic).then(mapping), ..open(vendor) }
}

/// The event as the store keeps it: a document whose vendor names it by a UUID keeps that.
fn stored(vendor: Vendor, update: &Update) -> bytes::Bytes {
    let minted = "c8a1f0e2-0f9c-11e7-93ae-92361f002671".parse::<DocumentId>().expect("good");
    let draft = EventJson {
        document_id: update.vendor_id.as_str().parse().unwrap_or(minted),
        status: update.status,
        vendor,
        vendor_id: &update.vendor_id,
        time: now(),
        title: update.title.as_deref(),
        result: update.result.as_ref(),
        error: update.error.as_ref(),
        vendor_time: update.vendor_time,
        labels: &update.labels,
    };
    draft.encode()
}

/// Headers as the store keeps them.
fn kept(request: &Request) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    request.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// What goes out in `format` for a message of `vendor`; the original goes along where the formats are the same.
fn rendered(vendor: Vendor, request: &Request, format: Format, endpoint: &str, secrets: &[Secret]) -> OutgoingRequest {
    let update = request.update(&open_hook(vendor));
    let event = stored(vendor, &update);
    let (who, outgoing_event) =
        OutgoingEvent::from_stored(&event, "msg_a75bea067aae7_24".into(), "main".into()).expect("one of ours");
    assert_eq!(who, vendor);
    let headers = kept(request);
    let original = OriginalRequest {
        method: request.method.as_str(),
        query: request.query.as_deref(),
        headers: &headers,
        body: request.body.clone().into(),
    };
    let own = Some(&original).filter(|_| format.vendor() == vendor);
    render_notification(format, &outgoing_event, own, endpoint, secrets, now()).expect("rendered")
}

/// A request as it stands on the wire, but for what every request has.
fn written(out: &OutgoingRequest) -> String {
    let mut text = format!("{} {}\n", out.method, out.url);
    for (name, value) in &out.headers {
        writeln!(text, "{name}: {value}").expect("a String");
    }
    if !out.body.is_empty() {
        writeln!(text, "\n{}", std::str::from_utf8(&out.body).expect("text")).expect("a String");
    }
    text
}

fn page(vendor: Vendor) -> String {
    let mut text = format!(
        "What comes in from {vendor}, the event it becomes, and what goes out in each format to\n{RECEIVER}\n\
         with a secret where the format has a signature.\n\
         Written by UPDATE_GOLDEN=1 cargo test golden: read it before you commit it.\n"
    );
    for (title, request) in messages(vendor) {
        let line = "=".repeat(80);
        let event = stored(vendor, &request.update(&open_hook(vendor)));
        let query = request.query.as_deref().map(|q| format!("?{q}")).unwrap_or_default();
        let incoming = OutgoingRequest {
            method: request.method.clone(),
            url: format!("{}{query}", request.path),
            headers: kept(&request),
            body: request.body.clone().into(),
        };
        write!(text, "\n{line}\n{title}\n{line}\n{}", written(&incoming)).expect("a String");
        write!(text, "\n--- event\n{}\n", String::from_utf8_lossy(&event)).expect("a String");
        for format in Format::ALL {
            let out = rendered(vendor, &request, format, RECEIVER, &secrets_of(format));
            write!(text, "\n--- {format}\n{}", written(&out)).expect("a String");
        }
    }
    text
}

#[test]
fn golden_files_match_every_pair_of_vendor_and_format() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/vendor/outgoing/golden");
    for vendor in Vendor::ALL {
        let (path, page) = (folder.join(format!("{vendor}.txt")), page(vendor));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &page).expect("a writable folder");
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(golden == page, "{vendor}: what goes out is not what {} says:\n{page}", path.display());
    }
}

#[test]
fn every_pair_is_accepted_by_a_hook_of_its_format() {
    for vendor in Vendor::ALL {
        for (title, request) in messages(vendor) {
            let said = request.update(&open_hook(vendor));
            for format in Format::ALL {
                for (secrets, verify) in [(secrets_of(format), verify_of(format)), (Vec::new(), Verify::None {})] {
                    let out = rendered(vendor, &request, format, crate::vendor::fixture::ENDPOINT, &secrets);
                    let read = Request::of(&out).update(&hook(format.vendor(), verify));
                    assert_eq!(read.status, said.status, "{vendor} {title} {format}");
                    // Gini's first key is our identifier of the document; the vendor's travels beside it.
                    let translated = format == Format::Gini && vendor != Vendor::Gini;
                    let id =
                        if translated { &read.result.expect("an event")["vendorId"] } else { &serde_json::Value::Null };
                    let id = id.as_str().unwrap_or(read.vendor_id.as_str());
                    assert_eq!(id, said.vendor_id.as_str(), "{vendor} {title} {format}");
                }
            }
        }
    }
}

#[test]
fn pending_status_is_not_pushed_in_its_own_format() {
    let body = BAIDU_PUBLISHED.replace("PUBLISHED", "PROCESSING");
    let update = Request::post(&body).update(&open(Vendor::Baidu));
    let event = stored(Vendor::Baidu, &update);
    let (_, outgoing_event) = OutgoingEvent::from_stored(&event, "m".into(), "main".into()).expect("one of ours");
    let original = OriginalRequest { method: "POST", query: None, headers: &[], body: body.into() };
    let answer = render_notification(Format::Baidu, &outgoing_event, Some(&original), RECEIVER, &[], now());
    assert!(matches!(answer, Err(RenderError::UnsupportedStatus { .. })));
}
