//! What the start prints: where everything is, and with the demo the lines to try it with.

use std::fmt::Write;

use super::demo::Demo;
use crate::app::data::RelayAddress;
use crate::domain::Vendor;

/// The addresses.
pub(super) fn plain(reached: &RelayAddress) -> String {
    let url = &reached.public_url;
    format!(
        "docrelay {} listens\n\n  dashboard  {url}/\n  stream     {url}/events/client\n  docs       {url}/docs\n  \
         admin      http://{}/\n",
        env!("CARGO_PKG_VERSION"),
        reached.admin
    )
}

/// The addresses, and a line for everything that can be played with curl.
pub(super) fn with_demo(reached: &RelayAddress, demo: &Demo) -> String {
    let url = &reached.public_url;
    let mut text =
        plain(reached).replace(&format!("dashboard  {url}/"), &format!("dashboard  {url}/#token={}", demo.token()));
    // Writing into a String cannot fail.
    let mut line = |line: &str| writeln!(text, "{line}").unwrap_or_default();
    line("\nFollow the stream of the client demo, in another terminal:\n");
    line(&format!("  curl -N -H 'Authorization: Bearer {}' {url}/events/client", demo.token()));
    line("\nThe same with the token in the address, and everything from the beginning:\n");
    line(&format!("  curl -N '{url}/events/client?last_event_id=earliest&token={}'", demo.token()));
    line("\nPlay the vendors, with the messages of their own pages. The same message again is answered");
    line("200 and not stored again: change an identifier to see more.");
    for vendor in Vendor::ALL {
        for (what, command) in calls(vendor, demo.hook(vendor)) {
            line(&format!("\n  {what}\n  {command}"));
        }
    }
    text
}

/// What a vendor calls, as its own page shows it.
fn calls(vendor: Vendor, hook: &str) -> Vec<(&'static str, String)> {
    let post = |body: &str| format!("curl -H 'Content-Type: application/json' -d '{body}' {hook}");
    let task = |code: &str, detail: &str| {
        post(&format!(
            r#"{{"taskId":"1c1cf10b-d9e6-4927-b75e-dddf6b441445","code":"{code}","detail":{{{detail},"filename":"demo-docx.pdf"}}}}"#
        ))
    };
    match vendor {
        Vendor::Ppj => vec![
            ("# PPJ: a job is complete", format!("curl '{hook}?type=complete&token=8v9iSKnj&code=0'")),
            (
                "# PPJ verifies the address: the nonce comes back, nothing is stored",
                format!("curl '{hook}?type=verify&timestamp=1489820220&nonce=7bzaglsx2y1nmujw'"),
            ),
        ],
        Vendor::Baidu => vec![(
            "# Baidu DOC: a document is published",
            post(
                r#"{"messageId":"m-1","messageBody":"{\"documentId\":\"doc-gkideq542yb44diy\",\"title\":\"doc_title\",\"status\":\"PUBLISHED\",\"publishInfo\":{\"pageCount\":1,\"sizeInBytes\":33,\"publishTime\":\"2016-12-08T08:45:37Z\"},\"notifyTime\":\"2016-12-08T08:45:37Z\"}","notification":"doc_notification","server":"doc.bj.baidubce.com"}"#,
            ),
        )],
        Vendor::Zoffice => vec![
            (
                "# zOffice: a task has succeeded",
                task(
                    "TaskSuccessNotify",
                    r#""taskStatus":"SUCCESS","defaultDownloadPath":"/docs/open/v1/convert/download","contentId":"640eeac02a9baf5dbc69d426""#,
                ),
            ),
            (
                "# zOffice: a task has failed",
                task("TaskFailNotify", r#""taskStatus":"FAIL","msg":"conversion format err""#),
            ),
        ],
        Vendor::Gini => vec![(
            "# Gini: a document is processed",
            post(r#"{"documentId":"626626a0-749f-11e2-bfd6-000000000000","status":"COMPLETED"}"#),
        )],
        Vendor::Standard => vec![(
            "# Standard Webhooks, from any vendor",
            format!(
                "curl -H 'Content-Type: application/json' -H 'webhook-id: msg-1' -d '{}' {hook}",
                r#"{"type":"document.completed","timestamp":"2026-01-01T00:00:00Z","data":{"vendorId":"job-1","title":"a document"}}"#
            ),
        )],
        Vendor::Generic => {
            vec![("# Any JSON, as the hook's mapping reads it", post(r#"{"vendorId":"job-1","status":"done"}"#))]
        }
    }
}
