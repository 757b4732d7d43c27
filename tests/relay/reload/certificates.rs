//! Paths of certificates that change: new connections get the new certificate, streams of older ones go on.

use super::ConfiguredRelay;
use crate::harness::connection::Connection;
use crate::harness::fixture::document_id;
use crate::harness::follower::Follower;
use crate::harness::request::Request;
use crate::harness::response::stored_event_id;
use crate::harness::tls::{Authority, Certificate, text};

fn file(certificate: &Certificate) -> String {
    format!("tls_cert = \"{}\"\ntls_key = \"{}\"\n", text(&certificate.chain), text(&certificate.key))
}

#[test]
fn new_paths_serve_the_new_certificate_and_old_streams_go_on() {
    let authority = Authority::new();
    let (first, second) = (authority.issue("first"), authority.issue("second"));
    let configured = ConfiguredRelay::start(&file(&first));
    let (relay, client) = (&configured.relay, authority.client());
    relay.add_client("acme");
    let (hook, token) = (relay.add_hook("acme", "gini", &[]).path, relay.token("acme"));
    let connect = || Connection::open_tls(relay.listen, &client);
    let served = || connect().session().peer_certificates().expect("certificates")[0].to_vec();
    assert_eq!(served(), first.der().to_vec());
    let mut stream = connect();
    stream.write(Request::get("/events/client").bearer(&token).bytes());
    let mut stream = Follower::over(stream);

    assert_eq!(configured.reload(&file(&second))["needsRestart"], serde_json::json!([]));
    assert_eq!(served(), second.der().to_vec());
    let body = format!(r#"{{"documentId":"{}","status":"COMPLETED"}}"#, document_id(1));
    let id = stored_event_id(&connect().send(&Request::post(&hook).json(&body)));
    assert_eq!(stream.next_event().id, id);

    // The relay watches the new files, no longer the old ones.
    let third = authority.issue("third");
    first.overwrite_with(&third);
    second.overwrite_with(&third);
    relay.wait_for_output("TLS certificate reloaded");
    assert_eq!(served(), third.der().to_vec());
    let output = relay.output();
    let reloaded: Vec<&str> = output.lines().filter(|line| line.contains("TLS certificate reloaded")).collect();
    assert!(reloaded.len() == 1 && reloaded[0].contains("second.chain.pem"), "{output}");
}

#[test]
fn unreadable_or_wrong_certificate_changes_nothing() {
    let authority = Authority::new();
    let (first, second) = (authority.issue("first"), authority.issue("second"));
    let configured = ConfiguredRelay::start(&file(&first));
    let client = authority.client();
    let absent = Certificate { chain: authority.path("absent.pem"), key: second.key.clone() };
    let mixed = Certificate { chain: second.chain.clone(), key: first.key.clone() };
    for (wrong, expected) in [(absent, "absent.pem: No such file"), (mixed, "does not belong to the first certificate")]
    {
        let reason = configured.reload_refused(&format!("cors_origins = []\n{}", file(&wrong)));
        assert!(reason.contains(expected), "{reason}");
        let mut connection = Connection::open_tls(configured.relay.listen, &client);
        assert_eq!(connection.session().peer_certificates().expect("certificates")[0], first.der());
        let page = connection.send(&Request::get("/").header("Origin", "https://a.example"));
        assert_eq!(page.header("access-control-allow-origin"), Some("*"), "nothing has changed");
    }
}

#[test]
fn tls_that_is_turned_on_needs_a_restart() {
    let authority = Authority::new();
    let configured = ConfiguredRelay::start("");
    let report = configured.reload(&file(&authority.issue("first")));
    assert_eq!(report["needsRestart"], serde_json::json!(["tls_cert", "tls_key"]));
    assert_eq!(configured.relay.send(&Request::get("/")).status, 200);
}
