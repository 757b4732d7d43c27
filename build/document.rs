//! The documents as HTML pages: the reference and the guides from their Markdown, the API from its OpenAPI document. A
//! page loads nothing from other hosts. `src/http/ui.rs` serves them.

use std::collections::HashMap;

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use crate::openapi;

/// The documents, in the order of their links.
pub(crate) const DOCUMENTS: [Document; 4] = [
    Document { path: "/docs", title: "Reference", source: "docs/REFERENCE.md", output: "reference.html" },
    Document { path: "/docs/guides", title: "Guides", source: "docs/GUIDES.md", output: "guides.html" },
    Document { path: "/docs/cluster", title: "Several nodes", source: "docs/CLUSTER.md", output: "cluster.html" },
    Document { path: "/docs/api", title: "API", source: "docs/openapi.json", output: "api.html" },
];

/// Links between the files of `docs`, and their paths on a running relay.
const LINKS: [(&str, &str); 5] = [
    ("REFERENCE.md", "/docs"),
    ("GUIDES.md", "/docs/guides"),
    ("CLUSTER.md", "/docs/cluster"),
    ("openapi.json", "/openapi.json"),
    ("asyncapi.json", "/asyncapi.json"),
];

/// A document that is served as a page.
pub(crate) struct Document {
    /// The path of the page.
    pub(crate) path: &'static str,
    title: &'static str,
    /// The file that the page is made from, relative to the repository: Markdown, or an OpenAPI document.
    pub(crate) source: &'static str,
    /// The name of the rendered file.
    pub(crate) output: &'static str,
}

impl Document {
    /// Renders the page from the text of `source`.
    ///
    /// # Errors
    ///
    /// An OpenAPI document that is not JSON.
    pub(crate) fn render(&self, source: &str) -> Result<String, serde_json::Error> {
        let markdown = if self.source.ends_with(".json") { openapi::to_markdown(source)? } else { source.to_owned() };
        let (body, headings) = to_html(&markdown);
        let mut links = String::new();
        for Document { path, title, .. } in DOCUMENTS {
            let current = if path == self.path { " aria-current=\"page\"" } else { "" };
            links += &format!("<a href=\"{path}\"{current}>{title}</a>\n");
        }
        let (title, contents) = (self.title, table_of_contents(&headings));
        Ok(format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>docrelay: {title}</title>\n\
             <link rel=\"icon\" href=\"/icon.svg\" type=\"image/svg+xml\">\n\
             <link rel=\"stylesheet\" href=\"/docs.css\">\n\
             </head>\n<body>\n<header>\n<a class=\"home\" href=\"/\">docrelay</a>\n\
             <nav aria-label=\"Documents\">\n{links}</nav>\n</header>\n\
             <nav class=\"contents\" aria-label=\"On this page\">\n{contents}</nav>\n\
             <main>\n{body}</main>\n</body>\n</html>\n"
        ))
    }
}

/// A heading of a page.
struct Heading {
    level: HeadingLevel,
    id: String,
    text: String,
}

/// The body of a page, and its headings.
fn to_html(markdown: &str) -> (String, Vec<Heading>) {
    // HTML in the Markdown marks generated sections. It is not part of the page.
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
                dest_url: served(dest_url),
                title: title.clone(),
                id: id.clone(),
            })),
            // What is wider than the screen scrolls on its own, by keyboard too.
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

/// The text of the heading at the beginning of `events`.
fn text_of(events: &[Event]) -> String {
    let inside = events.iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
    let texts = inside.filter_map(|event| match event {
        Event::Text(text) | Event::Code(text) => Some(&**text),
        _ => None,
    });
    texts.collect()
}

/// The anchor that GitHub gives a heading, so that a link works there and here.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

/// Appends a number to an anchor that is taken: the second `name` becomes `name-1`.
fn unique(anchor: String, seen: &mut HashMap<String, usize>) -> String {
    let before = seen.entry(anchor.clone()).or_default();
    *before += 1;
    if *before == 1 { anchor } else { format!("{anchor}-{}", *before - 1) }
}

/// The path of a linked document on a running relay.
fn served<'a>(target: &CowStr<'a>) -> CowStr<'a> {
    let (file, part) = target.split_once('#').map_or((&**target, None), |(file, part)| (file, Some(part)));
    let Some((_, here)) = LINKS.iter().find(|(name, _)| *name == file) else { return target.clone() };
    part.map_or_else(|| (*here).into(), |part| format!("{here}#{part}").into())
}

/// The headings of the second and third level as links.
fn table_of_contents(headings: &[Heading]) -> String {
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
    fn markdown_becomes_html_without_embedded_html() {
        let (body, headings) = to_html(
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
        assert!(table_of_contents(&headings).contains("<a href=\"#get-a--b\">GET /a &amp; b</a>"));
    }

    #[test]
    fn rendered_pages_load_nothing_and_obey_their_policy() {
        for document in DOCUMENTS {
            let source = std::fs::read_to_string(document.source).expect("a document");
            let page = document.render(&source).expect("a page");
            assert!(document.output.ends_with(".html"));
            assert!(page.contains(&format!("<a href=\"{}\" aria-current=\"page\">", document.path)));
            // Only in tags: an example of a page is text.
            let tags: Vec<&str> = page.split('<').skip(1).filter_map(|rest| rest.split('>').next()).collect();
            for forbidden in ["script", "style", "img", "iframe"] {
                assert!(!tags.iter().any(|tag| tag.starts_with(forbidden)), "{forbidden}");
            }
            for tag in tags {
                assert!(!tag.contains("src=") && !tag.contains("style=") && !tag.contains(" on"), "<{tag}>");
            }
            // A link inside the page leads to one of its headings.
            for part in page.split("href=\"#").skip(1).filter_map(|rest| rest.split_once('"')) {
                assert!(page.contains(&format!(" id=\"{}\"", part.0)), "#{}", part.0);
            }
        }
    }
}
