//! TLS handshakes: versions, the deadline, and clients that speak something else.

use tokio_rustls::rustls::ProtocolVersion;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::harness::command::run;
use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::request::Request;
use crate::harness::response::assert_problem;
use crate::harness::tls::{TlsFixture, text};
use crate::harness::tool::without_proxy;
use crate::harness::{TIMEOUT, wait_until};

const FAILURES: &str = "docrelay_tls_handshake_failures_total";

/// The beginning of a ClientHello.
const PARTIAL_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[test]
fn tls_1_2_and_1_3_are_served_with_the_whole_chain() {
    let fixture = TlsFixture::start();
    for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let client = fixture.authority.client_of(&[version]);
        let mut connection = Connection::open_tls(fixture.relay.listen, &client);
        for _ in 0..2 {
            assert_eq!(connection.send(&Request::get("/.well-known/jwks.json")).status, 200);
        }
        let session = connection.session();
        assert_eq!(session.protocol_version(), Some(name));
        assert_eq!(session.peer_certificates().map(<[_]>::len), Some(2));
    }
}

#[test]
fn client_without_the_authority_is_counted_as_failed_handshake() {
    let fixture = TlsFixture::start();
    let other = crate::harness::tls::Authority::new().client();
    assert!(Connection::try_open_tls(fixture.relay.listen, &other).is_err());
    fixture.relay.wait_for_metric(FAILURES, 1);
    fixture.relay.wait_for_metric("docrelay_connections", 1);
}

#[test]
fn stalled_handshakes_end_and_release_their_permits() {
    let config = [("max_connections", "3"), ("max_followers", "1"), ("header_timeout", "1s")];
    let fixture = TlsFixture::with_config(&config);
    let mut stalled: Vec<Connection> = (0..3).map(|_| Connection::open(fixture.relay.listen)).collect();
    stalled[1].write(PARTIAL_HELLO);
    stalled[2].write(&PARTIAL_HELLO[..1]);
    for connection in &mut stalled {
        assert!(connection.is_closed_by_peer());
    }
    // All permits were taken, so this one is accepted after them.
    assert_eq!(fixture.connect().send(&Request::get("/.well-known/jwks.json")).status, 200);
    fixture.relay.wait_for_metric(FAILURES, 3);
}

#[test]
fn stalled_handshakes_delay_no_other_client() {
    let fixture = TlsFixture::with_config(&[("header_timeout", "60s")]);
    let stalled: Vec<Connection> = (0..200)
        .map(|_| {
            let mut connection = Connection::open(fixture.relay.listen);
            connection.write(PARTIAL_HELLO);
            connection
        })
        .collect();
    wait_until("all are accepted", || fixture.relay.metric("docrelay_connections") > 200);
    let mut follower = fixture.follow();
    let id = fixture.complete(1);
    assert_eq!(follower.next_event().id, id);
    assert_eq!(fixture.relay.metric(FAILURES), 0);
    drop(stalled);
}

#[test]
fn plain_http_to_the_tls_address_gets_a_problem() {
    let fixture = TlsFixture::start();
    let mut connection = Connection::open(fixture.relay.listen);
    let response = connection.send(&Request::get("/"));
    assert!(assert_problem(&response, 400).contains("https://"), "{response:?}");
    assert_eq!(connection.read(TIMEOUT), ReadOutcome::Closed);
    fixture.relay.wait_for_output(response.header("x-request-id").expect("an id"));
}

#[test]
fn reported_urls_are_https_and_commands_reach_the_relay() {
    let fixture = TlsFixture::start();
    let base = format!("https://{}", fixture.relay.listen);
    fixture.relay.wait_for_output(&format!("{base}/events/client"));
    let hook = fixture.relay.add_hook("acme", "gini", &[]);
    assert_eq!(hook.json["url"], format!("{base}{}", hook.path));
    assert!(fixture.relay.admin("GET", "/livez").status == 200, "the admin address has no TLS");
}

#[test]
fn curl_verifies_the_chain() {
    let fixture = TlsFixture::start();
    let mut curl = std::process::Command::new("curl");
    let url = format!("https://localhost:{}/.well-known/jwks.json", fixture.relay.listen.port());
    curl.args(["-sS", "--fail", "--cacert", &text(&fixture.authority.root()), &url]);
    let output = run(without_proxy(&mut curl)).succeeded();
    assert!(output.stdout.contains("\"keys\""), "{output:?}");
}
