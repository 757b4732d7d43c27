//! The configurations of docs/CLUSTER.md for HAProxy and nginx in front of three nodes: no webhook is lost when a node
//! is killed or all are restarted in turn, and the followers of a lost node are live on another one within seconds.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::harness::client::TestClient;
use crate::harness::guide::{code_block, replace_all};
use crate::harness::port::free_port;
use crate::harness::proxy::{Proxy, ProxyProgram, nginx_with};
use crate::harness::{TestCluster, wait_until};
use crate::history::History;
use crate::proxied_load::{Outage, ProxiedLoad, Statuses, Target};

const GUIDE: &str = include_str!("../../docs/CLUSTER.md");

/// The nodes listen on addresses of their own and equal ports, as on three machines.
const NODES: [Ipv4Addr; 3] = [Ipv4Addr::new(127, 0, 0, 11), Ipv4Addr::new(127, 0, 0, 12), Ipv4Addr::new(127, 0, 0, 13)];

/// How long a follower that returns at once may be without a stream.
const OUTAGE_LIMIT: Duration = Duration::from_secs(3);

/// While nodes are restarted, one webhook of this many may meet a connection that its node closes at this moment.
const MAX_REFUSED_OF: usize = 50;

const VENDORS: usize = 2;
const FOLLOWERS: usize = 9;

/// The ports of all nodes.
#[derive(Debug, Clone, Copy)]
struct Ports {
    public: u16,
    admin: u16,
}

fn haproxy(listen: SocketAddr, ports: Ports) -> String {
    let bind = "bind :443 ssl crt /etc/haproxy/certs/relay.example.com.pem alpn h2,http/1.1";
    with_nodes(
        replace_all(
            code_block(GUIDE, "HAProxy", "haproxy"),
            &[(bind, &format!("bind {listen}")), ("check port 9090", &format!("check port {}", ports.admin))],
        ),
        ports,
    )
}

fn nginx(listen: SocketAddr, ports: Ports) -> String {
    let guide = replace_all(
        code_block(GUIDE, "nginx", "nginx"),
        &[
            ("listen 443 ssl http2;", &format!("listen {listen};")),
            ("ssl_certificate /etc/letsencrypt/live/relay.example.com/fullchain.pem;", ""),
            ("ssl_certificate_key /etc/letsencrypt/live/relay.example.com/privkey.pem;", ""),
        ],
    );
    nginx_with("", &with_nodes(guide, ports))
}

fn with_nodes(configuration: String, ports: Ports) -> String {
    let addresses = NODES.map(|node| SocketAddr::from((node, ports.public)).to_string());
    let names = ["a.internal:8080", "b.internal:8080", "c.internal:8080"];
    let changes: Vec<(&str, &str)> = names.into_iter().zip(addresses.iter().map(String::as_str)).collect();
    replace_all(configuration, &changes)
}

/// A proxy with its load.
struct Side {
    proxy: Proxy,
    load: ProxiedLoad,
}

impl Side {
    /// Prints what the vendors and the followers have seen in a phase. Returns it.
    #[track_caller]
    fn report(&self, phase: &str) -> (Statuses, Vec<Outage>) {
        let (statuses, outages) = self.load.take_observations();
        let longest = outages.iter().map(|outage| outage.ended - outage.began).max().unwrap_or_default();
        let followers = outages.len();
        eprintln!(
            "{} {phase}: webhooks by status {statuses:?}; {followers} streams ended, live again after at most {longest:?}",
            self.proxy.name
        );
        assert!(longest < OUTAGE_LIMIT, "{} {phase}: {outages:?}", self.proxy.name);
        (statuses, outages)
    }
}

#[test]
fn guide_proxies_lose_nothing_when_nodes_are_killed_or_restarted() {
    let Some(programs) = ProxyProgram::find_all() else { return };
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    let ports = Ports { public: free_port(), admin: free_port() };
    for address in NODES {
        let mut node = cluster.new_node();
        (node.listen, node.admin_listen) = ((address, ports.public).into(), (address, ports.admin).into());
        node.restart();
        cluster.nodes.push(node);
    }
    cluster.wait_until_active();
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let (token, hook) = (client.token.clone(), client.add_unverified_hook("gini").path);
    cluster.wait_until_caught_up();
    let mut sides: Vec<Side> = Vec::new();
    for program in programs.iter().filter(|program| program.name != "caddy") {
        let proxy = program.start(|listen| match program.name {
            "nginx" => nginx(listen, ports),
            _ => haproxy(listen, ports),
        });
        let target =
            Target { proxy: proxy.listen, hook: hook.clone(), token: token.clone(), series: 10 * (1 + sides.len()) };
        let load = ProxiedLoad::start(target, VENDORS, FOLLOWERS);
        sides.push(Side { proxy, load });
    }
    assert_eq!(sides.len(), 2);
    sides.iter().for_each(|side| side.load.wait_for_acknowledged(50));
    for side in &sides {
        let (statuses, _) = side.load.take_observations();
        assert!(statuses.keys().all(|status| *status == 200), "{} without a fault: {statuses:?}", side.proxy.name);
    }

    let killed_at = Instant::now();
    cluster.nodes[1].kill();
    for side in &sides {
        side.load.wait_for_acknowledged(100);
        side.load.wait_until_live();
        let (_, outages) = side.report("kill");
        assert!(!outages.is_empty(), "{}: the killed node had no followers", side.proxy.name);
        let live_again = outages.iter().map(|outage| outage.ended - killed_at).max().unwrap_or_default();
        eprintln!("{}: live again at most {live_again:?} after the kill", side.proxy.name);
    }
    cluster.nodes[1].restart();
    wait_until("the node is ready", || cluster.is_ready(1));
    sides.iter().for_each(|side| side.load.wait_for_acknowledged(50));
    sides.iter().for_each(|side| drop(side.report("return")));

    for node in 0..3 {
        assert!(cluster.nodes[node].stop().success());
        cluster.nodes[node].restart();
        wait_until("the node is ready", || cluster.is_ready(node));
        sides.iter().for_each(|side| side.load.wait_for_acknowledged(20));
    }
    for side in &sides {
        side.load.wait_until_live();
        let (statuses, outages) = side.report("restart");
        assert!(!outages.is_empty(), "{}: the restarted nodes had no followers", side.proxy.name);
        let answered: usize = statuses.values().sum();
        let refused = answered - statuses[&200];
        assert!(refused * MAX_REFUSED_OF <= answered, "{}: {statuses:?}", side.proxy.name);
    }

    let mut history = History::default();
    for side in &mut sides {
        history.acknowledged.extend(side.load.end());
    }
    let expected: HashSet<String> = history.acknowledged.iter().map(|event| event.change.clone()).collect();
    let mut proxies = Vec::new();
    for Side { proxy, load } in sides {
        history.followers.extend(load.finish(&expected));
        proxies.push(proxy);
    }
    let violations = history.violations();
    assert!(violations.is_empty(), "{violations:#?}");
    cluster.assert_equal_digests();
}
