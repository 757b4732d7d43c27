//! Renders the documents as HTML pages, so that the program neither parses Markdown at its start nor links a parser.

#![allow(clippy::print_stdout, reason = "Cargo reads the directives of a build script from its output")]

mod document;
mod openapi;

use std::error::Error;
use std::path::Path;

use document::DOCUMENTS;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build");
    let output = std::env::var("OUT_DIR")?;
    for document in DOCUMENTS {
        println!("cargo::rerun-if-changed={}", document.source);
        let source = std::fs::read_to_string(document.source)?;
        std::fs::write(Path::new(&output).join(document.output), document.render(&source)?)?;
    }
    Ok(())
}
