//! The modules of the crate: every file below `src`, parsed, with its module path.

use crate::SourceFile;
use crate::imports::{self, Source};

/// One file below `src`.
pub(crate) struct Module {
    /// The file, relative to the repository.
    pub(crate) file: String,
    /// `src/store/sqlite.rs` is `["store", "sqlite"]`; the two roots go by their file names.
    pub(crate) path: Vec<String>,
    pub(crate) source: Source,
    /// Whether the file belongs to the tests: it, or a module above it, is declared with `#[cfg(test)]`.
    pub(crate) is_test: bool,
}

/// Parses the files below `src` and ignores all others.
///
/// # Errors
///
/// File, line and message of what is not Rust.
pub(crate) fn parse(files: &[SourceFile]) -> Result<Vec<Module>, String> {
    let mut modules = Vec::new();
    for file in files {
        let Some(inner) = file.path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")) else { continue };
        let path: Vec<String> = inner.split('/').map(str::to_owned).collect();
        let source = imports::read(&path, &file.text).map_err(|error| format!("{}:{error}", file.path))?;
        modules.push(Module { file: file.path.clone(), path, source, is_test: false });
    }
    let of_tests: Vec<Vec<String>> = modules
        .iter()
        .flat_map(|module| {
            module.source.test_modules.iter().map(|name| [&module.path[..], std::slice::from_ref(name)].concat())
        })
        .collect();
    for module in &mut modules {
        module.is_test = of_tests.iter().any(|test| module.path.starts_with(test));
    }
    Ok(modules)
}
