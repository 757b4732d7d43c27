//! Forbidden addresses: every spelling is refused by the check and by the request, and the checked addresses are the
//! ones that are connected to.

use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::servers::{answer, assert_not_called, bind, with_server};
use super::{LONG, SHORT, Script, error, get, local, named, options, post, response};
use crate::auth::KeySetClient;
use crate::delivery::http_client::ReqwestClient;
use crate::delivery::http_client::dns::DnsResolver;
use crate::delivery::http_client::guard::Resolver;
use crate::delivery::{HttpClient, HttpError};

const PUBLIC: &str = "93.184.216.34";

/// Asserts that `check` and `exchange` refuse the URL with the same reason, without a connection.
async fn refused(http_client: &ReqwestClient, url: &str) -> String {
    let Err(checked) = http_client.check(url).await else { panic!("{url} passed the check") };
    let exchange = http_client.exchange(post(url)).await;
    let HttpError::Forbidden(called) = error(&exchange).clone() else { panic!("{url}: {:?}", exchange.result) };
    assert_eq!(checked.to_string(), called, "{url}");
    called
}

#[tokio::test]
async fn only_http_and_https_urls_without_credentials_are_allowed() {
    let http_client = named(&[], Script::of(&[&[PUBLIC]]));
    for url in [
        "",
        "example.com",
        "//example.com",
        "/hook",
        "ftp://example.com",
        "file:///etc/passwd",
        "gopher://example.com",
        "ws://example.com",
        "unix:/run/x.sock",
        "data:text/plain,x",
        "javascript:alert(1)",
        "http://",
        "http://[::1",
        "http://exa mple.com",
        "http://user@example.com",
        "http://user:word@example.com",
        "https://:word@example.com",
    ] {
        refused(&http_client, url).await;
    }
    for url in ["http://example.com", "HTTPS://EXAMPLE.com:8443/x?y=z", "http://93.184.216.34/"] {
        assert_eq!(http_client.check(url).await, Ok(()), "{url}");
    }
}

// Rule 20: addresses in URLs are checked.
#[tokio::test]
async fn forbidden_address_is_refused_in_every_spelling() {
    // This resolver returns public addresses only: IP addresses do not reach it.
    let http_client = named(&[], Script::of(&[&[PUBLIC]]));
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.01",
        "127.0.0.1.",
        "0",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "169.254.169.254",
        "0xa9fea9fe",
        "10.0.0.1",
        "100.100.100.200",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "a.b.localhost.",
        "ｌocalhost",
    ] {
        for url in [format!("http://{host}/"), format!("https://{host}:8443/hook?token=secret")] {
            let reason = refused(&http_client, &url).await;
            assert!(reason.contains("use allow_private_endpoints to open a range"), "{reason}");
            assert!(!reason.contains("secret"), "{reason}");
        }
    }
}

// Rule 21: each resolved address is checked and used.
#[tokio::test]
async fn host_with_one_forbidden_address_is_refused() {
    for answer in [
        &["10.0.0.1"][..],
        &[PUBLIC, "10.0.0.1"],
        &["10.0.0.1", PUBLIC],
        &[PUBLIC, "2606:4700::1111", "::ffff:169.254.169.254"],
        &["2606:4700::1111", "fe80::1"],
    ] {
        let http_client = named(&[], Script::of(&[answer]));
        let reason = refused(&http_client, "http://hooks.example.com/x?token=secret").await;
        assert!(reason.starts_with("hooks.example.com is not a public address ("), "{reason}");
        assert!(!reason.contains("10.0.0.1") && !reason.contains("secret"), "{reason}");
    }
}

// Rule 21: each resolved address is checked and used.
#[tokio::test]
async fn host_that_becomes_private_after_the_check_is_refused() {
    let (listener, base) = bind().await;
    let port = base.rsplit(':').next().expect("a port");
    let url = format!("http://hooks.example.com:{port}/");
    let http_client = named(&[], Script::of(&[&[PUBLIC], &["127.0.0.1"]]));
    assert_eq!(http_client.check(&url).await, Ok(()));
    let exchange = http_client.exchange(post(&url)).await;
    assert!(matches!(error(&exchange), HttpError::Forbidden(_)), "{:?}", exchange.result);
    assert_not_called(&listener).await;
}

#[tokio::test]
async fn host_is_resolved_once_and_the_checked_address_is_used() {
    let (listener, base) = bind().await;
    let port = base.rsplit(':').next().expect("a port");
    // A second lookup would be refused.
    let http_client = named(&["127.0.0.0/8"], Script::of(&[&["127.0.0.1"], &["10.0.0.1"]]));
    let url = format!("http://hooks.example.com:{port}/a?b=c");
    let (request, exchange) =
        tokio::join!(answer(&listener, b"HTTP/1.1 204 \r\nconnection: close\r\n\r\n"), http_client.exchange(get(&url)));
    assert_eq!(response(&exchange).status, 204);
    assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nhost: hooks.example.com:{port}\r\n")), "{request}");
}

#[tokio::test]
async fn host_with_an_unreachable_address_is_reached_at_the_next_one() {
    let (listener, base) = bind().await;
    let port = base.rsplit(':').next().expect("a port");
    // The listener is bound to the second address only.
    let http_client = named(&["127.0.0.0/8"], Script::of(&[&["127.0.0.2", "127.0.0.1"]]));
    let served = async { drop(answer(&listener, b"HTTP/1.1 204 \r\n\r\n").await) };
    let exchange = with_server(served, http_client.exchange(post(&format!("http://hooks.example.com:{port}/")))).await;
    assert_eq!(response(&exchange).status, 204);
}

