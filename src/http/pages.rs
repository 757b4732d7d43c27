//! The pages that people see: embedded in the binary, with an entity tag each and no request to anywhere else.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use http::{HeaderValue, Method, StatusCode};

use super::Context;
use super::answer::{self, Outcome};
use super::problem::Problem;
use super::request::Request;

/// Scripts, styles and connections from this origin only; nobody may put a page into a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct Page {
    path: &'static str,
    content_type: &'static str,
    body: &'static str,
    tag: LazyLock<String>,
}

macro_rules! page {
    ($path:literal, $type:literal, $body:expr) => {
        Page { path: $path, content_type: $type, body: $body, tag: LazyLock::new(|| tag($body)) }
    };
}

/// The dashboard's script: one module in one request, without a build. What stands further down uses what stands above.
const DASHBOARD: &str = concat!(
    include_str!("../../static/sse.js"),
    include_str!("../../static/dashboard/words.js"),
    include_str!("../../static/dashboard/build.js"),
    include_str!("../../static/dashboard/session.js"),
    include_str!("../../static/dashboard/stream.js"),
    include_str!("../../static/dashboard/store.js"),
    include_str!("../../static/dashboard/address.js"),
    include_str!("../../static/dashboard/table.js"),
    include_str!("../../static/dashboard/list.js"),
    include_str!("../../static/dashboard/chart.js"),
    include_str!("../../static/dashboard/document.js"),
    include_str!("../../static/dashboard/hooks.js"),
    include_str!("../../static/dashboard/notifications.js"),
    include_str!("../../static/dashboard/rejects.js"),
    include_str!("../../static/dashboard/main.js"),
);

static PAGES: [Page; 6] = [
    page!("/", "text/html; charset=utf-8", include_str!("../../static/index.html")),
    page!("/dashboard.css", "text/css; charset=utf-8", include_str!("../../static/dashboard.css")),
    page!("/dashboard.js", "text/javascript; charset=utf-8", DASHBOARD),
    page!("/sse.js", "text/javascript; charset=utf-8", include_str!("../../static/sse.js")),
    page!("/icon.svg", "image/svg+xml", include_str!("../../static/icon.svg")),
    page!("/docs", "text/plain; charset=utf-8", include_str!("../../docs/REFERENCE.md")),
];

fn tag(body: &str) -> String {
    format!("\"{}\"", HEXLOWER.encode(&digest(&SHA256, body.as_bytes()).as_ref()[..8]))
}

/// Every address that no other route knows.
pub(super) async fn page(_: Arc<Context>, request: Request) -> Outcome {
    let page = PAGES.iter().find(|p| p.path == request.path).ok_or_else(|| Problem::not_found("address"))?;
    if ![Method::GET, Method::HEAD].contains(&request.method) {
        return Err(Problem::method("GET, HEAD"));
    }
    let unchanged = request
        .header("if-none-match")
        .is_some_and(|tags| tags.split(',').any(|t| t.trim().trim_start_matches("W/") == page.tag.as_str()));
    let mut response = match unchanged {
        true => answer::text(StatusCode::NOT_MODIFIED, page.content_type, ""),
        false => answer::text(StatusCode::OK, page.content_type, page.body),
    };
    let headers = response.headers_mut();
    headers.insert("cache-control", HeaderValue::from_static("no-cache"));
    headers.insert("content-security-policy", HeaderValue::from_static(POLICY));
    if let Ok(value) = page.tag.parse() {
        headers.insert("etag", value);
    }
    Ok(response)
}
