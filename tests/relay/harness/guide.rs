//! Code blocks of the documents, which tests run with only addresses, certificates and tokens replaced.

/// The first code block of a language below a heading of a document.
#[track_caller]
pub(crate) fn code_block(document: &str, heading: &str, language: &str) -> String {
    let (_, below) = document.split_once(&format!("\n### {heading}\n")).expect(heading);
    let section = below.split("\n### ").next().unwrap_or_default();
    let (_, rest) = section.split_once(&format!("\n```{language}\n")).expect(language);
    let (block, _) = rest.split_once("\n```").expect("the block ends");
    format!("{block}\n")
}

/// Replaces each text by another. Panics when the text does not contain it.
#[track_caller]
pub(crate) fn replace_all(text: String, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "no {from:?} in:\n{text}");
        text.replace(from, to)
    })
}
