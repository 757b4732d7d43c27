//! Serves the embedded files: pages, scripts, styles, and the OpenAPI and AsyncAPI documents, each plain and compressed
//! with an entity tag. They load nothing from other origins. `build/document.rs` renders the documents.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderValue, StatusCode};
use warp::reply::Response;

use crate::http::Context;
use crate::http::content_negotiation::allows_gzip;
use crate::http::request::{Request, normalize_path};
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
    plain: Representation,
    /// `None` if it could not be compressed.
    gzip: Option<Representation>,
}

struct Representation {
    body: Bytes,
    tag: String,
}

impl Content {
    /// Compresses the body once, when it is first asked for.
    fn new(body: impl Into<Cow<'static, str>>) -> Self {
        let body = match body.into() {
            Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        };
        let gzip = compress(&body).map(|packed| Representation::new(packed.into())).ok();
        Self { plain: Representation::new(body), gzip }
    }
}

impl Representation {
    fn new(body: Bytes) -> Self {
        let tag = format!("\"{}\"", HEXLOWER.encode(&digest(&SHA256, &body).as_ref()[..8]));
        Self { body, tag }
    }
}

fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body)?;
    encoder.finish()
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
static PAGES: [Page; 16] = [
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
    page!("/docs/cluster", HTML, include_str!(concat!(env!("OUT_DIR"), "/cluster.html"))),
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
    let path = normalize_path(&request.path);
    let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(&path) } else { &*path };
    let page = PAGES.iter().find(|p| p.path == path).ok_or_else(|| Problem::not_found("address"))?;
    let Content { plain, gzip } = &*page.content;
    let packed = gzip.as_ref().filter(|_| allows_gzip(&request.headers));
    let selected = packed.unwrap_or(plain);
    // Both have the same content: a client that has either needs none.
    let known = request.header("if-none-match").and_then(|tags| {
        let mut tags = tags.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
        let representation = |tag| match tag {
            "*" => Some(selected),
            tag => [Some(plain), gzip.as_ref()].into_iter().flatten().find(|known| known.tag == tag),
        };
        tags.find_map(representation)
    });
    let (status, tag, body) = match known {
        Some(known) => (StatusCode::NOT_MODIFIED, &known.tag, Bytes::new()),
        None => (StatusCode::OK, &selected.tag, selected.body.clone()),
    };
    let mut response = page_response(status, page.content_type, body);
    let headers = response.headers_mut();
    headers.insert("vary", HeaderValue::from_static("Accept-Encoding"));
    if packed.is_some() && known.is_none() {
        headers.insert("content-encoding", HeaderValue::from_static("gzip"));
    }
    if page.path == "/widget.js" {
        // Isolated pages of other origins may load it, too.
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    }
    if let Ok(value) = tag.parse() {
        headers.insert("etag", value);
    }
    Ok(response)
}

/// The page for an address that does not exist.
pub(in crate::http) fn not_found() -> Response {
    page_response(StatusCode::NOT_FOUND, HTML, include_str!("../../static/not-found.html"))
}

fn page_response(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = response::text(status, content_type, body);
    let headers = response.headers_mut();
    headers.insert("cache-control", HeaderValue::from_static("no-cache"));
    headers.insert("content-security-policy", HeaderValue::from_static(POLICY));
    response
}
