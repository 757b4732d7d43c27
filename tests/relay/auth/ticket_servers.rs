//! The ticket servers in the reference, run without changes.

use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::fixture::document_id;
use crate::harness::follower::Follower;
use crate::harness::request::Request;
use crate::harness::response::{stored_event_id, string_at};
use crate::harness::{TestRelay, wait_until};

/// The first code block of this language in the section on tickets.
#[track_caller]
fn example(language: &str) -> String {
    let reference = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/REFERENCE.md"));
    let reference = reference.expect("the reference");
    let (_, section) = reference.split_once("\n### Handing out tickets\n").expect("the section");
    let (_, block) = section.split_once(&format!("\n```{language}\n")).expect("a block of this language");
    block.split_once("\n```\n").expect("its end").0.to_owned()
}

/// A running server of the reference. Dropping it kills the process.
struct Server {
    child: Child,
    listen: SocketAddr,
    _code: tempfile::TempDir,
}

impl Server {
    /// `None`, with a line that says so, when this machine lacks the program; a failure where CI is set.
    #[track_caller]
    fn start(program: &str, language: &str, file: &str, acme: &TestClient) -> Option<Self> {
        let code = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let path = code.path().join(file);
        std::fs::write(&path, example(language)).expect("written");
        // The port stays free between this check and the start of the server.
        let listen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a port");
        let mut command = Command::new(program);
        command.arg(path).env("RELAY", format!("http://{}", acme.relay.listen)).env("PORT", listen.port().to_string());
        command.env("CLIENT_ID", &acme.id).env("CLIENT_SECRET", &acme.secret);
        // A proxy is none of this test's business.
        for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        match command.stdin(Stdio::null()).spawn() {
            Ok(child) => {
                let server = Self { child, listen, _code: code };
                wait_until("the server listens", || TcpStream::connect(listen).is_ok());
                Some(server)
            }
            Err(e) if e.kind() == ErrorKind::NotFound && std::env::var_os("CI").is_none() => {
                // Past the capture of a test's output: a skip has to be seen.
                writeln!(std::io::stderr(), "SKIPPED: there is no {program}, so its example was not run").ok();
                None
            }
            Err(e) => panic!("{program}: {e}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[track_caller]
fn assert_issues_tickets(program: &str, language: &str, file: &str) {
    let relay = TestRelay::with_config(&[("query_token", "ticket")]);
    let acme = TestClient::new(&relay, "acme");
    let Some(server) = Server::start(program, language, file, &acme) else { return };
    let hook = acme.add_unverified_hook("gini").path;
    let tell = |number: u32| {
        let body = format!(r#"{{"documentId":"{}","status":"COMPLETED"}}"#, document_id(number));
        stored_event_id(&relay.send(&Request::post(&hook).json(&body)))
    };
    tell(1);
    let id = tell(2);
    let page = Request::get(&format!("/my/ticket?document={}", document_id(2)));
    assert_eq!(Connection::open(server.listen).send(&page).status, 403, "a request without a session is refused");
    let page = page.header("Cookie", "session=1");
    // The server reuses its token for the second request.
    for _ in 0..2 {
        let response = Connection::open(server.listen).send(&page);
        assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")), "{response:?}");
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let json: Value = response.json();
        assert_eq!(json["expires_in"], 300);
        let address = format!("/events/client?token={}&last_event_id=earliest", string_at(&json, "token"));
        assert_eq!(
            Follower::open(relay.listen, &Request::get(&address)).next_event().id,
            id,
            "only events of the document"
        );
    }
}

#[test]
fn python_ticket_server_in_reference_issues_tickets() {
    assert_issues_tickets("python3", "python", "server.py");
}

#[test]
fn node_ticket_server_in_reference_issues_tickets() {
    assert_issues_tickets("node", "js", "server.mjs");
}
