//! Three brokers and the nodes of one cluster on them.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::brokers::Brokers;
use super::client::TestClient;
use super::command::{CommandOutput, docrelay, run};
use super::link::BrokerLinks;
use super::request::Request;
use super::slot::Slot;
use super::{TestRelay, tool, wait_until};

/// Between the writing of a node's record and the node seeing it.
const MAX_RECORD_DELAY: Duration = Duration::from_millis(500);

/// How long a node may take to stop; it needs much less.
const GRACE: Duration = Duration::from_secs(16);

/// A cluster; dropping it kills its nodes, then its brokers.
pub(crate) struct TestCluster {
    pub(crate) nodes: Vec<TestRelay>,
    pub(crate) brokers: Brokers,
    keys: TempDir,
    /// Dropped last.
    _slot: Slot,
}

/// What `docrelay check --data` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) epoch: String,
    pub(crate) position: u64,
    pub(crate) digest: String,
}

impl TestCluster {
    /// Brokers without nodes. `None` without nats-server, with a visible line.
    pub(crate) fn brokers_only() -> Option<Self> {
        Self::over(|program| Brokers::cluster(program, 3))
    }

    fn over(brokers: impl FnOnce(&str) -> Brokers) -> Option<Self> {
        let program = tool::find_tool("DOCRELAY_NATS_SERVER")?;
        let keys = tempfile::Builder::new().prefix("keys-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let slot = Slot::take();
        let cluster = Self {
            nodes: Vec::new(),
            brokers: brokers(&program),
            keys: keys.expect("a directory for the cluster's key"),
            _slot: slot,
        };
        cluster.write_key("key");
        Some(cluster)
    }

    /// Three nodes that serve.
    pub(crate) fn start() -> Option<Self> {
        let mut cluster = Self::brokers_only()?;
        (0..3).for_each(|_| cluster.add_node());
        Some(cluster)
    }

    /// Three nodes that serve, each with paths of its own to the brokers.
    pub(crate) fn start_with_links() -> Option<(Self, Vec<BrokerLinks>)> {
        Self::start_configured_with_links(|_, _| {})
    }

    /// The same; `configure` gets the number of each node before its first start.
    pub(crate) fn start_configured_with_links(
        configure: impl Fn(usize, &mut TestRelay),
    ) -> Option<(Self, Vec<BrokerLinks>)> {
        let mut cluster = Self::over(|program| Brokers::cluster_without_gossip(program, 3))?;
        let links: Vec<BrokerLinks> = (0..3).map(|_| BrokerLinks::to(&cluster.brokers)).collect();
        for (number, links) in links.iter().enumerate() {
            let mut node = cluster.new_node();
            node.set_config("cluster", &links.urls());
            configure(number, &mut node);
            node.restart();
            cluster.nodes.push(node);
        }
        Some((cluster, links))
    }

    /// Starts another node with an empty directory.
    #[track_caller]
    pub(crate) fn add_node(&mut self) {
        let mut node = self.new_node();
        node.restart();
        self.nodes.push(node);
    }

    /// A node that was not started.
    pub(crate) fn new_node(&self) -> TestRelay {
        let mut node = TestRelay::not_started(&[
            ("allow_private_endpoints", "127.0.0.0/8"),
            ("grace", &format!("{}s", GRACE.as_secs())),
            ("cluster_journal_bytes", "64MiB"),
        ]);
        self.configure(&mut node);
        node
    }

    /// Makes a relay a node of this cluster at its next start.
    pub(crate) fn configure(&self, node: &mut TestRelay) {
        node.set_config("cluster", &self.brokers.urls().join(","));
        node.set_config("cluster_key_file", &self.key_file("key").to_string_lossy());
    }

    /// Writes another key.
    #[track_caller]
    pub(crate) fn write_key(&self, name: &str) -> PathBuf {
        let path = self.key_file(name);
        write_cluster_key(&path);
        path
    }

    fn key_file(&self, name: &str) -> PathBuf {
        self.keys.path().join(name)
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.listen).collect()
    }

