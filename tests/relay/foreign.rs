//! Programs of other authors against the relay: clients of streams, senders and verifiers of webhooks, OAuth and JWT
//! libraries, issuers of tokens, a generator of clients, the linter of Prometheus. Each is used as its documentation
//! tells a careful user.

mod generated;
mod issuers;
mod promtool;
mod rust_stream;
mod streams;
mod tokens;
mod webhooks;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::node::NodePackages;
use crate::harness::tool::{find_tool, without_proxy};

/// A Python that has the packages; set by `make test`.
const PYTHON: &str = "DOCRELAY_PYTHON";

/// The path of a program of this directory.
fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/relay/foreign").join(name)
}

/// The source of a program of this directory.
#[track_caller]
fn source(name: &str) -> String {
    std::fs::read_to_string(program(name)).expect("a program")
}

/// Python and Node.js with their packages; `None` if one is missing, which is reported as a skipped test.
fn find_runtimes() -> Option<(String, NodePackages)> {
    find_tool(PYTHON).zip(NodePackages::find_for_current_node())
}

/// Python with a program of this directory.
fn python_program(python: &str, name: &str) -> Command {
    let mut command = Command::new(python);
    without_proxy(command.arg(program(name)));
    command
}
