//! Commands and the data directory: only `serve` creates one, and other users must not be able to replace its files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::TestRelay;
use crate::harness::command::{CommandOutput, docrelay, run};

fn command(data: &Path, arguments: &[&str]) -> CommandOutput {
    run(docrelay(arguments, &[]).arg("--data").arg(data))
}

#[test]
fn command_without_data_directory_creates_nothing() {
    let home = tempfile::tempdir().expect("a directory");
    let empty = home.path().join("empty");
    fs::create_dir(&empty).expect("made");
    for data in [home.path().join("data"), empty.clone()] {
        for arguments in [
            &["client", "add", "acme"][..],
            &["token", "--client", "acme"],
            &["hook", "add", "--client", "acme", "--vendor", "ppj"],
            &["notification", "list", "--client", "acme"],
            &["delivery", "list", "--client", "acme"],
        ] {
            let output = command(&data, arguments);
            assert_eq!((output.status.code(), output.stdout.as_str()), (Some(1), ""), "{output:?}");
            let expected = format!("docrelay: there is no relay's data in {}", data.display());
            assert!(output.stderr.starts_with(&expected) && output.stderr.contains("--data"), "{output:?}");
            assert!(output.stderr.contains("docrelay serve") && output.stderr.lines().count() == 1, "{output:?}");
        }
    }
    assert!(!home.path().join("data").exists());
    assert_eq!(fs::read_dir(&empty).expect("listed").count(), 0);
}

#[test]
fn command_waits_for_a_relay_that_is_starting() {
    let mut relay = TestRelay::start();
    relay.stop();
    // A new relay in a directory that does not exist yet, and a command at the same time, as in `docrelay serve &
    // docrelay …`.
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let free = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let mut serve = docrelay(&[&["serve"], &free[..]].concat(), &[]);
    let mut serve = serve.arg("--data").arg(&data).stdout(std::process::Stdio::null()).spawn().expect("a relay");
    let added = command(&data, &["client", "add", "acme"]);
    serve.kill().expect("a running relay");
    serve.wait().expect("its exit");
    added.succeeded();
}

#[test]
fn world_writable_data_directory_is_refused() {
    let mut relay = TestRelay::start();
    relay.add_client("acme");
    relay.stop();
    let data = relay.data_dir();
    for (mode, code) in [(0o777, 1), (0o702, 1), (0o1777, 1), (0o755, 0), (0o700, 0)] {
        fs::set_permissions(&data, fs::Permissions::from_mode(mode)).expect("changed");
        let output = command(&data, &["token", "--client", "acme"]);
        assert_eq!(output.status.code(), Some(code), "{mode:o} {output:?}");
        if code != 0 {
            let expected =
                format!("docrelay: other users can replace files in {0}: run chmod 700 {0}\n", data.display());
            assert_eq!(output.stderr, expected);
            let serve = command(&data, &["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
            assert_eq!((serve.status.code(), serve.stderr.contains("chmod 700")), (Some(1), true), "{serve:?}");
        }
    }
    relay.restart();
}
