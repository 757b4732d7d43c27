//! A server for tests that says what it is told to say, one connection after the other.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Makes an answer from a request.
pub(super) type Answer = Box<dyn Fn(&str) -> String>;

/// A listener on a free port of this machine, and its base address.
pub(super) async fn bind() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    (listener, base)
}

/// Answers each connection with the next of `answers`, made from the request; returns the requests.
pub(super) async fn serve(listener: TcpListener, answers: Vec<Answer>) -> Vec<String> {
    let mut requests = Vec::new();
    for answer in answers {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let request = request(&mut socket).await.expect("a whole request");
        socket.write_all(answer(&request).as_bytes()).await.expect("sent");
        socket.shutdown().await.expect("closed");
        requests.push(request);
    }
    requests
}

/// Reads one request; `None` when it ends early or is no text, as one in TLS is.
pub(super) async fn request(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !is_whole(&bytes) {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

/// An answer that does not depend on the request.
pub(super) fn always(answer: &str) -> Answer {
    let answer = answer.to_owned();
    Box::new(move |_| answer.clone())
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}
