//! The pages that people see, and the documents that programs read: embedded in the binary, with an entity tag each and
//! no request to anywhere else. What the documents look like as pages is the business of `docs`.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use http::{HeaderValue, Method, StatusCode};

use crate::http::Context;
use crate::http::answer::{self, Outcome};
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::ui::docs;

/// Scripts, styles and connections from this origin only; nobody may put a page into a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct Page {
    path: &'static str,
    content_type: &'static str,
    content: LazyLock<Content>,
}

/// What a page shows, and its entity tag.
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

/// The dashboard's script: one module in one request, without a build. What stands further down uses what stands above.
const DASHBOARD: &str = concat!(
    include_str!("../../../static/sse.js"),
    include_str!("../../../static/dashboard/words.js"),
    include_str!("../../../static/dashboard/build.js"),
    include_str!("../../../static/dashboard/session.js"),
    include_str!("../../../static/dashboard/stream.js"),
    include_str!("../../../static/dashboard/store.js"),
    include_str!("../../../static/dashboard/address.js"),
    include_str!("../../../static/dashboard/table.js"),
    include_str!("../../../static/dashboard/list.js"),
    include_str!("../../../static/dashboard/chart.js"),
    include_str!("../../../static/dashboard/document.js"),
    include_str!("../../../static/dashboard/hooks.js"),
    include_str!("../../../static/dashboard/notifications.js"),
    include_str!("../../../static/dashboard/rejects.js"),
    include_str!("../../../static/dashboard/main.js"),
);

/// The widget's, which has no imports either, so that one address is all that a page of another origin has to load.
const WIDGET: &str = concat!(
    include_str!("../../../static/sse.js"),
    include_str!("../../../static/widget/words.js"),
    include_str!("../../../static/widget/position.js"),
    include_str!("../../../static/widget/ticket.js"),
    include_str!("../../../static/widget/share.js"),
    include_str!("../../../static/widget/source.js"),
    include_str!("../../../static/widget/element.js"),
);

static PAGES: [Page; 15] = [
    page!("/", HTML, include_str!("../../../static/index.html")),
    page!("/dashboard.css", STYLE, include_str!("../../../static/dashboard.css")),
    page!("/dashboard.js", SCRIPT, DASHBOARD),
    page!("/sse.js", SCRIPT, include_str!("../../../static/sse.js")),
    page!("/icon.svg", "image/svg+xml", include_str!("../../../static/icon.svg")),
    page!("/widget.js", SCRIPT, without_comments(WIDGET)),
    page!("/demo.html", HTML, include_str!("../../../static/demo.html")),
    page!("/demo.css", STYLE, include_str!("../../../static/demo.css")),
    page!("/demo.js", SCRIPT, include_str!("../../../static/demo.js")),
    page!("/docs", HTML, docs::reference()),
    page!("/docs/guides", HTML, docs::guides()),
    page!("/docs/api", HTML, docs::api()),
    page!("/docs.css", STYLE, include_str!("../../../static/docs.css")),
    page!("/openapi.json", JSON, include_str!("../../../docs/openapi.json")),
    page!("/asyncapi.json", JSON, include_str!("../../../docs/asyncapi.json")),
];

/// A script without the lines that are comments: a widget is a guest on other people's pages, and has to be small. No
/// line of a text in its files may begin with `//` or be all `/** … */`.
fn without_comments(script: &str) -> String {
    let lines = script.lines().filter(|line| {
        let line = line.trim_start();
        !(line.is_empty() || line.starts_with("//") || line.starts_with("/**") && line.ends_with("*/"))
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Every address that no other route knows.
pub(in crate::http) async fn page(_: Arc<Context>, request: Request) -> Outcome {
    let page = PAGES.iter().find(|p| p.path == request.path).ok_or_else(|| Problem::not_found("address"))?;
    if ![Method::GET, Method::HEAD].contains(&request.method) {
        return Err(Problem::method("GET, HEAD"));
    }
    let content: &'static Content = &page.content;
    let unchanged = request
        .header("if-none-match")
        .is_some_and(|tags| tags.split(',').any(|t| t.trim().trim_start_matches("W/") == content.tag));
    let mut response = match unchanged {
        true => answer::text(StatusCode::NOT_MODIFIED, page.content_type, ""),
        false => answer::text(StatusCode::OK, page.content_type, content.body.as_ref()),
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
