//! The certificate files: wrong ones at the start, and changed ones while the relay runs.

use crate::harness::TestRelay;
use crate::harness::connection::Connection;
use crate::harness::tls::{Authority, Certificate, TlsFixture, text};
use crate::harness::wait_until;

/// The certificate that a new connection gets.
#[track_caller]
fn served(fixture: &TlsFixture) -> Vec<u8> {
    let connection = Connection::open_tls(fixture.relay.listen, &fixture.client);
    connection.session().peer_certificates().expect("certificates")[0].to_vec()
}

#[test]
fn wrong_certificate_pair_at_start_is_explained_in_one_sentence() {
    let authority = Authority::new();
    let (good, other) = (authority.issue("good"), authority.issue("other"));
    let empty = authority.path("empty.pem");
    std::fs::write(&empty, "").expect("a file");
    let absent = authority.path("absent.pem");
    for (chain, key, expected) in [
        (&good.chain, &other.key, "does not belong to the first certificate"),
        (&good.chain, &absent, "absent.pem: No such file"),
        (&absent, &good.key, "absent.pem: No such file"),
        (&empty, &good.key, "empty.pem has no certificate"),
        (&good.chain, &empty, "empty.pem has no private key"),
        (&good.key, &good.key, "good.key has no certificate"),
        (&good.chain, &good.chain, "has no private key"),
    ] {
        let mut relay = TestRelay::not_started(&[("tls_cert", &text(chain)), ("tls_key", &text(key))]);
        let error = relay.try_start().expect_err("no relay starts");
        assert!(error.contains("exit status: 1"), "{error}");
        let output = relay.output();
        let lines: Vec<&str> = output.lines().filter(|line| !line.is_empty()).collect();
        assert!(lines.len() == 1 && lines[0].contains(expected), "{expected}: {output}");
    }
}

#[test]
fn one_file_of_a_pair_is_a_configuration_error() {
    for (given, missing) in [("tls_cert", "tls_key"), ("tls_key", "tls_cert")] {
        let mut relay = TestRelay::not_started(&[(given, "some.pem")]);
        let error = relay.try_start().expect_err("no relay starts");
        assert!(error.contains("exit status: 2"), "{error}");
        let output = relay.output();
        assert!(output.contains(&format!("{missing} must be given with {given}")), "{output}");
    }
}

#[test]
fn replaced_certificate_is_served_and_open_streams_go_on() {
    let fixture = TlsFixture::start();
    let old = fixture.certificate.der();
    let mut follower = fixture.follow();
    assert_eq!(served(&fixture), old.to_vec());
    let renewed = fixture.authority.issue("renewed");
    fixture.certificate.overwrite_with(&renewed);
    wait_until("the new certificate is served", || served(&fixture) == renewed.der().to_vec());
    fixture.relay.wait_for_output("TLS certificate reloaded");
    let id = fixture.complete(1);
    assert_eq!(follower.next_event().id, id);
}

/// As certbot does: the files are symbolic links, which are pointed to others.
#[test]
fn replaced_symbolic_links_are_noticed() {
    let authority = Authority::new();
    let (old, renewed) = (authority.issue("old"), authority.issue("renewed"));
    let links = Certificate { chain: authority.path("live.pem"), key: authority.path("live.key") };
    let point_to = |target: &Certificate| {
        for (link, file) in [(&links.chain, &target.chain), (&links.key, &target.key)] {
            std::fs::remove_file(link).ok();
            std::os::unix::fs::symlink(file, link).expect("a link");
        }
    };
    point_to(&old);
    let relay = TestRelay::with_config(&[("tls_cert", &text(&links.chain)), ("tls_key", &text(&links.key))]);
    point_to(&renewed);
    let client = authority.client();
    wait_until("the new certificate is served", || {
        let connection = Connection::open_tls(relay.listen, &client);
        connection.session().peer_certificates().expect("certificates")[0] == renewed.der()
    });
}

#[test]
fn wrong_pair_at_reload_changes_nothing_and_is_logged_once() {
    const REFUSED: &str = "TLS certificate not reloaded: the previous one stays in use";
    let fixture = TlsFixture::start();
    let old = fixture.certificate.der();
    let (half, renewed) = (fixture.authority.issue("half"), fixture.authority.issue("renewed"));
    std::fs::copy(&half.chain, &fixture.certificate.chain).expect("a copy");
    fixture.relay.wait_for_output(REFUSED);
    assert_eq!(served(&fixture), old.to_vec());
    // The relay looks at the files several times until the next pair is complete.
    fixture.certificate.overwrite_with(&renewed);
    fixture.relay.wait_for_output("TLS certificate reloaded");
    assert_eq!(served(&fixture), renewed.der().to_vec());
    let output = fixture.relay.output();
    let refused: Vec<&str> = output.lines().filter(|line| line.contains(REFUSED)).collect();
    assert!(refused.len() == 1 && refused[0].contains("WARN"), "{output}");
    std::fs::remove_file(&fixture.certificate.key).expect("a file");
    wait_until("the missing file is logged", || fixture.relay.output().matches(REFUSED).count() == 2);
    assert_eq!(served(&fixture), renewed.der().to_vec());
}
