//! The guides: their code blocks are run with only addresses, certificates and the token replaced.

mod consumers;
mod proxies;
mod systemd;
mod vendors;

use crate::harness::guide::{code_block, replace_all};

const GUIDES: &str = include_str!("../../docs/GUIDES.md");

/// The first code block of a language below a heading.
#[track_caller]
fn block(heading: &str, language: &str) -> String {
    code_block(GUIDES, heading, language)
}
