//! The guide's configuration of nginx, HAProxy and Caddy: events pass at once and unchanged, and an idle stream stays
//! open. The surrounding configuration enables compression, which the guide's block must prevent.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{block, replace_all};
use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::follower::{Follower, Next};
use crate::harness::http2::Http2Connection;
use crate::harness::proxy::{Proxy, ProxyProgram, nginx_with};
use crate::harness::request::{HOST, Request};
use crate::harness::response::stored_event_id;
use crate::harness::tls::TlsFixture;

/// Longer than the timeout of 30 s in the guide's configuration, so that only idle lines keep a stream open.
const IDLE: Duration = Duration::from_secs(35);

/// Starts a proxy with the guide's configuration.
#[track_caller]
fn start(program: &ProxyProgram, relay: SocketAddr) -> Proxy {
    program.start(|listen| match program.name {
        "nginx" => nginx(listen, relay),
        "haproxy" => haproxy(listen, relay),
        _ => caddy(listen, relay),
    })
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
    nginx_with("gzip on;\ngzip_proxied any;\ngzip_min_length 0;\ngzip_types text/event-stream;\n", &inside)
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
    let Some(programs) = ProxyProgram::find_all() else { return };
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    let mut all: Vec<(Proxy, Follower)> = Vec::new();
    for program in programs {
        let (name, proxy) = (program.name, start(&program, relay.listen));
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

/// HTTP/1.1 and HTTP/2 with the relay's certificate, from addresses that HAProxy names by the PROXY protocol.
#[test]
fn guide_haproxy_forwards_tls_with_the_address_of_the_client() {
    let Some(programs) = ProxyProgram::find_all() else { return };
    let keys: toml::Table = block("HAProxy without TLS of its own", "toml").parse().expect("a configuration");
    assert_eq!(keys["proxy_protocol"].as_bool(), Some(true));
    let trusted = keys["trusted_proxies"][0].as_str().expect("an address");
    let config =
        [("trusted_proxies", trusted), ("proxy_protocol", "true"), ("log_format", "json"), ("log_level", "debug")];
    let fixture = TlsFixture::with_config(&config);
    let haproxy = programs.into_iter().find(|program| program.name == "haproxy").expect("HAProxy");
    let proxy = haproxy.start(|listen| {
        let addresses = [("bind :443", format!("bind {listen}")), ("127.0.0.1:8443", fixture.relay.listen.to_string())];
        let addresses = addresses.each_ref().map(|(guide, test)| (*guide, test.as_str()));
        replace_all(block("HAProxy without TLS of its own", "haproxy"), &addresses)
    });
    let connection = Connection::open_from(Ipv4Addr::new(127, 0, 0, 7), proxy.listen);
    let mut connection = connection.try_start_tls(&fixture.client).expect("a handshake");
    connection.write(Request::get("/events/client").bearer(&fixture.token).bytes());
    let mut follower = Follower::over(connection);
    let mut http2 = Http2Connection::open_tls(proxy.listen, &fixture.client);
    let mut stream = http2.open_stream(&Request::get("/events/client").bearer(&fixture.token));
    let body = json!({"documentId": "626626a0-749f-11e2-bfd6-000000000001", "status": "COMPLETED"});
    let id = stored_event_id(&http2.send(&Request::post(&fixture.hook).json(&body.to_string())));
    assert_eq!(follower.next_event().id, id);
    assert_eq!(http2.events(&mut stream, 1)[0].id, id);
    fixture.relay.wait_for_output("\"address\":\"127.0.0.7\"");
    assert_eq!(fixture.relay.metric("docrelay_proxy_header_failures_total"), 0);
}
