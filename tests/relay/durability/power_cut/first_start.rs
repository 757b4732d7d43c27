//! Power cuts during and after the first start: the keys, the admin token and the data directory itself survive as soon
//! as anything was issued with them, and an interrupted first start does not prevent the next one.

use std::time::Instant;

use super::disk::Disk;
use super::{Machine, seed};
use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::request::Request;

/// A relay without files.
#[track_caller]
fn empty(seed: u64) -> (TestRelay, Disk) {
    let mut relay = TestRelay::not_started(&[]);
    let disk = Disk::new(relay.root(), seed);
    relay.set_environment(disk.environment());
    (relay, disk)
}

#[test]
fn interrupted_first_start_can_be_repeated() {
    let (started, seed) = (Instant::now(), seed());
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut cut, mut cuts) = (1, 0);
    loop {
        let (mut relay, mut disk) = empty(rng.u64(..));
        disk.kill_after_changes(cut);
        if relay.try_start().is_ok() {
            break;
        }
        disk.cut_power();
        relay.try_start().unwrap_or_else(|error| panic!("cut {cut}: {error}: {}", relay.output()));
        TestClient::new(&relay, "acme");
        (cut, cuts) = (cut + rng.usize(1..5), cuts + 1);
    }
    eprintln!("{cuts} cuts of the first {cut} changes in {:.1?}", started.elapsed());
    assert!(cuts >= 10);
}

#[test]
fn power_cut_after_killed_first_start_keeps_issued_tokens() {
    let (started, seed) = (Instant::now(), seed());
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut change = 1;
    loop {
        let (mut relay, mut disk) = empty(rng.u64(..));
        disk.kill_after_changes(change);
        if relay.try_start().is_ok() {
            break;
        }
        // The files of the killed process are still in the cache: the second start finds them.
        disk.kill_after_changes(0);
        relay.restart();
        let token = TestClient::new(&relay, "acme").token;
        relay.kill();
        disk.cut_power();
        relay.try_start().unwrap_or_else(|error| panic!("change {change}: {error}: {}", relay.output()));
        let list = relay.send(&Request::get("/documents").bearer(&token));
        assert_eq!(list.status, 200, "change {change}: a token of before the cut: {list:?}");
        // Directories and keys come first: each of these changes is tried.
        change += if change < 25 { 1 } else { rng.usize(4..12) };
    }
    eprintln!("killed at the first {change} changes in {:.1?}", started.elapsed());
}

#[test]
fn power_cut_after_first_start_keeps_keys_and_admin_token() {
    let seed = seed();
    for round in 0..5 {
        let mut machine = Machine::with_seed(&[], seed.wrapping_add(round));
        let admin_token = machine.relay.admin_token();
        machine.relay.kill_unless_exited();
        machine.cut();
        machine.relay.try_start().unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(machine.relay.data_dir().join("admin.token").exists());
        assert_eq!(machine.relay.admin_token(), admin_token);
        let list = machine.relay.send(&Request::get("/documents").bearer(&machine.token));
        assert_eq!(list.status, 200, "round {round}: a token of before the cut: {list:?}");
        machine.check().expect("an intact database");
    }
}

#[test]
fn power_cut_after_commands_keeps_issued_secrets() {
    let seed = seed();
    for round in 0..5 {
        let (mut relay, mut disk) = empty(seed.wrapping_add(round));
        // Only `serve` creates a data directory; the commands then work on its files.
        relay.restart();
        relay.kill();
        let client = relay.add_client("acme");
        let token = relay.token("acme");
        let hook = relay.add_hook("acme", "gini", &[]);
        disk.assert_recorded();
        disk.cut_power();
        relay.try_start().unwrap_or_else(|error| panic!("round {round}: {error}"));
        let list = relay.send(&Request::get("/documents").bearer(&token));
        assert_eq!(list.status, 200, "round {round}: a token of before the cut: {list:?}");
        let form = format!("grant_type=client_credentials&client_id={}&client_secret={}", client.id, client.secret);
        assert_eq!(relay.send(&Request::post("/oauth/token").form(&form)).status, 200);
        let body = r#"{"documentId":"job","status":"COMPLETED"}"#;
        assert_eq!(relay.send(&Request::post(&hook.path).json(body)).status, 200);
    }
}
