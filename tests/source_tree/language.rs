//! Comments and documents are plain technical English: the turns below may occur in less than 1 % of their lines, and
//! no doc comment begins as a fragment without a noun.

use crate::SourceFile;

/// Turns of phrase that name no thing: a comment names the writer thread, the follower or the caller, and what each of
/// them does. A turn is found as whole words, in any case, within one line.
const TURNS: [&str; 20] = [
    "whoever",
    "nobody",
    "somebody",
    "everybody",
    "anew",
    "who",
    "whom",
    "told",
    "in its words",
    "in their words",
    "in whose words",
    "what was said",
    "what is said",
    "the answer is",
    "comes of it",
    "came of it",
    "made of it",
    "makes of it",
    "what is left of",
    "what became of",
];

/// How a doc comment begins that names no thing, such as "Of the last message.": it says "The sequence of the last
/// message."
const FRAGMENTS: [&str; 3] = ["Of", "Those", "In a row"];

/// The share of such lines that the tree may have, in percent.
pub(crate) const MAX_PERCENT: f64 = 1.0;

/// Lines of prose, and those that hold a turn.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Prose {
    pub(crate) lines: usize,
    /// `file:line: the line`, for each line with a turn.
    pub(crate) found: Vec<String>,
}

impl Prose {
    /// Adds the comments of a source, or all lines of a document.
    pub(crate) fn add(&mut self, file: &SourceFile) {
        let lines = if file.path.ends_with(".md") { document_lines(file) } else { comment_lines(file) };
        self.lines += lines.len();
        let found = lines.into_iter().filter(|(_, line)| has_turn(line));
        self.found.extend(found.map(|(number, line)| format!("{}:{number}: {line}", file.path)));
    }

    /// The share of lines with a turn, in percent.
    pub(crate) fn percent(&self) -> f64 {
        self.found.len() as f64 * 100.0 / self.lines.max(1) as f64
    }
}

fn has_turn(line: &str) -> bool {
    let words = line.to_lowercase();
    let words: Vec<&str> = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let text = format!(" {} ", words.join(" "));
    TURNS.iter().any(|turn| text.contains(&format!(" {turn} ")))
}

/// The doc comments, and the sections of them, that begin with a fragment: `file:line: the line`.
pub(crate) fn fragments(file: &SourceFile) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_first = true;
    for (at, line) in file.text.lines().enumerate() {
        let line = line.trim_start();
        let comment = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim_start);
        let is_fragment = |comment: &str| {
            let rest = FRAGMENTS.iter().find_map(|fragment| comment.strip_prefix(fragment));
            rest.is_some_and(|rest| rest.starts_with([' ', '.', ',', ':', ';']))
        };
        if is_first && comment.is_some_and(is_fragment) {
            found.push(format!("{}:{}: {line}", file.path, at + 1));
        }
        is_first = comment.is_none_or(|comment| comment.is_empty() || comment.starts_with('#'));
    }
    found
}

/// How a kind of file marks its comments: the beginning of a line, and the two ends of a block.
struct Marks {
    line: &'static [&'static str],
    block: Option<(&'static str, &'static str)>,
}

fn marks(path: &str) -> Option<Marks> {
    let (line, block): (&[&str], _) = match path.rsplit_once('.')?.1 {
        "rs" | "js" => (&["//"], Some(("/*", "*/"))),
        "css" => (&[], Some(("/*", "*/"))),
        "html" => (&[], Some(("<!--", "-->"))),
        "py" => (&["#"], Some(("\"\"\"", "\"\"\""))),
        "sh" => (&["#"], None),
        _ => return None,
    };
    Some(Marks { line, block })
}

/// The lines that are not empty, with their numbers counted from 1.
fn document_lines(file: &SourceFile) -> Vec<(usize, String)> {
    let lines = file.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| (at + 1, line.to_owned())).collect()
}

/// The lines that are a comment from their beginning, with their numbers counted from 1.
fn comment_lines(file: &SourceFile) -> Vec<(usize, String)> {
    let Some(marks) = marks(&file.path) else { return Vec::new() };
    let mut lines = Vec::new();
    let mut inside = false;
    for (at, line) in file.text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("#!/") {
            continue;
        }
        let opens = marks.block.filter(|(open, _)| !inside && line.starts_with(open));
        if inside || opens.is_some() || marks.line.iter().any(|mark| line.starts_with(mark)) {
            lines.push((at + 1, line.to_owned()));
        }
        let rest = opens.map_or(line, |(open, _)| &line[open.len()..]);
        if let Some((_, close)) = marks.block
            && (inside || opens.is_some())
        {
            inside = !rest.contains(close);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> (usize, usize) {
        let mut prose = Prose::default();
        prose.add(&SourceFile { path: path.into(), text: text.into() });
        (prose.lines, prose.found.len())
    }

    #[test]
    fn turns_are_found_as_whole_words_in_any_case() {
        let text =
            format!("//! {}.\n/// Is\n// It is renewed.\n// and {} at the end\n", TURNS[0].to_uppercase(), TURNS[7]);
        assert_eq!(count("src/hub.rs", &text), (4, 2));
        assert_eq!(count("src/hub.rs", &format!("let x = \"{}\";\n", TURNS[1])), (0, 0), "not a comment");
    }

    #[test]
    fn doc_comments_that_begin_with_a_fragment_are_found() {
        let found = |text: &str| fragments(&SourceFile { path: "a.rs".into(), text: text.into() });
        for begin in ["Of the last", "Those of it", "In a row", "In a row:"] {
            assert_eq!(found(&format!("x,\n    /// {begin}.\ny")), [format!("a.rs:2: /// {begin}.")]);
            assert_eq!(found(&format!("/// Opens it.\n///\n/// # Errors\n/// {begin}.\n")).len(), 1);
            assert_eq!(found(&format!("/// One\n/// {begin}.\n// {begin}.\n")), [""; 0], "not at the beginning");
        }
        assert_eq!(found("//! Often.\n\n/// Thoseness of it.\n"), [""; 0]);
    }

    #[test]
    fn comments_of_each_kind_of_file_are_counted() {
        assert_eq!(count("static/a.css", "/* one\ntwo */\na { b: c }\n/* three */\n").0, 3);
        assert_eq!(count("static/a.html", "<!-- one -->\n<p>\n<!-- two\nthree -->\n").0, 3);
        assert_eq!(count("static/a.js", "// one\nf() /* not from its beginning */\n/** two */\n").0, 2);
        assert_eq!(count("tests/a.py", "\"\"\"one\ntwo\"\"\"\n# three\nx = 1\n").0, 3);
        assert_eq!(count("tests/a.sh", "#!/bin/sh\n# one\necho\n").0, 1);
        assert_eq!(count("docs/a.json", "// none\n").0, 0);
        assert_eq!(count("docs/a.md", &format!("# One\n\nIt is {}.\n", TURNS[4])), (2, 1));
    }
}
