//! `docrelay check --data`: the database of a stopped relay, sound, in use, and damaged.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::harness::TestRelay;
use crate::harness::command::{CommandOutput, docrelay, run};

fn check(data: &Path) -> CommandOutput {
    run(docrelay(&["check"], &[]).arg("--data").arg(data))
}

/// The words of the last line.
fn last_line(output: &CommandOutput) -> Vec<String> {
    output.stdout.lines().last().unwrap_or_default().split(' ').map(str::to_owned).collect()
}

#[track_caller]
fn assert_fails(output: &CommandOutput, reason: &str) {
    assert_eq!((output.status.code(), output.stdout.as_str()), (Some(1), ""), "{output:?}");
    assert!(output.stderr.starts_with("docrelay: ") && output.stderr.contains(reason), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
}

#[test]
fn check_prints_digest_that_changes_with_contents_only() {
    let mut relay = TestRelay::start();
    relay.add_client("acme");
    relay.stop();
    let first = last_line(&check(&relay.data_dir()).succeeded());
    let [epoch, position, digest] = [1, 3, 5].map(|index| first[index].as_str());
    assert_eq!([0, 2, 4].map(|index| first[index].as_str()), ["epoch", "position", "digest"]);
    assert!(epoch.bytes().all(|byte| byte.is_ascii_hexdigit()) && digest.len() == 64, "{first:?}");
    assert_eq!(position, "0");
    relay.restart();
    relay.stop();
    assert_eq!(last_line(&check(&relay.data_dir())), first, "a restart changes nothing");
    relay.restart();
    relay.add_client("other");
    relay.stop();
    let second = last_line(&check(&relay.data_dir()));
    assert_eq!((&second[1], second.len()), (&first[1], 6));
    assert_ne!(second[5], first[5]);
    relay.restart();
}

#[test]
fn database_of_running_relay_is_not_checked() {
    let relay = TestRelay::start();
    assert_fails(&check(&relay.data_dir()), "is in use by another docrelay: stop that one");
}

#[test]
fn damaged_database_and_missing_key_are_reported() {
    let mut relay = TestRelay::start();
    relay.add_client("acme");
    relay.stop();
    let data = relay.data_dir();
    let (key, hidden) = (data.join("seal.key"), data.join("hidden"));
    fs::rename(&key, &hidden).expect("renamed");
    assert_fails(&check(&data), "restore the key file");
    assert!(!key.exists(), "a check makes no key");
    fs::rename(&hidden, &key).expect("renamed");
    check(&data).succeeded();
    let path = data.join("docrelay.db");
    let whole = fs::read(&path).expect("a file");
    let file = fs::OpenOptions::new().write(true).open(&path).expect("a file");
    // Every page but the first, which holds the schema; then the header, too.
    file.write_all_at(&vec![0xa5; whole.len() - 8_192], 8_192).expect("written");
    assert_fails(&check(&data), "is damaged");
    file.write_all_at(&[0xa5; 100], 0).expect("written");
    assert_fails(&check(&data), "is damaged");
    fs::write(&path, &whole).expect("restored");
    check(&data).succeeded();
    relay.restart();
}
