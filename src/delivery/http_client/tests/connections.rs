//! Connections: how they are opened, reused and lost, and the errors when there is none.

use tokio::io::AsyncWriteExt;

use super::servers::{answer, assert_not_called, bind, drive_io, read, receive, until_closed, with_server};
use super::{HttpClientOptions, LONG, ReqwestClient, SHORT, error, get, local, options, post, response};
use crate::delivery::{HttpClient, HttpError, HttpExchange};
use crate::vendor::OutgoingRequest;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn no_connection(exchange: &HttpExchange) -> &str {
    match error(exchange) {
        HttpError::Connection(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn request_is_sent_with_its_headers_and_body_unchanged() {
    let (listener, base) = bind().await;
    let mut request = post(&format!("{base}/hook?x=%20y"));
    request.headers.push(("authorization".to_owned(), "Bearer tökën".to_owned()));
    let http_client = local(LONG);
    let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let (seen, exchange) = tokio::join!(answer(&listener, head), http_client.exchange(request));
    assert_eq!(response(&exchange).status, 200);
    assert!(seen.starts_with("POST /hook?x=%20y HTTP/1.1\r\n") && seen.ends_with("\r\n\r\n{\"n\":1}"), "{seen}");
    for line in [
        "content-type: application/json",
        "authorization: Bearer tökën",
        "content-length: 7",
        concat!("user-agent: docrelay/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(seen.contains(&format!("\r\n{line}\r\n")), "{line} in {seen}");
    }
    let (seen, _) = tokio::join!(answer(&listener, head), http_client.exchange(get(&base)));
    assert!(seen.starts_with("GET / HTTP/1.1\r\n") && !seen.contains("content-length"), "{seen}");
    assert!(!seen.contains("cookie") && !seen.contains("referer"), "{seen}");
}

#[tokio::test]
async fn header_with_a_line_break_is_not_sent() {
    let (listener, base) = bind().await;
    for (name, value) in [("cookie", "a\r\nx: y"), ("bad name", "x"), ("cookie", "a\0b")] {
        let mut request = post(&base);
        request.headers.push((name.to_owned(), value.to_owned()));
        let exchange = local(LONG).exchange(request).await;
        assert!(matches!(error(&exchange), HttpError::Forbidden(_)), "{:?}", exchange.result);
    }
    assert_not_called(&listener).await;
}

#[tokio::test]
async fn connection_is_reused_after_a_complete_response() {
    let (listener, base) = bind().await;
    let http_client = local(LONG);
    let server = async {
        loop {
            let (mut socket, _) = receive(&listener).await;
            socket.write_all(OK).await.expect("sent");
            // The connection returns to the pool shortly after the end of the body: an earlier request opens another.
            if read(&mut socket).await.is_some() {
                socket.write_all(b"HTTP/1.1 299 Again\r\ncontent-length: 0\r\n\r\n").await.expect("sent");
                break until_closed(socket).await;
            }
        }
    };
    let calls = async {
        while response(&http_client.exchange(post(&base)).await).status != 299 {
            drive_io().await;
        }
    };
    tokio::time::timeout(LONG, with_server(server, calls)).await.expect("a connection that is used twice");
}

#[tokio::test]
async fn idle_connection_is_closed_before_servers_close_theirs() {
    let (listener, base) = bind().await;
    let http_client = local(LONG);
    let server = async {
        let (mut socket, _) = receive(&listener).await;
        socket.write_all(OK).await.expect("sent");
        let idle = std::time::Instant::now();
        until_closed(socket).await;
        idle.elapsed()
    };
    let calls = http_client.exchange(post(&base));
    let (idle, exchange) = tokio::time::timeout(LONG, async { tokio::join!(server, calls) }).await.expect("closed");
    assert_eq!(response(&exchange).status, 200);
    // Node.js and uvicorn close after 5 s. The pool looks for idle connections once per timeout.
    assert!(idle < std::time::Duration::from_secs(5), "{idle:?}");
}

#[tokio::test]
async fn connections_beyond_the_limit_of_all_hosts_are_closed_after_their_response() {
    let options = HttpClientOptions { max_kept_connections: 2, ..options(LONG, &["127.0.0.0/8"]) };
    let http_client = ReqwestClient::new(options).expect("a client");
    let (mut sockets, mut closed) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let (listener, base) = bind().await;
        let server = async {
            let (mut socket, seen) = receive(&listener).await;
            socket.write_all(OK).await.expect("sent");
            (socket, seen)
        };
        let ((socket, seen), exchange) = tokio::join!(server, http_client.exchange(post(&base)));
        assert_eq!(response(&exchange).status, 200);
        sockets.push(socket);
        closed.push(seen.contains("\r\nconnection: close\r\n"));
    }
    assert_eq!(closed, [false, false, true, true]);
}

#[tokio::test]
async fn pooled_connection_closed_by_the_server_fails_no_request() {
    let (listener, base) = bind().await;
    let http_client = local(LONG);
    let server = async {
        loop {
            let (mut socket, _) = receive(&listener).await;
            socket.write_all(OK).await.expect("sent");
            // Closed without `connection: close`.
        }
    };
    let calls = async {
        for round in 0..50 {
            let exchange = http_client.exchange(post(&base)).await;
            assert_eq!(exchange.result.map(|response| response.status), Ok(200), "round {round}");
            drive_io().await;
        }
    };
    with_server(server, calls).await;
}

#[tokio::test]
async fn post_with_empty_body_states_its_length() {
    let (listener, base) = bind().await;
    let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let request = OutgoingRequest { body: bytes::Bytes::new(), ..post(&base) };
    let http_client = local(LONG);
    let (seen, _) = tokio::join!(answer(&listener, head), http_client.exchange(request));
    assert_eq!(seen.matches("\r\ncontent-length: 0\r\n").count(), 1, "{seen}");
}

#[tokio::test]
async fn refused_connection_is_reported_with_the_port_only() {
    let (listener, base) = bind().await;
    drop(listener);
    let exchange = local(LONG).exchange(post(&format!("{base}/hook?token=secret"))).await;
    let reason = no_connection(&exchange);
    assert!(reason.starts_with(base.trim_start_matches("http://")), "{reason}");
    assert!(reason.contains("refused") && !reason.contains("secret") && !reason.contains("hook"), "{reason}");
}

#[tokio::test]
async fn server_without_tls_is_a_connection_error() {
    let (listener, base) = bind().await;
    let server = async {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.expect("sent");
        until_closed(socket).await;
    };
    let secure = format!("{}/hook?token=secret", base.replace("http:", "https:"));
    let exchange = with_server(server, local(LONG).exchange(post(&secure))).await;
    let reason = no_connection(&exchange);
    assert!(reason.starts_with("127.0.0.1:") && !reason.contains("secret"), "{reason}");
}

#[tokio::test]
async fn deadline_includes_the_tls_handshake() {
    let (listener, base) = bind().await;
    let server = async {
        let (socket, _) = listener.accept().await.expect("a connection");
        until_closed(socket).await;
    };
    let http_client = local(SHORT);
    let secure = base.replace("http:", "https:");
    let ((), exchange) = tokio::join!(server, http_client.exchange(post(&secure)));
    assert_eq!(*error(&exchange), HttpError::Timeout(SHORT));
}

#[tokio::test]
async fn connection_lost_before_the_response_is_reported_with_the_port() {
    let (listener, base) = bind().await;
    let server = async { drop(receive(&listener).await) };
    let exchange = with_server(server, local(LONG).exchange(post(&format!("{base}/?token=secret")))).await;
    let HttpError::Broken(reason) = error(&exchange) else { panic!("{:?}", exchange.result) };
    assert!(reason.starts_with(base.trim_start_matches("http://")) && !reason.contains("secret"), "{reason}");
}