#[tokio::test]
async fn allowed_range_is_called_and_others_stay_forbidden() {
    let (listener, base) = bind().await;
    let http_client = local(LONG);
    let mapped = base.replace("127.0.0.1", "[::ffff:127.0.0.1]");
    for url in [&base, &base.replace("127.0.0.1", "0x7f.1"), &mapped] {
        assert_eq!(http_client.check(url).await, Ok(()));
    }
    let served = answer(&listener, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let exchange = with_server(async { drop(served.await) }, http_client.exchange(post(&base))).await;
    assert_eq!((response(&exchange).status, &response(&exchange).body[..]), (200, &b"ok"[..]));
    for url in ["http://10.0.0.1/", "http://[::1]/", "http://169.254.169.254/"] {
        refused(&http_client, url).await;
    }
}

#[tokio::test]
async fn localhost_is_called_at_its_opened_loopback_addresses_only() {
    let (listener, base) = bind().await;
    let url = base.replace("127.0.0.1", "localhost");
    for found in [&["127.0.0.1", "::1"][..], &["::1", "10.0.0.1", PUBLIC, "127.0.0.1"]] {
        let http_client = named(&["127.0.0.0/8", "10.0.0.0/8"], Script::of(&[found]));
        assert_eq!(http_client.check(&url).await, Ok(()));
        let served = async { drop(answer(&listener, b"HTTP/1.1 204 \r\nconnection: close\r\n\r\n").await) };
        let exchange = with_server(served, http_client.exchange(post(&url))).await;
        assert_eq!(response(&exchange).status, 204, "{found:?}");
    }
    let both = Script::of(&[&["127.0.0.1", "::1"]]);
    assert_eq!(named(&["::1/128"], both.clone()).check("http://a.localhost:8080/").await, Ok(()));
    // One opened loopback address does not open the other one, and other hosts keep the strict rule.
    refused(&named(&["127.0.0.0/8"], Script::of(&[&["::1"]])), "http://localhost/").await;
    refused(&named(&["::1/128"], Script::of(&[&["127.0.0.1"]])), "http://localhost/").await;
    refused(&named(&["10.0.0.0/8"], both.clone()), "http://localhost/").await;
    refused(&named(&["127.0.0.0/8"], both), "http://hooks.example.com/").await;
    for found in [&["10.0.0.1"][..], &[PUBLIC]] {
        let http_client = named(&["127.0.0.0/8", "10.0.0.0/8"], Script::of(&[found]));
        let exchange = http_client.exchange(post("http://localhost/")).await;
        assert_eq!(*error(&exchange), HttpError::Unresolved("localhost".to_owned()), "{found:?}");
    }
}

#[tokio::test]
async fn unresolvable_host_passes_the_check_and_fails_the_request() {
    let http_client = named(&[], Script::of(&[]));
    assert_eq!(http_client.check("http://nowhere.example/").await, Ok(()));
    let exchange = http_client.exchange(post("http://nowhere.example/?token=secret")).await;
    assert_eq!(*error(&exchange), HttpError::Unresolved("nowhere.example".to_owned()));
}

/// A resolver that never returns.
struct Silent;

impl Resolver for Silent {
    fn look_up(&self, _host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(pending())
    }
}

#[tokio::test]
async fn resolver_that_never_returns_ends_in_timeouts() {
    let http_client = ReqwestClient::with_resolver(options(SHORT, &[]), Arc::new(Silent)).expect("a client");
    let checked = tokio::time::timeout(LONG, http_client.check("http://slow.example/")).await;
    assert_eq!(checked.expect("an end"), Ok(()));
    let exchange = http_client.exchange(post("http://slow.example/")).await;
    assert_eq!(*error(&exchange), HttpError::Timeout(SHORT));
}

#[tokio::test]
async fn system_resolver_resolves_localhost_to_loopback() {
    let found = DnsResolver::new(&[]).look_up("localhost").await.expect("every machine knows localhost");
    assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
}

#[tokio::test]
async fn key_set_without_tls_is_fetched_from_the_address_that_was_checked() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://keys.example.com:{}/keys", server.local_addr().expect("bound").port());
    let serve = async {
        let (mut socket, _) = server.accept().await.expect("a connection");
        let response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        // A response before the request is not HTTP.
        assert!(socket.read(&mut [0; 1024]).await.expect("a request") > 0);
        socket.write_all(response.as_bytes()).await.expect("sent");
    };
    // A name server that gives the second query another address.
    let rebinding = named(&["127.0.0.0/8"], Script::of(&[&["127.0.0.1"], &[PUBLIC]]));
    let fetched = tokio::select! {
        (fetched, ()) = async { tokio::join!(rebinding.fetch_key_set(&url), serve) } => fetched,
        () = tokio::time::sleep(LONG) => panic!("it connects to another address"),
    };
    assert_eq!(fetched.expect("a document").body, "{}");
    for answer in [&[PUBLIC][..], &["127.0.0.1", PUBLIC]] {
        let reason = named(&["127.0.0.0/8"], Script::of(&[answer])).fetch_key_set(&url).await.expect_err("refused");
        assert!(reason.0.contains("http:// is for addresses that allow_private_endpoints opens"), "{reason}");
    }
}
