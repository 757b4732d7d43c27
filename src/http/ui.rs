//! Serves the embedded files: pages, scripts, styles, and the OpenAPI and AsyncAPI documents, each with an entity tag. They load
//! nothing from other origins. `build/document.rs` renders the documents.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use http::{HeaderValue, StatusCode};

use crate::http::Context;
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult, Problem};

/// Scripts, styles and connections from this origin only; no frames.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct Page {
    path: &'static str,
    content_type: &'static str,
    content: LazyLock<Content>,
}

struct Content {
    body: Cow<'static, str>,
    tag: String,
}

impl Content {
    fn new(body: impl Into<Cow<'static, str>>) -> Self {
        let body = body.into();
        let tag = format!("\"{}\"", HEXLOWER.encode(&digest(&SHA256, body.as_bytes()).as_ref()[..8]));
        Self { body, tag }
    }
}

macro_rules! page {
    ($path:literal, $type:expr, $body:expr) => {
        Page { path: $path, content_type: $type, content: LazyLock::new(|| Content::new($body)) }
    };
}

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";

/// The scripts in `static/dist` are bundles of the modules in `static`: `make bundle` writes them.
static PAGES: [Page; 15] = [
    page!("/", HTML, include_str!("../../static/index.html")),
    page!("/dashboard.css", STYLE, include_str!("../../static/dashboard.css")),
    page!("/dashboard.js", SCRIPT, include_str!("../../static/dist/dashboard.js")),
    page!("/sse.js", SCRIPT, include_str!("../../static/stream/sse.js")),
    page!("/icon.svg", "image/svg+xml", include_str!("../../static/icon.svg")),
    page!("/widget.js", SCRIPT, include_str!("../../static/dist/widget.js")),
    page!("/demo.html", HTML, include_str!("../../static/demo.html")),
    page!("/demo.css", STYLE, include_str!("../../static/demo.css")),
    page!("/demo.js", SCRIPT, include_str!("../../static/demo.js")),
    page!("/docs", HTML, include_str!(concat!(env!("OUT_DIR"), "/reference.html"))),
    page!("/docs/guides", HTML, include_str!(concat!(env!("OUT_DIR"), "/guides.html"))),
    page!("/docs/api", HTML, include_str!(concat!(env!("OUT_DIR"), "/api.html"))),
    page!("/docs.css", STYLE, include_str!("../../static/docs.css")),
    page!("/openapi.json", JSON, include_str!("../../docs/openapi.json")),
    page!("/asyncapi.json", JSON, include_str!("../../docs/asyncapi.json")),
];

/// The paths of all pages.
#[cfg(test)]
pub(in crate::http) fn paths() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|page| page.path)
}

/// Serves the page of this path.
pub(in crate::http) async fn page(_: Arc<Context>, request: Request) -> HandlerResult {
    let page = PAGES.iter().find(|p| p.path == request.path).ok_or_else(|| Problem::not_found("address"))?;
    let content: &'static Content = &page.content;
    let unchanged = request
        .header("if-none-match")
        .is_some_and(|tags| tags.split(',').any(|t| t.trim().trim_start_matches("W/") == content.tag));
    let mut response = match unchanged {
        true => response::text(StatusCode::NOT_MODIFIED, page.content_type, ""),
        false => response::text(StatusCode::OK, page.content_type, content.body.as_ref()),
    };
    let headers = response.headers_mut();
    headers.insert("cache-control", HeaderValue::from_static("no-cache"));
    headers.insert("content-security-policy", HeaderValue::from_static(POLICY));
    if page.path == "/widget.js" {
        // Isolated pages of other origins may load it, too.
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    }
    if let Ok(value) = content.tag.parse() {
        headers.insert("etag", value);
    }
    Ok(response)
}
