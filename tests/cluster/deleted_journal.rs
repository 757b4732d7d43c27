//! The journal is deleted, or re-created, under running nodes: they accept nothing any more and stop, and no node mixes
//! the histories of two journals.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::api;
use crate::harness::attempt::try_send;
use crate::harness::client::TestClient;
use crate::harness::cluster::{Check, check, document, refused_start, webhook};
use crate::harness::request::Request;
use crate::harness::{TIMEOUT, TestCluster, TestRelay, delay};

/// The last words of a node that stops.
const REASON: &str = "docrelay: the cluster's journal was deleted or re-created";

/// A node may need this long until it has stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

#[track_caller]
fn delete_journal(cluster: &TestCluster) {
    let deleted = api::request(&cluster.brokers.servers[0], "STREAM.DELETE.docrelay_journal", TIMEOUT);
    assert_eq!(deleted.expect("a response")["success"], true);
}

/// Posts to a node until it has stopped: it must accept nothing. It is ready for no longer than it takes to notice.
#[track_caller]
pub(crate) fn assert_stops_without_accepting(node: &mut TestRelay, hook: &str) {
    let (began, mut number) = (Instant::now(), 0);
    let status = loop {
        if let Some(status) = node.try_wait() {
            break status;
        }
        number += 1;
        let response = try_send(node.listen, &webhook(hook, &document(9, number)), STOP_TIMEOUT);
        assert!(response.as_ref().is_none_or(|response| response.status == 503), "{response:?}");
        let ready = try_send(node.admin_listen, &Request::get("/readyz"), STOP_TIMEOUT);
        let is_noticed = began.elapsed() > Duration::from_secs(3);
        assert!(!is_noticed || ready.as_ref().is_none_or(|ready| ready.status == 503), "{ready:?}");
        assert!(began.elapsed() < STOP_TIMEOUT, "the node does not stop: {}", node.output());
        delay(Duration::from_millis(20));
    };
    assert!(!status.success(), "{status}");
    let output = node.output();
    let reasons = output.lines().filter(|line| line.starts_with(REASON)).count();
    assert_eq!(reasons, 1, "one sentence for the operator: {output}");
}

/// Two nodes with some events. Returns the path of a hook and the state of their databases.
#[track_caller]
fn cluster_with_events() -> Option<(TestCluster, String)> {
    let mut cluster = TestCluster::brokers_only()?;
    cluster.add_node();
    cluster.add_node();
    let hook = {
        let client = TestClient::new(&cluster.nodes[0], "acme");
        let hook = client.add_unverified_hook("gini").path;
        for number in 0..5 {
            client.post_gini(&hook, &document(0, number), "COMPLETED");
        }
        hook
    };
    cluster.wait_until_caught_up();
    Some((cluster, hook))
}

#[track_caller]
fn equal_checks(cluster: &TestCluster) -> Check {
    let checks: Vec<Check> = cluster.nodes.iter().map(check).collect();
    assert!(checks.iter().all(|check| *check == checks[0]), "{checks:?}");
    checks[0].clone()
}

#[test]
fn nodes_stop_when_their_journal_is_deleted() {
    let Some((mut cluster, hook)) = cluster_with_events() else { return };
    delete_journal(&cluster);
    for node in &mut cluster.nodes {
        assert_stops_without_accepting(node, &hook);
    }
    equal_checks(&cluster);
    let refused = refused_start(&mut cluster.nodes[0]);
    assert!(refused.contains("no journal any more"), "{refused}");
}

#[test]
fn nodes_of_recreated_journal_stop_and_mix_no_histories() {
    let Some((mut cluster, hook)) = cluster_with_events() else { return };
    // They notice nothing until another node has founded a journal of the same name, which has entries of its own.
    cluster.nodes.iter().for_each(|node| node.signal(Signal::STOP));
    delete_journal(&cluster);
    let mut other = cluster.new_node();
    other.restart();
    let client = TestClient::new(&other, "acme");
    let token = client.token.clone();
    let other_hook = client.add_unverified_hook("gini").path;
    let ids: Vec<String> =
        (0..9).map(|number| client.post_gini(&other_hook, &document(1, number), "COMPLETED")).collect();
    cluster.nodes.iter().for_each(|node| node.signal(Signal::CONT));
    for node in &mut cluster.nodes {
        assert_stops_without_accepting(node, &hook);
    }
    let before = equal_checks(&cluster);

    let streamed = other.follow_from(&token, "earliest").event_ids(9);
    assert_eq!(streamed, ids);
    assert_eq!(other.send(&webhook(&hook, &document(0, 0))).status, 404, "a hook of the other journal");
    let status = other.admin("GET", "/admin/cluster").json();
    assert_eq!(status["members"].as_array().map(Vec::len), Some(1), "{status}");
    for node in &mut cluster.nodes {
        let refused = refused_start(node);
        assert!(refused.contains("does not belong") || refused.contains("belongs to"), "{refused}");
    }
    assert_eq!(equal_checks(&cluster), before);
    assert!(other.stop().success());
    assert_ne!(check(&other).epoch, before.epoch);
}
