//! The documents as pages: the reference and the guides from their Markdown, the API from its OpenAPI document. Each is
//! rendered once, and asks for nothing from anywhere else. Who serves them is the business of `pages`.

mod api;

use std::collections::HashMap;

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// The documents, in the order of their links.
const DOCUMENTS: [(&str, &str); 3] = [("/docs", "Reference"), ("/docs/guides", "Guides"), ("/docs/api", "API")];

/// Where a link of the repository leads to on a running relay.
const MOVED: [(&str, &str); 4] = [
    ("REFERENCE.md", "/docs"),
    ("GUIDES.md", "/docs/guides"),
    ("openapi.json", "/openapi.json"),
    ("asyncapi.json", "/asyncapi.json"),
];

/// The reference.
pub(in crate::http) fn reference() -> String {
    page("/docs", include_str!("../../../docs/REFERENCE.md"))
}

/// The guides.
pub(in crate::http) fn guides() -> String {
    page("/docs/guides", include_str!("../../../docs/GUIDES.md"))
}

/// The API.
pub(in crate::http) fn api() -> String {
    page("/docs/api", &api::markdown(include_str!("../../../docs/openapi.json")))
}

/// A heading that the table of contents names.
struct Heading {
    level: HeadingLevel,
    id: String,
    text: String,
}

fn page(path: &str, markdown: &str) -> String {
    let (body, headings) = rendered(markdown);
    let mut links = String::new();
    let mut title = "";
    for (target, name) in DOCUMENTS {
        let current = if target == path { " aria-current=\"page\"" } else { "" };
        links += &format!("<a href=\"{target}\"{current}>{name}</a>\n");
        if target == path {
            title = name;
        }
    }
    let contents = contents(&headings);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>docrelay: {title}</title>\n\
         <link rel=\"icon\" href=\"/icon.svg\" type=\"image/svg+xml\">\n<link rel=\"stylesheet\" href=\"/docs.css\">\n\
         </head>\n<body>\n<header>\n<a class=\"home\" href=\"/\">docrelay</a>\n\
         <nav aria-label=\"Documents\">\n{links}</nav>\n</header>\n\
         <nav class=\"contents\" aria-label=\"On this page\">\n{contents}</nav>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// The body, and what its table of contents holds.
fn rendered(markdown: &str) -> (String, Vec<Heading>) {
    // HTML in the Markdown is marks for tests; none of it is for the page.
    let events: Vec<Event> = Parser::new_ext(markdown, Options::ENABLE_TABLES)
        .filter(|event| !matches!(event, Event::Html(_) | Event::InlineHtml(_)))
        .collect();
    let mut headings = Vec::new();
    let mut seen = HashMap::new();
    let mut out = Vec::with_capacity(events.len());
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                let text = text_of(&events[at..]);
                let id = unique(anchor(&text), &mut seen);
                out.push(Event::Start(Tag::Heading {
                    level: *level,
                    id: Some(id.clone().into()),
                    classes: Vec::new(),
                    attrs: Vec::new(),
                }));
                headings.push(Heading { level: *level, id, text });
            }
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => out.push(Event::Start(Tag::Link {
                link_type: *link_type,
                dest_url: moved(dest_url),
                title: title.clone(),
                id: id.clone(),
            })),
            // What is wider than a phone scrolls by itself, by keyboard too.
            Event::Start(Tag::CodeBlock(_)) => out.push(Event::Html("<pre tabindex=\"0\"><code>".into())),
            Event::End(TagEnd::CodeBlock) => out.push(Event::Html("</code></pre>\n".into())),
            Event::Start(Tag::Table(_)) => {
                out.extend([Event::Html("<div class=\"wide\" tabindex=\"0\">".into()), event.clone()]);
            }
            Event::End(TagEnd::Table) => out.extend([event.clone(), Event::Html("</div>\n".into())]),
            _ => out.push(event.clone()),
        }
    }
    let mut body = String::with_capacity(markdown.len() * 2);
    html::push_html(&mut body, out.into_iter());
    (body, headings)
}

