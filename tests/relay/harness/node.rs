//! Programs for Node.js that use the packages of `tests/setup/node`. It knows packages and bundles, not the relay.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::command::run;
use super::tool::{find_tool, skip, without_proxy};

/// A directory of Node.js packages; set by `make test`.
const PACKAGES: &str = "DOCRELAY_NODE_MODULES";

/// The oldest Node.js that runs all packages.
const MIN_VERSION: u32 = 20;

/// The installed packages.
#[derive(Clone)]
pub(crate) struct NodePackages {
    directory: PathBuf,
}

/// A module in a directory of its own, from which imports find the packages. Dropping it removes the directory.
pub(crate) struct NodeProgram {
    path: PathBuf,
    _directory: TempDir,
}

impl NodePackages {
    /// `None` without the packages, as [`find_tool`] reports.
    pub(crate) fn find() -> Option<Self> {
        find_tool(PACKAGES).map(|directory| Self { directory: directory.into() })
    }

    /// Like [`NodePackages::find`], but also `None` with a Node.js that is older than [`MIN_VERSION`].
    pub(crate) fn find_for_current_node() -> Option<Self> {
        let packages = Self::find()?;
        let version = run(Command::new("node").arg("--version")).succeeded().stdout;
        let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
        if major.is_none_or(|major: u32| major < MIN_VERSION) {
            skip(&format!("Node.js {} is older than {MIN_VERSION}", version.trim()));
            return None;
        }
        Some(packages)
    }

    /// Writes a module.
    #[track_caller]
    pub(crate) fn program(&self, source: &str) -> NodeProgram {
        // Node.js looks for packages in the directory of the module and above.
        let above = self.directory.parent().expect("a directory");
        let directory = tempfile::Builder::new().prefix("program-").tempdir_in(above).expect("a directory");
        let path = directory.path().join("program.mjs");
        std::fs::write(&path, source).expect("a program");
        NodeProgram { path, _directory: directory }
    }

    /// A module and its packages as one module for browsers.
    #[track_caller]
    pub(crate) fn bundle(&self, source: &str) -> String {
        let program = self.program(source);
        let mut esbuild = Command::new(self.directory.join(".bin/esbuild"));
        run(esbuild.arg(&program.path).args(["--bundle", "--format=esm"])).succeeded().stdout
    }
}

impl NodeProgram {
    /// Node.js with the module, which connects to the relay directly.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("node");
        without_proxy(command.arg(&self.path));
        command
    }
}
