//! What an administrator of the brokers can read of the data, and what happens if one changes it.

use crate::harness::bucket::Bucket;
use crate::harness::client::TestClient;
use crate::harness::cluster::{document, refused_start};
use crate::harness::request::Request;
use crate::harness::{TestCluster, wait_until};

const TITLE: &str = "confidential agreement with Example Ltd";

/// The content of a snapshot that is only compressed, or was stored as it is.
fn readable(stored: &[u8]) -> Vec<u8> {
    zstd::stream::decode_all(stored).unwrap_or_else(|_| stored.to_vec())
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn snapshot_on_the_broker_reveals_nothing_and_is_refused_when_changed() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    // Its data becomes the first snapshot.
    let mut relay = cluster.new_node();
    relay.set_config("cluster", "none");
    relay.restart();
    let hook = TestClient::new(&relay, "acme").add_unverified_hook("gini").path;
    let body = format!(r#"{{"documentId":"{}","status":"COMPLETED","title":"{TITLE}"}}"#, document(0, 0));
    assert_eq!(relay.send(&Request::post(&hook).json(&body)).status, 200);
    relay.stop();
    assert!(contains(&std::fs::read(relay.data_dir().join("docrelay.db")).unwrap(), TITLE));
    cluster.configure(&mut relay);
    relay.restart();
    cluster.nodes.push(relay);

    let bucket = Bucket::find(&cluster.brokers, "OBJ");
    // The broker that answers may be a follower, which learns a little later of the snapshot.
    let mut objects = Vec::new();
    wait_until("the broker lists the snapshot", || {
        objects = bucket.objects();
        !objects.is_empty()
    });
    let [snapshot] = &objects[..] else { panic!("{} snapshots", objects.len()) };
    for text in [TITLE, "SQLite format 3"] {
        assert!(!contains(&readable(&snapshot.bytes), text), "the broker can read {text:?}");
    }
    let mut changed = snapshot.bytes.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    bucket.replace(snapshot, &changed);
    let mut node = cluster.new_node();
    let refused = refused_start(&mut node);
    assert!(refused.contains("snapshot") && refused.contains("changed, or sealed with another key"), "{refused}");
    assert!(!node.data_dir().join("docrelay.db").exists() && !node.data_dir().join("restored.db").exists());
    bucket.replace(snapshot, &snapshot.bytes);
    cluster.add_node();
    cluster.assert_equal_digests();
}
