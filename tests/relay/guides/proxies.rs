//! The guide's configuration of nginx, HAProxy and Caddy: events pass at once and unchanged, and an idle stream stays
//! open. The surrounding configuration enables compression, which the guide's block must prevent.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::{block, replace_all};
use crate::harness::child::ChildProcess;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::follower::{Follower, Next};
use crate::harness::request::{HOST, Request};
use crate::harness::response::stored_event_id;
use crate::harness::tool::find_tool;
use crate::harness::{TestRelay, wait_until};

/// The paths of the three programs; set by `make test`.
const PROXIES: &str = "DOCRELAY_PROXIES";

/// Longer than the timeout of 30 s in the guide's configuration, so that only idle lines keep a stream open.
const IDLE: Duration = Duration::from_secs(35);

/// A running proxy.
struct Proxy {
    name: &'static str,
    listen: SocketAddr,
    process: ChildProcess,
    directory: TempDir,
}

impl Proxy {
    #[track_caller]
    fn start(name: &'static str, program: &str, relay: SocketAddr) -> Self {
        let directory = tempfile::Builder::new().prefix(name).tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let directory = directory.expect("a directory");
        // The port stays free between this check and the start of the proxy.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let listen = free.expect("a port");
        let (file, here) = (directory.path().join("configuration"), directory.path());
        let mut command = Command::new(program);
        let configuration = match name {
            "nginx" => {
                command.args(["-e", "stderr", "-p"]).arg(here).arg("-c").arg(&file);
                nginx(listen, relay)
            }
            "haproxy" => {
                command.args(["-db", "-f"]).arg(&file);
                haproxy(listen, relay)
            }
            _ => {
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
                caddy(listen, relay)
            }
        };
        std::fs::write(&file, configuration).expect("a configuration");
        let log = std::fs::File::create(here.join("log")).expect("a log");
        command.env("HOME", here).env("XDG_DATA_HOME", here).env("XDG_CONFIG_HOME", here);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let process = ChildProcess::spawn(&mut command).expect("the proxy starts");
        let mut proxy = Self { name, listen, process, directory };
        proxy.wait_until_it_listens();
        proxy
    }

    #[track_caller]
    fn wait_until_it_listens(&mut self) {
        wait_until("the proxy listens", || {
            let exit = self.process.exit_status();
            assert!(exit.is_none(), "{}: {exit:?}; {}", self.name, self.output());
            TcpStream::connect(self.listen).is_ok()
        });
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- output of {} ---\n{}---", self.name, self.output());
        }
    }
}

fn nginx(listen: SocketAddr, relay: SocketAddr) -> String {
    let (listen, relay) = (format!("listen {listen};"), relay.to_string());
    let inside = replace_all(
        block("nginx", "nginx"),
        &[
            ("listen 443 ssl http2;", &listen),
            ("ssl_certificate /etc/letsencrypt/live/relay.example.com/fullchain.pem;", ""),
            ("ssl_certificate_key /etc/letsencrypt/live/relay.example.com/privkey.pem;", ""),
            ("127.0.0.1:8080", &relay),
        ],
    );
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};\n"));
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n{}gzip on;\n\
         gzip_proxied any;\ngzip_min_length 0;\ngzip_types text/event-stream;\n{inside}}}\n",
        paths.concat()
    )
}

fn haproxy(listen: SocketAddr, relay: SocketAddr) -> String {
    let (listen, relay) = (format!("bind {listen}"), relay.to_string());
    let bind = "bind :443 ssl crt /etc/haproxy/certs/relay.example.com.pem alpn h2,http/1.1";
    let inside = replace_all(block("HAProxy", "haproxy"), &[(bind, &listen), ("127.0.0.1:8080", &relay)]);
    format!("defaults\n    compression algo gzip\n    compression type text/event-stream application/json\n\n{inside}")
}

fn caddy(listen: SocketAddr, relay: SocketAddr) -> String {
    let site = format!("http://:{} {{\n    bind 127.0.0.1\n    encode gzip", listen.port());
    let inside = replace_all(
        block("Caddy", "caddyfile"),
        &[("relay.example.com {", &site), ("127.0.0.1:8080", &relay.to_string())],
    );
    format!("{{\n    admin off\n}}\n\n{inside}")
}

/// Posts a webhook through the proxy, and asserts that its event arrives through the proxy within a second.
#[track_caller]
fn assert_passes_at_once(proxy: &Proxy, follower: &mut Follower, hook: &str, number: usize) -> String {
    let body = json!({"documentId": format!("626626a0-749f-11e2-bfd6-{number:012}"), "status": "COMPLETED"});
    let began = Instant::now();
    let response = Connection::open(proxy.listen).send(&Request::post(hook).json(&body.to_string()));
    let id = stored_event_id(&response);
    // The stream also has the events of the other proxies.
    while follower.next_event().id != id {}
    let elapsed = began.elapsed();
    assert!(elapsed < Duration::from_secs(1), "{}: {elapsed:?}", proxy.name);
    id
}

#[test]
fn guide_proxies_pass_events_promptly_and_keep_streams() {
    let Some(programs) = find_tool(PROXIES) else { return };
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    let mut all: Vec<(Proxy, Follower)> = Vec::new();
    for program in programs.split(' ') {
        let stem = Path::new(program).file_name().and_then(|name| name.to_str());
        let names = ["nginx", "haproxy", "caddy"];
        let name = names.into_iter().find(|name| Some(*name) == stem).expect("one of the three");
        let proxy = Proxy::start(name, program, relay.listen);
        let request = Request::get("/events/client").bearer(&acme.token).header("Accept-Encoding", "gzip, br, zstd");
        let follower = Follower::open(proxy.listen, &request);
        assert_eq!((follower.head.status, follower.head.header("content-type")), (200, Some("text/event-stream")));
        assert_eq!(follower.head.header("content-encoding"), None, "{name} compresses");
        assert_eq!(follower.head.header("cache-control"), Some("no-cache, no-transform"));
        all.push((proxy, follower));
    }
    assert_eq!(all.len(), 3);
    for (number, (proxy, follower)) in all.iter_mut().enumerate() {
        let id = assert_passes_at_once(proxy, follower, &hook, number);
        let raw = acme.get(&format!("/events/{id}/raw")).json();
        assert_eq!(raw["headers"]["host"], HOST, "{} changes the Host, which signatures cover", proxy.name);
    }
    let quiet = Instant::now();
    for (proxy, follower) in &mut all {
        // The first iteration waits; the other streams are read afterwards.
        loop {
            match follower.next((quiet + IDLE).saturating_duration_since(Instant::now())) {
                Next::Block(_) => {}
                Next::TimedOut => break,
                Next::End => panic!("{} ended an idle stream after {:?}", proxy.name, quiet.elapsed()),
            }
        }
    }
    for (number, (proxy, follower)) in all.iter_mut().enumerate() {
        assert_passes_at_once(proxy, follower, &hook, 10 + number);
    }
}
