//! A node with the access to its brokers that a deployment has: TLS with an authority of its own, and a user of an
//! operator.

use std::path::Path;

use serde_json::json;

use crate::harness::authority::authority;
use crate::harness::brokers::Broker;
use crate::harness::client::TestClient;
use crate::harness::cluster::{document, refused_start, webhook, write_cluster_key};
use crate::harness::nats_identity::{Identity, IdentityKind, credentials};
use crate::harness::request::Request;
use crate::harness::response::stored_event_id;
use crate::harness::{TestRelay, tool, wait_until};

/// Limits of an account. JetStream is for accounts with limits of its storage only.
const LIMITS: [&str; 11] = [
    "subs",
    "data",
    "payload",
    "imports",
    "exports",
    "conn",
    "leaf",
    "mem_storage",
    "disk_storage",
    "streams",
    "consumer",
];

/// An account of NATS.
struct Account(Identity);

impl Account {
    fn new() -> Self {
        Self(Identity::new(IdentityKind::Account))
    }

    /// Writes the `.creds` file of a new user. Returns the seed.
    fn add_user(&self, file: &Path) -> String {
        let user = Identity::new(IdentityKind::User);
        let jwt = self.0.sign(&user, json!({"subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}}));
        std::fs::write(file, credentials(&jwt, &user)).unwrap();
        user.seed
    }
}

/// An operator with the account of a cluster, and the settings of a server that trusts it.
struct Operator {
    account: Account,
    settings: String,
}

impl Operator {
    fn new() -> Self {
        let (operator, system, account) = (Identity::new(IdentityKind::Operator), Account::new(), Account::new());
        let mut limits = json!({"wildcards": true});
        LIMITS.iter().for_each(|limit| limits[*limit] = json!(-1));
        let accounts = [(&system, json!({})), (&account, json!({"limits": limits}))];
        let preload =
            accounts.map(|(Account(key), claims)| format!("{}: {}", key.public(), operator.sign(key, claims)));
        let settings = format!(
            "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {} }}",
            operator.sign(&operator, json!({})),
            system.0.public(),
            preload.join(", "),
        );
        Self { account, settings }
    }
}

/// Asserts that neither the output of a node nor what it publishes of itself contains a seed.
#[track_caller]
fn assert_secret(node: &TestRelay, seeds: &[String]) {
    let output = node.output();
    let status = node.cli(&["cluster", "status"]).succeeded();
    let metrics = node.send_admin(&Request::get("/metrics"));
    for text in [output.as_str(), &status.stdout, &status.stderr, metrics.text()] {
        assert!(seeds.iter().all(|seed| !text.contains(seed)), "{text}");
    }
    assert!(output.contains("TRACE") || output.contains("DEBUG"), "everything is logged:\n{output}");
}

#[test]
fn node_uses_tls_and_credentials_of_an_operator_and_shows_no_seed() {
    let Some(program) = tool::find_tool("DOCRELAY_NATS_SERVER") else { return };
    let directory = tempfile::tempdir().unwrap();
    authority(directory.path(), "ours", Some("server"));
    authority(directory.path(), "other", None);
    let file = |name: &str| directory.path().join(name);
    let operator = Operator::new();
    let seeds = [operator.account.add_user(&file("relay.creds")), Account::new().add_user(&file("foreign.creds"))];
    let tls = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\" }}",
        file("server.pem").display(),
        file("server.key").display()
    );
    let mut broker = Broker::single(&program, &format!("{tls}\n{}", operator.settings));
    write_cluster_key(&file("key"));
    let mut node = TestRelay::not_started(&[
        ("cluster", &format!("tls://{}", broker.address())),
        ("cluster_key_file", &file("key").to_string_lossy()),
        ("cluster_replicas", "1"),
        ("cluster_journal_bytes", "64MiB"),
        ("log_level", "trace"),
    ]);
    let set_access = |node: &mut TestRelay, ca: &str, credentials: &str| {
        node.set_config("cluster_ca", &file(ca).to_string_lossy());
        node.set_config("cluster_credentials", &file(credentials).to_string_lossy());
    };
    for (ca, credentials, expected) in [
        ("ours.pem", "foreign.creds", "refuses the user or its credentials"),
        ("other.pem", "relay.creds", "certificate"),
        ("ours.pem", "absent.creds", "absent.creds"),
    ] {
        set_access(&mut node, ca, credentials);
        let sentence = refused_start(&mut node);
        assert!(sentence.contains(expected), "{sentence}");
    }

    set_access(&mut node, "ours.pem", "relay.creds");
    node.restart();
    let (token, hook) = {
        let client = TestClient::new(&node, "acme");
        (client.token.clone(), client.add_unverified_hook("gini").path)
    };
    let mut ids = Vec::new();
    let store = |node: &TestRelay, number: usize| node.send(&webhook(&hook, &document(0, number)));
    ids.push(stored_event_id(&store(&node, 0)));
    // The credentials are presented again after each loss of the connection.
    broker.kill();
    broker.start();
    broker.wait_until_healthy();
    wait_until("the node has connected again", || {
        let response = store(&node, 1);
        ids.extend((response.status == 200).then(|| stored_event_id(&response)));
        response.status == 200
    });
    assert_secret(&node, &seeds);
    node.restart();
    ids.push(stored_event_id(&store(&node, 2)));
    let streamed = node.follow_from(&token, "earliest").events(3);
    assert_eq!(streamed.into_iter().map(|event| event.id).collect::<Vec<_>>(), ids);
    assert_secret(&node, &seeds);
}
