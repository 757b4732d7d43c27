//! Older data of the brokers is restored while nodes run: no node mixes the history that is lost with the one that
//! follows.

use rustix::process::Signal;

use crate::deleted_journal::assert_stops_without_accepting;
use crate::harness::client::TestClient;
use crate::harness::cluster::{document, webhook};
use crate::harness::{TestCluster, TestRelay, wait_until};

const KEPT: usize = 3;
const LOST: usize = 10;

/// The series of the documents whose events come after the restoration.
const NEW_SERIES: usize = 7;

/// The documents of the events in a stopped node's database.
fn documents_of_events(node: &TestRelay) -> Vec<String> {
    let database = rusqlite::Connection::open(node.data_dir().join("docrelay.db")).unwrap();
    let sql = "SELECT vendor_id FROM event JOIN document ON uuid = event.document AND document.client = event.client ORDER BY seq";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn nodes_ahead_of_restored_brokers_stop_and_mix_no_histories() {
    let Some(mut cluster) = TestCluster::start() else { return };
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let hook = client.add_unverified_hook("gini").path;
    let post = |node: &TestRelay, document: &str| {
        wait_until("the node accepts the webhook", || node.send(&webhook(&hook, document)).status == 200);
    };
    let old: Vec<String> = (0..KEPT + LOST).map(|number| document(0, number)).collect();
    old[..KEPT].iter().for_each(|document| post(&cluster.nodes[0], document));
    cluster.wait_until_caught_up();
    // This node lacks what is lost later.
    assert!(cluster.nodes[2].stop().success());
    let mut behind = cluster.nodes.remove(2);
    cluster.brokers.copy_stores(|store| (store.to_owned(), store.with_extension("earlier")));
    old[KEPT..].iter().for_each(|document| post(&cluster.nodes[0], document));
    cluster.wait_until_caught_up();
    cluster.nodes[1].signal(Signal::STOP);
    cluster.brokers.copy_stores(|store| (store.with_extension("earlier"), store.to_owned()));

    // Its first entry is stored where it has applied another one.
    assert_stops_without_accepting(&mut cluster.nodes[0], &hook);
    let output = cluster.nodes[0].output();
    assert!(output.contains("the journal has lost entries that this node has applied"), "{output}");

    behind.restart();
    let new: Vec<String> = (0..2 * LOST).map(|number| document(NEW_SERIES, number)).collect();
    new.iter().for_each(|document| post(&behind, document));
    // When this node asks for the next entries, the journal ends after its position.
    cluster.nodes[1].signal(Signal::CONT);
    assert_stops_without_accepting(&mut cluster.nodes[1], &hook);
    let output = cluster.nodes[1].output();
    assert!(output.contains("holds others in their place"), "{output}");

    for node in &mut cluster.nodes {
        assert_eq!(documents_of_events(node), old, "nothing of the new history");
        assert!(node.try_start().is_err(), "the node must refuse to start");
        let output = node.output();
        let refused = output.lines().last().unwrap_or_default();
        assert!(refused.contains("is not the one that the database of this node has applied"), "{refused}");
    }
    assert!(behind.stop().success());
    let mut documents = documents_of_events(&behind);
    // The refused webhooks of the first node: some are in the journal.
    documents.retain(|id| old.contains(id) || new.contains(id));
    assert_eq!(documents, [&old[..KEPT], &new].concat());
}
