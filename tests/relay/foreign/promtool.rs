//! The linter of Prometheus: it accepts the relay's metrics in the text format.

use std::process::Command;

use crate::harness::command::run;
use crate::harness::fixture::Fixture;
use crate::harness::request::Request;
use crate::harness::tool::find_tool;

/// The path of the program; set by `make test`.
const PROMTOOL: &str = "DOCRELAY_PROMTOOL";

#[test]
fn promtool_accepts_metrics_after_traffic() {
    let Some(promtool) = find_tool(PROMTOOL) else { return };
    let fixture = Fixture::start();
    let mut follower = fixture.follow();
    fixture.complete(1);
    follower.next_event();
    let page = fixture.relay.send_admin(&Request::get("/metrics"));
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let file = directory.path().join("metrics");
    std::fs::write(&file, page.text()).expect("written");
    let check = "exec \"$0\" check metrics <\"$1\"";
    let output = run(Command::new("sh").args(["-c", check, &promtool]).arg(&file));
    assert!(output.status.success(), "{}{}", output.stdout, output.stderr);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""), "promtool finds nothing to improve");
}
