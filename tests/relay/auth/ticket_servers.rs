//! The ticket servers in the reference, run without changes.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::child::ChildProcess;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::fixture::document_id;
use crate::harness::request::Request;
use crate::harness::response::string_at;
use crate::harness::tool::{skip, without_proxy};
use crate::harness::{TestRelay, wait_until};

/// The first code block of this language in the section on tickets.
#[track_caller]
fn code_block(language: &str) -> String {
    let reference = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/REFERENCE.md"));
    let reference = reference.expect("the reference");
    let (_, section) = reference.split_once("\n### Handing out tickets\n").expect("the section");
    let (_, block) = section.split_once(&format!("\n```{language}\n")).expect("a block of this language");
    block.split_once("\n```\n").expect("its end").0.to_owned()
}

/// A server of the reference.
struct Example {
    program: &'static str,
    /// The language of the code block.
    language: &'static str,
    file: &'static str,
}

/// A running server of the reference.
struct Server {
    listen: SocketAddr,
    _process: ChildProcess,
    _code: tempfile::TempDir,
}

impl Example {
    /// Starts the server for a client; `None`, with a report of the skipped test, without the program.
    #[track_caller]
    fn start(&self, client: &TestClient<'_>) -> Option<Server> {
        let code = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let path = code.path().join(self.file);
        std::fs::write(&path, code_block(self.language)).expect("written");
        // The port stays free between this check and the start of the server.
        let listen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a port");
        let mut command = Command::new(self.program);
        command.arg(path).env("RELAY", client.relay.url("")).env("PORT", listen.port().to_string());
        command.env("CLIENT_ID", &client.id).env("CLIENT_SECRET", &client.secret).stdin(Stdio::null());
        match ChildProcess::spawn(without_proxy(&mut command)) {
            Ok(process) => {
                wait_until("the server listens", || TcpStream::connect(listen).is_ok());
                Some(Server { listen, _process: process, _code: code })
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {
                skip(&format!("there is no {}, so its example was not run", self.program));
                None
            }
            Err(e) => panic!("{}: {e}", self.program),
        }
    }
}

#[track_caller]
fn assert_issues_tickets(example: &Example) {
    let relay = TestRelay::with_config(&[("query_token", "ticket")]);
    let acme = TestClient::new(&relay, "acme");
    let Some(server) = example.start(&acme) else { return };
    let hook = acme.add_unverified_hook("gini").path;
    acme.post_gini(&hook, &document_id(1), "COMPLETED");
    let id = acme.post_gini(&hook, &document_id(2), "COMPLETED");
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
        let event = relay.open_stream(&Request::get(&address)).next_event();
        assert_eq!(event.id, id, "only events of the document");
    }
}

#[test]
fn python_ticket_server_in_reference_issues_tickets() {
    assert_issues_tickets(&Example { program: "python3", language: "python", file: "server.py" });
}

#[test]
fn node_ticket_server_in_reference_issues_tickets() {
    assert_issues_tickets(&Example { program: "node", language: "js", file: "server.mjs" });
}
