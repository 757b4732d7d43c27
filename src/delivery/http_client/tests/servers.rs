//! Servers for the tests of the HTTP client.

use std::future::pending;
use std::pin::pin;

use futures::future::{Either, select};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A listener on a free port of this machine, and its base address.
pub(super) async fn bind() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    (listener, base)
}

/// Runs `call` to its end, and `server` concurrently.
pub(super) async fn with_server<T>(server: impl Future<Output = ()>, call: impl Future<Output = T>) -> T {
    let server = async {
        server.await;
        pending::<()>().await;
    };
    match select(pin!(call), pin!(server)).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => unreachable!("the server waits for ever"),
    }
}

/// Accepts one connection and reads one request from it.
pub(super) async fn receive(listener: &TcpListener) -> (TcpStream, String) {
    let (mut socket, _) = listener.accept().await.expect("a connection");
    let request = read(&mut socket).await.expect("a request");
    (socket, request)
}

/// Reads one request; `None` when the connection ends instead.
pub(super) async fn read(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !is_whole(&bytes) {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Responds to one request with these bytes, and keeps the connection open until the client closes it.
pub(super) async fn answer(listener: &TcpListener, bytes: &[u8]) -> String {
    let (mut socket, request) = receive(listener).await;
    socket.write_all(bytes).await.expect("sent");
    until_closed(socket).await;
    request
}

/// Writes `piece` until the other side closes the connection; returns the bytes written.
pub(super) async fn flood(socket: &mut TcpStream, piece: &[u8]) -> usize {
    let mut written = 0;
    while socket.write_all(piece).await.is_ok() {
        written += piece.len();
        // Fair to the client, which runs on the same thread.
        tokio::task::yield_now().await;
    }
    written
}

/// Returns when the peer has closed the connection, with FIN or RST.
pub(super) async fn until_closed(mut socket: TcpStream) {
    let mut rest = Vec::new();
    while matches!(socket.read_buf(&mut rest).await, Ok(1..)) {}
}

/// Asserts that no client has connected: the first accepted connection is the one that is opened here.
pub(super) async fn assert_not_called(listener: &TcpListener) {
    let own = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
    let (_, peer) = listener.accept().await.expect("a connection");
    assert_eq!(peer, own.local_addr().expect("connected"));
}

/// Lets the I/O driver run once, so that pending socket events reach their tasks.
pub(super) async fn drive_io() {
    let (listener, _) = bind().await;
    for _ in 0..3 {
        assert_not_called(&listener).await;
    }
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}
