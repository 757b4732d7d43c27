//! Which paths a Rust source refers to, found in its tokens: comments and strings do not count, `use` trees are
//! spread out, `self`, `super` and imported names are followed. Knows nothing of what is allowed.

use std::collections::HashMap;

/// One reference in the code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    /// Where it stands, counted from 1.
    pub(crate) line: usize,
    /// Whether the path begins at the root of this crate, or with the name of another crate.
    pub(crate) ours: bool,
    /// The segments; a glob import ends in `*`.
    pub(crate) path: Vec<String>,
}

/// All references of a file that is the module `module`; single names outside `use` are not paths.
pub(crate) fn references(module: &[String], source: &str) -> Vec<Reference> {
    let tokens = tokens(source);
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
        inner: module.iter().map(|name| (name.clone(), 0)).collect(),
        depth: 0,
        children: children(&tokens),
        imports: HashMap::new(),
        found: Vec::new(),
    };
    reader.file();
    // An import may stand below its use, so names are followed when all of them are known.
    let Reader { imports, mut found, .. } = reader;
    for reference in found.iter_mut().filter(|reference| !reference.ours && reference.path.len() > 1) {
        if let Some(import) = imports.get(&reference.path[0]) {
            reference.ours = import.ours;
            reference.path.splice(..1, import.path.iter().cloned());
        }
    }
    // `use crate as root` alone refers to nothing yet.
    found.retain(|reference| !reference.path.is_empty());
    found.sort();
    found.dedup();
    found
}

#[derive(Debug, PartialEq)]
enum Kind {
    Name(String),
    /// `::`
    Separator,
    Sign(char),
}

#[derive(Debug)]
struct Token {
    line: usize,
    kind: Kind,
}

