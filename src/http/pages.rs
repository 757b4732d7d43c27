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
    body: LazyLock<String>,
    tag: LazyLock<String>,
}

macro_rules! page {
    ($path:literal, $type:literal, $file:literal) => {
        Page {
            path: $path,
            content_type: $type,
            body: LazyLock::new(|| include_str!($file).to_owned()),
            tag: LazyLock::new(|| tag(include_str!($file))),
        }
    };
    // A script in several files is one module.
    ($path:literal, $type:literal, [$($file:literal),+ $(,)?]) => {
        Page {
            path: $path,
            content_type: $type,
            body: LazyLock::new(|| joined(&[$(include_str!($file)),+])),
            tag: LazyLock::new(|| tag(&joined(&[$(include_str!($file)),+]))),
        }
    };
}

static PAGES: [Page; 10] = [
    page!("/", "text/html; charset=utf-8", "../../static/index.html"),
    page!("/start.css", "text/css; charset=utf-8", "../../static/start.css"),
    page!("/start.js", "text/javascript; charset=utf-8", "../../static/start.js"),
    page!("/sse.js", "text/javascript; charset=utf-8", "../../static/sse.js"),
    page!("/icon.svg", "image/svg+xml", "../../static/icon.svg"),
    page!("/demo.html", "text/html; charset=utf-8", "../../static/demo.html"),
    page!("/demo.css", "text/css; charset=utf-8", "../../static/demo.css"),
    page!("/demo.js", "text/javascript; charset=utf-8", "../../static/demo.js"),
    // Without imports, so that one address is all that a page of another origin has to load.
    page!(
        "/widget.js",
        "text/javascript; charset=utf-8",
        [
            "../../static/sse.js",
            "../../static/widget/words.js",
            "../../static/widget/position.js",
            "../../static/widget/ticket.js",
            "../../static/widget/share.js",
            "../../static/widget/source.js",
            "../../static/widget/element.js",
        ]
    ),
    page!("/docs", "text/plain; charset=utf-8", "../../docs/REFERENCE.md"),
];

/// Scripts one after the other, without the lines that are comments: a widget is a guest on other people's pages, and
/// has to be small. No line of a text in these files may begin with `//` or be all `/** … */`.
fn joined(scripts: &[&str]) -> String {
    let lines = scripts.iter().flat_map(|script| script.lines()).filter(|line| {
        let line = line.trim_start();
        !(line.is_empty() || line.starts_with("//") || line.starts_with("/**") && line.ends_with("*/"))
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

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
        false => answer::text(StatusCode::OK, page.content_type, page.body.as_str()),
    };
    let headers = response.headers_mut();
    headers.insert("cache-control", HeaderValue::from_static("no-cache"));
    headers.insert("content-security-policy", HeaderValue::from_static(POLICY));
    if page.path == "/widget.js" {
        // Isolated pages of other origins may load it, too.
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    }
    if let Ok(value) = page.tag.parse() {
        headers.insert("etag", value);
    }
    Ok(response)
}