    /// The client on another node.
    pub(crate) fn client_at<'a>(&'a self, node: usize, client: &TestClient) -> TestClient<'a> {
        TestClient::with_token(&self.nodes[node], &client.id, client.token.clone())
    }

    /// `GET /admin/cluster` of a node.
    #[track_caller]
    pub(crate) fn status(&self, node: usize) -> Value {
        self.nodes[node].admin("GET", "/admin/cluster").json()
    }

    /// Asserts that every node streams exactly these events, once and in this order, from the earliest on.
    #[track_caller]
    pub(crate) fn assert_streams(&self, token: &str, ids: &[String]) {
        for node in &self.nodes {
            let streamed = node.follow_from(token, "earliest").events(ids.len());
            assert!(streamed.iter().all(|event| event.name == "message"), "{streamed:#?}");
            assert_eq!(streamed.into_iter().map(|event| event.id).collect::<Vec<_>>(), ids);
        }
    }

    /// Whether a node is ready.
    #[track_caller]
    pub(crate) fn is_ready(&self, node: usize) -> bool {
        self.nodes[node].send_admin(&Request::get("/readyz")).status == 200
    }

    /// Waits until every node attempts its share of the deliveries, and the latest format that all can read is agreed
    /// on.
    #[track_caller]
    pub(crate) fn wait_until_active(&self) {
        let is_active = |node| {
            let status = self.status(node);
            let formats =
                status["members"].as_array().into_iter().flatten().map(|member| member["entryFormat"].as_u64());
            status["ownership"] == "active" && formats.min() == Some(status["entryFormat"].as_u64())
        };
        wait_until("all nodes are active members", || (0..self.nodes.len()).all(is_active));
    }

    /// Waits until every node has applied what any node has applied before this call.
    #[track_caller]
    pub(crate) fn wait_until_caught_up(&self) {
        let began = Instant::now();
        let positions = || -> Vec<Value> {
            let own = |node: usize| {
                let status = self.status(node);
                let member = status["members"].as_array()?.iter().find(|member| member["name"] == status["node"])?;
                // A record that was written before this call has a position of before, of all nodes alike.
                let seen = Duration::from_millis(member["silentMs"].as_u64()?);
                (began.elapsed() > seen + MAX_RECORD_DELAY).then(|| member["position"].clone())
            };
            (0..self.nodes.len()).filter_map(own).collect()
        };
        wait_until("all nodes have the same position", || {
            let positions = positions();
            positions.len() == self.nodes.len() && positions.iter().all(|position| *position == positions[0])
        });
    }

    /// Stops all nodes at once and checks their databases. Retention may add an entry between two stops: then the nodes
    /// are started and stopped again.
    #[track_caller]
    pub(crate) fn stop_and_check(&mut self) -> Vec<Check> {
        let mut checks = Vec::new();
        for _ in 0..3 {
            self.wait_until_caught_up();
            let start = Instant::now();
            self.nodes.iter().for_each(|node| node.signal(Signal::TERM));
            for node in &mut self.nodes {
                let status = node.wait();
                assert!(status.success(), "{status}: {}", node.output());
            }
            assert!(start.elapsed() < GRACE / 2, "the nodes have stopped after {:?}", start.elapsed());
            checks = self.nodes.iter().map(check).collect();
            if checks.iter().all(|check| check.position == checks[0].position) {
                return checks;
            }
            self.nodes.iter_mut().for_each(TestRelay::restart);
        }
        panic!("the nodes stop at different positions: {checks:?}");
    }

    /// Stops all nodes; their databases have the same contents.
    #[track_caller]
    pub(crate) fn assert_equal_digests(&mut self) -> Check {
        let checks = self.stop_and_check();
        assert!(checks.iter().all(|check| *check == checks[0]), "{checks:#?}");
        checks[0].clone()
    }
}

/// Writes a key that `docrelay cluster key` prints to a new file.
#[track_caller]
pub(crate) fn write_cluster_key(path: &Path) {
    let key = run(&mut docrelay(&["cluster", "key"], &[])).succeeded().stdout;
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path).expect("a new file");
    std::io::Write::write_all(&mut file, key.as_bytes()).expect("a key");
}

/// `docrelay check` of a stopped node.
#[track_caller]
pub(crate) fn check(node: &TestRelay) -> Check {
    let output = node.cli(&["check"]).succeeded().stdout;
    let words: Vec<&str> = output.lines().last().unwrap_or_default().split(' ').collect();
    let ["epoch", epoch, "position", position, "digest", digest] = words[..] else { panic!("{output}") };
    Check { epoch: epoch.to_owned(), position: position.parse().expect("a position"), digest: digest.to_owned() }
}

/// A start that must fail: its exit code is not 0 and its last line of standard error is returned.
#[track_caller]
pub(crate) fn refused_start(node: &mut TestRelay) -> String {
    let before = node.output().len();
    let refused = node.try_start();
    assert!(refused.is_err(), "the node must refuse to start");
    let output = node.output()[before..].to_owned();
    output.lines().last().unwrap_or_default().to_owned()
}

/// Asserts that a command has failed with one line on standard error. Returns it.
#[track_caller]
pub(crate) fn refusal(output: &CommandOutput) -> String {
    assert!(!output.status.success() && output.stderr.trim_end().lines().count() == 1, "{output:?}");
    output.stderr.trim_end().to_owned()
}

/// A Gini webhook of a document.
pub(crate) fn webhook(hook: &str, document: &str) -> Request {
    Request::post(hook).json(&format!(r#"{{"documentId":"{document}","status":"COMPLETED"}}"#))
}

/// The document id of a number in a series.
pub(crate) fn document(series: usize, number: usize) -> String {
    format!("{series:08x}-0000-4000-8000-{number:012x}")
}
