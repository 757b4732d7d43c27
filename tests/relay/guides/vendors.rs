//! The commands of each vendor's guide, from the hook to the first event, in a shell.

use std::path::Path;
use std::process::Command;

use super::block;
use crate::harness::TestRelay;
use crate::harness::command::{remove_docrelay_variables, run};

#[test]
fn guide_vendor_commands_produce_stream_events() {
    let relay = TestRelay::start();
    relay.add_client("acme");
    let mut follower = relay.follow(&relay.token("acme"));
    let program = Path::new(env!("CARGO_BIN_EXE_docrelay")).parent().expect("a directory");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    for (heading, vendor, id) in [
        ("PPJ", "ppj", "8v9iSKnj"),
        ("Baidu DOC", "baidu", "doc-gkideq542yb44diy"),
        ("zOffice", "zoffice", "t-1"),
        ("Gini", "gini", "626626a0-749f-11e2-bfd6-000000000001"),
        ("Standard Webhooks", "standard", "job-1"),
        ("Anything else that posts JSON", "generic", "job-1"),
    ] {
        let mut shell = Command::new("sh");
        remove_docrelay_variables(&mut shell);
        // `docrelay serve` creates `./data` in this directory.
        shell
            .current_dir(relay.data_dir().parent().expect("a directory"))
            .env("PATH", &path)
            .env("no_proxy", "127.0.0.1");
        let output = run(shell.args(["-euc", &block(heading, "sh")])).succeeded();
        assert!(output.stdout.contains("/in/"), "{heading}: {output:?}");
        let event = follower.next_event().json();
        assert_eq!(
            (&event["vendor"], &event["vendorId"], &event["status"]),
            (&vendor.into(), &id.into(), &"COMPLETED".into())
        );
    }
}
