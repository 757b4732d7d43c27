//! A peer that reads nothing, behind a TLS session that has taken a response.

use std::future::poll_fn;
use std::process::Command;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::http::transport::request_deadline::{Exchanges, RequestTimeouts};

/// Longer than a test takes.
const LONG: Duration = Duration::from_secs(60);

const LIMIT: Duration = Duration::from_millis(200);

/// A certificate that is its own authority.
const OPENSSL_CONFIG: &str = "[req]\ndistinguished_name=dn\nx509_extensions=extensions\n[dn]\n[extensions]\n\
    subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";

fn tls_configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("config"), OPENSSL_CONFIG).expect("a file");
    let arguments = "req -config config -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=test \
        -keyout key.pem -out certificate.pem";
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(directory.path()).output();
    let output = output.expect("openssl");
    assert!(output.status.success(), "{output:?}");
    let certificate = CertificateDer::from_pem_file(path("certificate.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(path("key.pem")).expect("a key");
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a root");
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server.expect("a configuration")), Arc::new(client))
}

/// A socket with TLS whose kernel buffers are full, and its peer, which does not read.
async fn full_socket() -> (Socket, client::TlsStream<TcpStream>) {
    let (server, client) = tls_configs();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let peer = TcpSocket::new_v4().expect("a socket");
    peer.set_recv_buffer_size(4096).expect("a small buffer");
    let connect = async {
        let peer = peer.connect(listener.local_addr().expect("bound")).await.expect("a connection");
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        TlsConnector::from(client).connect(name, peer).await.expect("a handshake")
    };
    let accept = async {
        let (socket, _) = listener.accept().await.expect("a connection");
        TlsAcceptor::from(server).accept(socket).await.expect("a handshake")
    };
    let (peer, mut stream) = tokio::join!(connect, accept);
    while timeout(LIMIT, stream.write_all(&[0; 16 << 10])).await.is_ok() {}
    // The session takes more, the kernel does not.
    stream.get_mut().1.set_buffer_limit(Some(1 << 20));
    (Socket::tls(stream), peer)
}

#[tokio::test]
async fn response_that_a_tls_session_holds_ends_at_its_deadline() {
    let (socket, peer) = full_socket().await;
    let exchanges = Exchanges::default();
    let deadline =
        RequestDeadline::new(RequestTimeouts { header: LONG, keep_alive: LONG }, exchanges, Instant::now() + LONG);
    let slow_responses = Counter::default();
    let timeouts = WriteTimeouts { stall: LONG, response: Some(LIMIT) };
    let mut io = HyperIo::new(socket, timeouts, deadline, Takeover::default(), slow_responses.clone());
    let written = poll_fn(|cx| Write::poll_write(Pin::new(&mut io), cx, &[0; 1000])).await;
    assert_eq!(written.expect("taken by the session"), 1000);
    let flushed = timeout(LONG / 6, poll_fn(|cx| Write::poll_flush(Pin::new(&mut io), cx))).await;
    let error = flushed.expect("the flush ends").expect_err("the peer reads nothing");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(slow_responses.get(), 1);
    drop(peer);
}

#[tokio::test]
async fn closing_a_tls_session_whose_peer_does_not_read_ends_in_time() {
    let (socket, peer) = full_socket().await;
    timeout(LONG / 6, socket.close(LIMIT, &CancellationToken::new())).await.expect("closed after the time-out");
    drop(peer);
    let (socket, peer) = full_socket().await;
    let stop = CancellationToken::new();
    stop.cancel();
    timeout(LONG / 6, socket.close(LONG, &stop)).await.expect("closed after the stop");
    drop(peer);
}
