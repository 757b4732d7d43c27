//! The guides, done as they say: their blocks are taken out of the text and run, with nothing changed but addresses,
//! certificates and the token.

mod consumers;
mod proxies;
mod vendors;

const GUIDES: &str = include_str!("../../docs/GUIDES.md");

/// The first block of a language below a heading.
#[track_caller]
fn block(heading: &str, language: &str) -> String {
    let (_, below) = GUIDES.split_once(&format!("\n### {heading}\n")).expect(heading);
    let section = below.split("\n### ").next().unwrap_or_default();
    let (_, rest) = section.split_once(&format!("\n```{language}\n")).expect(language);
    let (block, _) = rest.split_once("\n```").expect("the block ends");
    format!("{block}\n")
}

/// The text with each of these in the place of the other; each must be there.
#[track_caller]
fn with(text: String, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "no {from:?} in:\n{text}");
        text.replace(from, to)
    })
}
