//! The command by which an operator inspects a cluster.

use serde_json::Value;

use crate::harness::client::TestClient;
use crate::harness::cluster::document;
use crate::harness::response::{array_at, string_at};
use crate::harness::{TestCluster, wait_until};

const MEMBER_COLUMNS: [&str; 11] =
    ["NODE", "HOST", "LISTEN", "VERSION", "POSITION", "LAG", "LEASE", "SILENT", "ALIVE", "LEADER", "COMPARED"];

/// Milliseconds of a lease.
const LEASE_MS: u64 = 5_000;

/// The table as cells. Two spaces or more separate columns.
fn cells(table: &str) -> Vec<Vec<&str>> {
    let lines = table.lines();
    lines.map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect()
}

/// The tenths of a second in a cell such as `4.3 s`.
#[track_caller]
fn tenths(cell: &str) -> u64 {
    let digits: String = cell.strip_suffix(" s").expect("seconds").split('.').collect();
    digits.parse().expect("a number")
}

fn is_leased(member: &Value) -> bool {
    let (lease, silent) = (member["leaseMs"].as_u64().unwrap(), member["silentMs"].as_u64().unwrap());
    // Both are rounded.
    let is_consistent =
        if lease > 0 { (LEASE_MS - 1..=LEASE_MS).contains(&(lease + silent)) } else { silent >= LEASE_MS };
    assert!(is_consistent && member["isAlive"] == (lease > 0), "{member}");
    lease > 0
}

#[test]
fn cluster_status_command_shows_members_leases_and_the_broker() {
    let Some(mut cluster) = TestCluster::start() else { return };
    cluster.wait_until_active();
    let client = TestClient::new(&cluster.nodes[0], "acme");
    client.post_gini(&client.add_unverified_hook("gini").path, &document(0, 0), "COMPLETED");
    let is_compared = |member: &Value| member["comparison"]["agrees"] == true;
    wait_until("the databases are compared", || array_at(&cluster.status(1), "members").iter().all(is_compared));
    cluster.wait_until_caught_up();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
    let mut listening: Vec<String> = cluster.addresses().iter().map(ToString::to_string).collect();
    listening.sort();

    let status = cluster.nodes[1].cli(&["cluster", "status"]).json();
    let members = array_at(&status, "members");
    assert!(members.iter().all(|member| is_leased(member) && member["host"] == *host), "{members:#?}");
    let mut listen: Vec<String> = members.iter().map(|member| string_at(member, "listen")).collect();
    listen.sort();
    assert_eq!(listen, listening);
    let own = members.iter().find(|member| member["name"] == status["node"]).expect("this node");
    assert_eq!(string_at(own, "listen"), cluster.nodes[1].listen.to_string());
    assert!(members.iter().all(|member| member["position"].as_u64() > Some(0)), "{members:#?}");
    let broker = &status["broker"];
    assert_eq!((broker["replicas"].as_u64(), array_at(broker, "followers").len()), (Some(3), 2), "{broker}");

    let table = cluster.nodes[1].cli(&["cluster", "status", "--table"]).succeeded().stdout;
    let rows = cells(&table);
    assert_eq!(rows[0], MEMBER_COLUMNS);
    let fence = format!("fence {}", status["fence"].as_u64().expect("a leader"));
    for (row, member) in rows[1..].iter().zip(&members) {
        let leader = if member["isLeader"] == true { fence.as_str() } else { "-" };
        let compared = format!("{} agrees", member["comparison"]["position"]);
        let [node, shown_host, listen, version, position, lag, lease, silent, alive, shown_leader, shown_compared] =
            row[..]
        else {
            panic!("{table}")
        };
        assert_eq!(
            (node, shown_host, listen, version),
            (
                member["name"].as_str().unwrap(),
                host.as_str(),
                member["listen"].as_str().unwrap(),
                member["version"].as_str().unwrap()
            )
        );
        assert!(position.parse::<u64>().ok() >= member["position"].as_u64() && lag.parse::<u64>().is_ok(), "{table}");
        assert!((48..=50).contains(&(tenths(lease) + tenths(silent))), "{table}");
        assert_eq!((alive, shown_leader, shown_compared), ("yes", leader, compared.as_str()));
    }
    let broker_line = format!(
        "broker: server {} {}, leader {}, replicas 3, entries ",
        string_at(broker, "serverName"),
        string_at(broker, "serverVersion"),
        string_at(broker, "leader")
    );
    assert!(table.lines().any(|line| line.starts_with(&broker_line) && line.ends_with(" bytes")), "{table}");
    let replicas = rows.iter().skip_while(|row| row[..] != ["REPLICA", "CURRENT", "ONLINE", "LAG", "SILENT"]).skip(1);
    let replicas: Vec<_> = replicas.map(|row| (row[0], row[2])).collect();
    let followers = array_at(broker, "followers");
    let expected: Vec<_> = followers.iter().map(|follower| (follower["name"].as_str().unwrap(), "yes")).collect();
    assert_eq!(replicas, expected, "{table}");

    // The lease of a node that is gone ends, and another leader has another fence.
    let leader = members.iter().find(|member| member["isLeader"] == true).expect("a leader");
    let killed = cluster.nodes.iter().position(|node| leader["listen"] == node.listen.to_string()).expect("a node");
    cluster.nodes[killed].kill();
    let survivor = (killed + 1) % 3;
    let present = || cluster.nodes[survivor].cli(&["cluster", "status"]).json();
    wait_until("another node leads", || present()["fence"].as_u64() > status["fence"].as_u64());
    wait_until("the lease of the killed node ends", || {
        let members = array_at(&present(), "members");
        members.iter().filter(|member| member["name"] == leader["name"]).all(|member| !is_leased(member))
    });
}
