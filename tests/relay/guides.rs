//! The guides: their code blocks are run with only addresses, certificates and the token replaced.

mod consumers;
mod proxies;
mod vendors;

const GUIDES: &str = include_str!("../../docs/GUIDES.md");

/// The first code block of a language below a heading.
#[track_caller]
fn block(heading: &str, language: &str) -> String {
    let (_, below) = GUIDES.split_once(&format!("\n### {heading}\n")).expect(heading);
    let section = below.split("\n### ").next().unwrap_or_default();
    let (_, rest) = section.split_once(&format!("\n```{language}\n")).expect(language);
    let (block, _) = rest.split_once("\n```").expect("the block ends");
    format!("{block}\n")
}

/// Replaces each text by another. Panics when the text does not contain it.
#[track_caller]
fn replace_all(text: String, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "no {from:?} in:\n{text}");
        text.replace(from, to)
    })
}
