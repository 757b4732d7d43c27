//! Libraries for `LD_PRELOAD`, with which a test changes what a process sees of its system. Built by the system's C
//! compiler, which also builds SQLite for the relay.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A library, which is removed when it is dropped.
pub(crate) struct PreloadLibrary {
    _directory: TempDir,
    pub(crate) path: PathBuf,
}

impl PreloadLibrary {
    /// Builds a C file of the repository.
    #[track_caller]
    pub(crate) fn build(source: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("preload-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let directory = directory.expect("a directory for the library");
        let path = directory.path().join("preload.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let output = Command::new(compiler)
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .args([&path, &source])
            .output()
            .expect("a C compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { _directory: directory, path }
    }
}
