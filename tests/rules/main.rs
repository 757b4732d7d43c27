//! Keeps `rules.toml` true: all rules are there, each has its tests with a comment above them, and each mutation still
//! fits the code. `mutate.py` shows that the mutations are found.

#![allow(clippy::expect_used, reason = "a table that cannot be read is a failed test")]

use std::fs;
use std::path::Path;

use serde::Deserialize;

const RULES: usize = 36;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    rule: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    number: usize,
    /// The comment above each test.
    title: String,
    text: String,
    test: Vec<TestName>,
    mutation: Vec<Mutation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestName {
    file: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutation {
    file: String,
    find: String,
    replace: String,
    suite: String,
    test: String,
}

#[track_caller]
fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

fn rules() -> Vec<Rule> {
    toml::from_str::<RuleTable>(&read("tests/rules/rules.toml")).expect("a table of rules").rule
}

/// The comments and attributes directly above a function; `None` unless the file defines it once.
fn lines_above<'a>(source: &'a str, function: &str) -> Option<Vec<&'a str>> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let defines = |line: &str| line.contains(&format!("fn {function}(")) && !line.starts_with("//");
    let at = lines.iter().position(|line| defines(line))?;
    if lines[at + 1..].iter().any(|line| defines(line)) {
        return None;
    }
    let above = lines[..at].iter().rev().take_while(|line| line.starts_with("//") || line.starts_with("#["));
    Some(above.copied().collect())
}

/// Whether the test is part of this suite, by the place of its file.
fn is_in_suite(test: &TestName, suite: &str) -> bool {
    let folder = if suite == "lib" { "src/".to_owned() } else { format!("tests/{suite}/") };
    test.file.starts_with(&folder)
}

/// The functions that compare what a request holds with a secret or a signature.
const COMPARISONS: [(&str, &str); 3] = [
    ("src/vendor/shared_secret.rs", "tags_equal"),
    ("src/vendor/shared_secret.rs", "equals_secret"),
    ("src/auth/secret.rs", "secrets_equal"),
];

/// No test can tell by the result how long a comparison takes, so the source is read.
// Rule 15: signatures are compared whole.
#[test]
fn comparisons_with_secrets_take_constant_time() {
    for (file, function) in COMPARISONS {
        let source = read(file);
        let (_, rest) = source.split_once(&format!("fn {function}(")).expect(function);
        let body = rest.split("\n}\n").next().expect("a body");
        let constant = body.contains("verify_slices_are_equal(") && !body.contains("==") && !body.contains("!=");
        assert!(constant, "{file}: {function} must compare with verify_slices_are_equal only");
    }
}

#[test]
fn every_rule_is_numbered_and_has_tests_and_mutations() {
    let rules = rules();
    assert_eq!(rules.iter().map(|rule| rule.number).collect::<Vec<_>>(), (1..=RULES).collect::<Vec<_>>());
    for rule in rules {
        assert!(!rule.test.is_empty() && !rule.mutation.is_empty(), "rule {}", rule.number);
        assert!(rule.text.ends_with('.') && !rule.title.ends_with('.'), "rule {}", rule.number);
    }
}

#[test]
fn tests_of_rules_exist_below_a_comment_with_the_rule() {
    let mut missing = Vec::new();
    for rule in rules() {
        let comment = format!("// Rule {}: {}.", rule.number, rule.title);
        for test in &rule.test {
            match lines_above(&read(&test.file), &test.name) {
                None => missing.push(format!("{} does not define {} once", test.file, test.name)),
                Some(above) if above.contains(&comment.as_str()) => {}
                Some(_) => missing.push(format!("{}: {} needs the comment {comment}", test.file, test.name)),
            }
        }
    }
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

#[test]
fn mutations_of_rules_fit_the_code_and_name_their_test() {
    let mut wrong = Vec::new();
    for rule in rules() {
        for mutation in &rule.mutation {
            let found = read(&mutation.file).matches(&mutation.find).count();
            if found != 1 {
                wrong.push(format!("rule {}: {} holds {:?} {found} times", rule.number, mutation.file, mutation.find));
            }
            if mutation.find == mutation.replace {
                wrong.push(format!("rule {}: {:?} changes nothing", rule.number, mutation.find));
            }
            let test = rule.test.iter().find(|test| test.name == mutation.test);
            if !test.is_some_and(|test| is_in_suite(test, &mutation.suite)) {
                wrong.push(format!(
                    "rule {}: {} is no test of the suite {}",
                    rule.number, mutation.test, mutation.suite
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
