//! A scripted HTTP server for the tests of commands: one response per connection.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Builds a response from a request.
pub(super) type Response = Box<dyn Fn(&str) -> String>;

/// A listener on a free port, and its base URL.
pub(super) async fn bind() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    (listener, base)
}

/// Sends one response per connection, in this order; returns the requests.
pub(super) async fn serve(listener: TcpListener, responses: Vec<Response>) -> Vec<String> {
    let mut requests = Vec::new();
    for response in responses {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let request = request(&mut socket).await.expect("a complete request");
        socket.write_all(response(&request).as_bytes()).await.expect("sent");
        socket.shutdown().await.expect("closed");
        requests.push(request);
    }
    requests
}

/// Reads one request; `None` if the connection ends early or sends other bytes than UTF-8, such as TLS.
pub(super) async fn request(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !is_complete(&bytes) {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

/// A response that does not depend on the request.
pub(super) fn always(response: &str) -> Response {
    let response = response.to_owned();
    Box::new(move |_| response.clone())
}

fn is_complete(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}