/// Names and signs without comments, strings, characters and lifetimes.
fn tokens(source: &str) -> Vec<Token> {
    let text: Vec<char> = source.chars().collect();
    let has = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| text.get(at + i) == Some(&c));
    let (mut tokens, mut line, mut at) = (Vec::new(), 1, 0);
    while at < text.len() {
        let from = at;
        if has(at, "//") {
            at = (at..text.len()).find(|i| text[*i] == '\n').unwrap_or(text.len());
        } else if has(at, "/*") {
            let mut open = 0;
            loop {
                if has(at, "/*") {
                    (open, at) = (open + 1, at + 2);
                } else if has(at, "*/") {
                    (open, at) = (open - 1, at + 2);
                } else {
                    at += 1;
                }
                if open == 0 || at >= text.len() {
                    break;
                }
            }
        } else if text[at] == '"' {
            at = plain_string(&text, at);
        } else if text[at] == '\'' {
            at = character_or_lifetime(&text, at);
        } else if text[at].is_alphabetic() || text[at] == '_' {
            at = (at..text.len()).find(|i| !(text[*i].is_alphanumeric() || text[*i] == '_')).unwrap_or(text.len());
            let name: String = text[from..at].iter().collect();
            let raw = matches!(name.as_str(), "r" | "br" | "cr");
            if raw && has(at, "#") && text.get(at + 1).is_some_and(|c| c.is_alphabetic() || *c == '_') {
                at += 1; // r#name: the name itself is the next token
            } else if raw && (has(at, "\"") || has(at, "#")) {
                at = raw_string(&text, at);
            } else if !(matches!(name.as_str(), "b" | "c") && (has(at, "\"") || has(at, "'"))) {
                tokens.push(Token { line, kind: Kind::Name(name) });
            }
        } else if has(at, "::") {
            tokens.push(Token { line, kind: Kind::Separator });
            at += 2;
        } else {
            if !text[at].is_whitespace() {
                tokens.push(Token { line, kind: Kind::Sign(text[at]) });
            }
            at += 1;
        }
        line += text[from..at.min(text.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// The position after a string that opens at `at`.
fn plain_string(text: &[char], mut at: usize) -> usize {
    at += 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The position after a raw string whose hashes, if any, begin at `at`.
fn raw_string(text: &[char], at: usize) -> usize {
    let hashes = text[at..].iter().take_while(|c| **c == '#').count();
    let mut at = at + hashes + 1;
    while at < text.len()
        && !(text[at] == '"' && text[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes)
    {
        at += 1;
    }
    at + 1 + hashes
}

/// The position after `'x'`, `'\n'`, `'\u{1}'` or `'static`.
fn character_or_lifetime(text: &[char], at: usize) -> usize {
    match (text.get(at + 1), text.get(at + 2)) {
        (Some('\\'), _) => (at + 3..text.len()).find(|i| text[*i] == '\'').unwrap_or(text.len()) + 1,
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

/// The modules that a file declares, so that `child::name` is known as a path of ours.
fn children(tokens: &[Token]) -> Vec<String> {
    let declared = tokens.windows(2).filter_map(|pair| match (&pair[0].kind, &pair[1].kind) {
        (Kind::Name(word), Kind::Name(name)) if word == "mod" => Some(name.clone()),
        _ => None,
    });
    declared.collect()
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    /// The module that the code stands in: each name with the depth of braces at which it ends.
    inner: Vec<(String, usize)>,
    depth: usize,
    children: Vec<String>,
    imports: HashMap<String, Reference>,
    found: Vec<Reference>,
}

impl Reader<'_> {
    fn kind(&self, at: usize) -> Option<&Kind> {
        self.tokens.get(at).map(|t| &t.kind)
    }

    fn name(&self, at: usize) -> Option<&str> {
        match self.kind(at) {
            Some(Kind::Name(name)) => Some(name),
            _ => None,
        }
    }

    fn is(&self, at: usize, sign: char) -> bool {
        self.kind(at) == Some(&Kind::Sign(sign))
    }

    fn file(&mut self) {
        while self.at < self.tokens.len() {
            if self.is(self.at, '{') {
                self.depth += 1;
            } else if self.is(self.at, '}') {
                self.inner.retain(|(_, ends)| *ends != self.depth || *ends == 0);
                self.depth = self.depth.saturating_sub(1);
            } else if self.name(self.at) == Some("use") {
                self.at += 1;
                self.tree(&[]);
                continue;
            } else if let (Some("mod"), Some(name), true) =
                (self.name(self.at), self.name(self.at + 1), self.is(self.at + 2, '{'))
            {
                self.inner.push((name.to_owned(), self.depth + 1));
                self.at += 1;
            } else if self.name(self.at).is_some() {
                self.path();
                continue;
            }
            self.at += 1;
        }
    }

    /// A path in code; nothing when it is a single name or a method.
    fn path(&mut self) {
        let line = self.tokens[self.at].line;
        let method = self.at > 0 && self.is(self.at - 1, '.');
        let mut path = Vec::new();
        while let Some(name) = self.name(self.at) {
            path.push(name.to_owned());
            self.at += 1;
            if self.kind(self.at) != Some(&Kind::Separator) {
                break;
            }
            self.at += 1;
        }
        if path.len() > 1 && !method {
            let reference = self.resolve(line, &path);
            self.found.push(reference);
        }
    }

    /// A `use` tree below `prefix`.
    fn tree(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        while self.at < self.tokens.len() {
            let line = self.tokens[self.at].line;
            match self.kind(self.at) {
                Some(Kind::Separator) => self.at += 1,
                Some(Kind::Name(name)) if name != "as" => {
                    path.push(name.clone());
                    self.at += 1;
                }
                Some(Kind::Sign('{')) => {
                    self.at += 1;
                    while self.at < self.tokens.len() && !self.is(self.at, '}') {
                        self.tree(&path);
                        if self.is(self.at, ',') {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                Some(Kind::Sign('*')) => {
                    path.push("*".to_owned());
                    self.at += 1;
                }
                _ => {
                    if path.len() > 1 && path.last().is_some_and(|name| name == "self") {
                        path.pop();
                    }
                    let mut bound = path.last().cloned();
                    if self.name(self.at) == Some("as") {
                        bound = self.name(self.at + 1).map(str::to_owned);
                        self.at += 2;
                    }
                    let reference = self.resolve(line, &path);
                    if let Some(name) = bound {
                        self.imports.insert(name, reference.clone());
                    }
                    self.found.push(reference);
                    return;
                }
            }
        }
    }

    /// Makes a path absolute.
    fn resolve(&self, line: usize, path: &[String]) -> Reference {
        let here = || self.inner.iter().map(|(name, _)| name.clone());
        let first = path.first().map_or("", String::as_str);
        let supers = path.iter().take_while(|name| *name == "super").count();
        let (ours, path): (bool, Vec<String>) = match first {
            "crate" | "docrelay" => (true, path[1..].to_vec()),
            "self" => (true, here().chain(path[1..].iter().cloned()).collect()),
            "super" => {
                let kept = self.inner.len().saturating_sub(supers);
                (true, here().take(kept).chain(path[supers..].iter().cloned()).collect())
            }
            _ if self.children.iter().any(|child| child == first) => {
                (true, here().chain(path.iter().cloned()).collect())
            }
            _ => (false, path.to_vec()),
        };
        Reference { line, ours, path }
    }
}
