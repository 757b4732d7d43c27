//! How connections are made, kept and lost, and what is said when there is none.

use tokio::io::AsyncWriteExt;

use super::servers::{answer, beside, bind, let_news_arrive, nobody_called, read, receive, until_closed};
use super::{LONG, SHORT, get, local, post};
use crate::delivery::{HttpClient, HttpError, HttpExchange};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn no_connection(exchange: &HttpExchange) -> &str {
    match &exchange.failure {
        Some(HttpError::Connection(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_goes_out_as_it_was_written() {
    let (listener, base) = bind().await;
    let mut request = post(&format!("{base}/hook?x=%20y"));
    request.headers.push(("authorization".to_owned(), "Bearer tökën".to_owned()));
    let http_client = local(LONG);
    let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let (seen, exchange) = tokio::join!(answer(&listener, head), http_client.exchange(request));
    assert_eq!(exchange.status, Some(200));
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
async fn a_header_that_would_break_its_line_is_not_sent() {
    let (listener, base) = bind().await;
    for (name, value) in [("cookie", "a\r\nx: y"), ("bad name", "x"), ("cookie", "a\0b")] {
        let mut request = post(&base);
        request.headers.push((name.to_owned(), value.to_owned()));
        let exchange = local(LONG).exchange(request).await;
        assert!(matches!(exchange.failure, Some(HttpError::Forbidden(_))), "{:?}", exchange.failure);
    }
    nobody_called(&listener).await;
}

#[tokio::test]
async fn a_connection_whose_answer_was_read_serves_the_next_request() {
    let (listener, base) = bind().await;
    let http_client = local(LONG);
    let server = async {
        loop {
            let (mut socket, _) = receive(&listener).await;
            socket.write_all(OK).await.expect("sent");
            // The client puts a connection back shortly after the body has ended; the request that is made meanwhile
            // opens another.
            if read(&mut socket).await.is_some() {
                socket.write_all(b"HTTP/1.1 299 Again\r\ncontent-length: 0\r\n\r\n").await.expect("sent");
                break until_closed(socket).await;
            }
        }
    };
    let calls = async {
        while http_client.exchange(post(&base)).await.status != Some(299) {
            let_news_arrive().await;
        }
    };
    tokio::time::timeout(LONG, beside(server, calls)).await.expect("a connection that is used twice");
}

#[tokio::test]
async fn a_kept_connection_that_the_server_has_closed_is_no_failed_attempt() {
    let (listener, base) = bind().await;
    let http_client = local(LONG);
    let server = async {
        loop {
            let (mut socket, _) = receive(&listener).await;
            socket.write_all(OK).await.expect("sent");
            // Closed without having said so.
        }
    };
    let calls = async {
        for round in 0..50 {
            let exchange = http_client.exchange(post(&base)).await;
            assert_eq!((exchange.status, exchange.failure), (Some(200), None), "round {round}");
            let_news_arrive().await;
        }
    };
    beside(server, calls).await;
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_named_and_nothing_else_of_the_address() {
    let (listener, base) = bind().await;
    drop(listener);
    let exchange = local(LONG).exchange(post(&format!("{base}/hook?token=secret"))).await;
    let why = no_connection(&exchange);
    assert!(why.starts_with(base.trim_start_matches("http://")), "{why}");
    assert!(why.contains("refused") && !why.contains("secret") && !why.contains("hook"), "{why}");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_no_connection() {
    let (listener, base) = bind().await;
    let server = async {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.expect("sent");
        until_closed(socket).await;
    };
    let secure = format!("{}/hook?token=secret", base.replace("http:", "https:"));
    let exchange = beside(server, local(LONG).exchange(post(&secure))).await;
    let why = no_connection(&exchange);
    assert!(why.starts_with("127.0.0.1:") && !why.contains("secret"), "{why}");
}

#[tokio::test]
async fn the_deadline_spans_the_handshake_of_tls() {
    let (listener, base) = bind().await;
    let server = async {
        let (socket, _) = listener.accept().await.expect("a connection");
        until_closed(socket).await;
    };
    let http_client = local(SHORT);
    let secure = base.replace("http:", "https:");
    let ((), exchange) = tokio::join!(server, http_client.exchange(post(&secure)));
    assert_eq!(exchange.failure, Some(HttpError::Timeout(SHORT)));
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_told_with_its_port() {
    let (listener, base) = bind().await;
    let server = async { drop(receive(&listener).await) };
    let exchange = beside(server, local(LONG).exchange(post(&format!("{base}/?token=secret")))).await;
    let Some(HttpError::Broken(why)) = exchange.failure else { panic!("{:?}", exchange.failure) };
    assert!(why.starts_with(base.trim_start_matches("http://")) && !why.contains("secret"), "{why}");
}