/// The text of the heading that `events` begins with.
fn text_of(events: &[Event]) -> String {
    let inside = events.iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
    let texts = inside.filter_map(|event| match event {
        Event::Text(text) | Event::Code(text) => Some(&**text),
        _ => None,
    });
    texts.collect()
}

/// GitHub's name of a heading, so that a link holds there and here.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

/// The second of a name is `name-1`.
fn unique(anchor: String, seen: &mut HashMap<String, usize>) -> String {
    let before = seen.entry(anchor.clone()).or_default();
    *before += 1;
    if *before == 1 { anchor } else { format!("{anchor}-{}", *before - 1) }
}

fn moved<'a>(target: &CowStr<'a>) -> CowStr<'a> {
    let (file, part) = target.split_once('#').map_or((&**target, None), |(file, part)| (file, Some(part)));
    let Some((_, here)) = MOVED.iter().find(|(name, _)| *name == file) else { return target.clone() };
    part.map_or_else(|| (*here).into(), |part| format!("{here}#{part}").into())
}

/// Two levels of headings as links.
fn contents(headings: &[Heading]) -> String {
    let mut list = String::from("<ul>\n");
    for heading in headings {
        let class = match heading.level {
            HeadingLevel::H2 => "chapter",
            HeadingLevel::H3 => "section",
            _ => continue,
        };
        let mut text = String::new();
        html::push_html(&mut text, std::iter::once(Event::Text(heading.text.as_str().into())));
        list += &format!("<li class=\"{class}\"><a href=\"#{}\">{text}</a></li>\n", heading.id);
    }
    list + "</ul>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_a_page_that_holds_nothing_but_its_own() {
        let (body, headings) = rendered(
            "## `GET /a` & b\n\n<script>alert(1)</script>\n\n| a |\n|---|\n| <b>`x`</b> |\n\n```sh\na < b\n```\n\n\
             [there](REFERENCE.md#proofs) [here](#b)\n\n## Twice\n\n## Twice\n",
        );
        assert!(!body.contains("<script") && !body.contains("<b>"), "{body}");
        assert!(body.contains("<h2 id=\"get-a--b\"><code>GET /a</code> &amp; b</h2>"), "{body}");
        assert!(body.contains("<div class=\"wide\" tabindex=\"0\"><table>"), "{body}");
        assert!(body.contains("<pre tabindex=\"0\"><code>a &lt; b\n</code></pre>"), "{body}");
        assert!(body.contains("href=\"/docs#proofs\"") && body.contains("href=\"#b\""), "{body}");
        let ids: Vec<&str> = headings.iter().map(|h| h.id.as_str()).collect();
        assert_eq!(ids, ["get-a--b", "twice", "twice-1"]);
        assert!(contents(&headings).contains("<a href=\"#get-a--b\">GET /a &amp; b</a>"));
    }

    #[test]
    fn no_page_asks_for_anything_from_elsewhere_or_for_what_its_policy_forbids() {
        for page in [reference(), guides(), api()] {
            // In the tags: an example of a page is text.
            let tags: Vec<&str> = page.split('<').skip(1).filter_map(|rest| rest.split('>').next()).collect();
            for forbidden in ["script", "style", "img", "iframe"] {
                assert!(!tags.iter().any(|tag| tag.starts_with(forbidden)), "{forbidden}");
            }
            for tag in tags {
                assert!(!tag.contains("src=") && !tag.contains("style=") && !tag.contains(" on"), "<{tag}>");
            }
            // Links inside a page lead to a heading that it has.
            for part in page.split("href=\"#").skip(1).filter_map(|rest| rest.split_once('"')) {
                assert!(page.contains(&format!(" id=\"{}\"", part.0)), "#{}", part.0);
            }
        }
    }
}
