//! How a connection gets its version of HTTP: ALPN with TLS, and prior knowledge without it.

use std::process::Command;
use std::sync::Arc;

use serde_json::json;

use crate::harness::command::run;
use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::fixture::{Fixture, document_id};
use crate::harness::http2::{Http2Connection, frames};
use crate::harness::request::Request;
use crate::harness::tls::{TlsFixture, text};
use crate::harness::tool::without_proxy;
use crate::harness::{TIMEOUT, TestRelay};

const PAGE: &str = "/.well-known/jwks.json";

#[test]
fn alpn_selects_the_version_and_http_1_is_the_default() {
    let fixture = TlsFixture::start();
    for (offered, selected) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"][..], Some("h2")),
        (&["http/1.1"][..], Some("http/1.1")),
        (&[][..], None),
    ] {
        let mut client = (*fixture.client).clone();
        client.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut connection = Connection::open_tls(fixture.relay.listen, &Arc::new(client));
        assert_eq!(connection.session().alpn_protocol(), selected.map(str::as_bytes), "{offered:?}");
        if selected != Some("h2") {
            assert_eq!(connection.send(&Request::get(PAGE)).status, 200);
        }
    }
    assert_eq!(Http2Connection::open_tls(fixture.relay.listen, &fixture.client).send(&Request::get(PAGE)).status, 200);
}

#[test]
fn plain_address_serves_both_versions_by_the_first_bytes() {
    let relay = TestRelay::start();
    assert_eq!(Http2Connection::open(relay.listen).send(&Request::get(PAGE)).status, 200);
    assert_eq!(Connection::open(relay.listen).send(&Request::get(PAGE)).status, 200);
    // In pieces, and methods that begin like the preface.
    let mut connection = Connection::open(relay.listen);
    for byte in frames::opening() {
        connection.write([byte]);
    }
    let ReadOutcome::Bytes(first) = connection.read(TIMEOUT) else { panic!("no settings") };
    assert_eq!(first[3], frames::SETTINGS);
    for method in ["P", "PRI", "PRIX"] {
        let mut connection = Connection::open(relay.listen);
        for part in [method, " / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            connection.write(part);
        }
        assert_eq!(connection.read_response().status, 405, "{method}");
    }
}

#[test]
fn incomplete_preface_is_closed_after_the_header_time_out() {
    let relay = TestRelay::with_config(&[("header_timeout", "1s")]);
    let mut connection = Connection::open(relay.listen);
    connection.write(&frames::opening()[..10]);
    assert_eq!(connection.read(TIMEOUT), ReadOutcome::Closed);
    let mut connection = Connection::open(relay.listen);
    connection.write(frames::opening());
    assert!(connection.is_closed_by_peer(), "no request follows the preface");
}

#[test]
fn curl_posts_and_follows_over_each_version() {
    let fixture = TlsFixture::start();
    let plain = Fixture::start();
    let ca = text(&fixture.authority.root());
    let localhost = |port: u16| format!("localhost:{port}");
    let tls = (format!("https://{}", localhost(fixture.relay.listen.port())), &fixture.hook, &fixture.token);
    let clear = (format!("http://{}", localhost(plain.relay.listen.port())), &plain.hook, &plain.token);
    for (flag, version, (base, hook, token)) in [
        ("--http1.1", "1.1", &tls),
        ("--http2", "2", &tls),
        ("--http1.1", "1.1", &clear),
        ("--http2-prior-knowledge", "2", &clear),
    ] {
        let curl = |arguments: &[&str]| {
            let mut curl = Command::new("curl");
            curl.args(["-sS", flag, "--cacert", &ca, "-w", " v%{http_version}"]).args(arguments);
            run(without_proxy(&mut curl)).stdout
        };
        let body = json!({"documentId": document_id(1), "status": "COMPLETED"}).to_string();
        let posted = curl(&["--json", &body, &format!("{base}{hook}")]);
        assert_eq!(posted, format!("{{}} v{version}"), "{flag} {base}");
        let url = format!("{base}/events/client?last_event_id=earliest");
        // curl ends by its own time-out.
        let followed = curl(&["-N", "-m", "1", "-H", &format!("Authorization: Bearer {token}"), &url]);
        assert!(followed.starts_with("\nretry: ") && followed.contains(&document_id(1)), "{flag} {base}: {followed}");
        assert!(followed.ends_with(&format!(" v{version}")), "{followed}");
    }
}
