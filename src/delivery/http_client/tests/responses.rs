//! Responses that are endless, slow, huge, compressed or malformed: none exceeds the limits on bytes and time.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::servers::{answer, assert_not_called, bind, flood, receive, until_closed, with_server};
use super::{LONG, SHORT, error, get, local, post, response};
use crate::delivery::{HttpClient, HttpError, HttpExchange, HttpResponse};

/// Much longer than the deadline, much shorter than a test that hangs.
const SOON: Duration = Duration::from_secs(10);

/// The exchange with a server that responds with these bytes.
async fn exchange_with(bytes: &[u8]) -> HttpExchange {
    let (listener, base) = bind().await;
    with_server(async { drop(answer(&listener, bytes).await) }, local(LONG).exchange(post(&base))).await
}

#[tokio::test]
async fn response_is_returned_with_status_body_and_retry_after() {
    let exchange = exchange_with(b"HTTP/1.1 503 Busy\r\nretry-after: 120\r\ncontent-length: 4\r\n\r\nbusy").await;
    assert_eq!((response(&exchange).status, &response(&exchange).body[..]), (503, &b"busy"[..]));
    assert_eq!(response(&exchange).retry_after, Some(Duration::from_secs(120)));
    assert!(exchange.duration > Duration::ZERO);
}

#[tokio::test]
async fn malformed_retry_after_of_a_response_is_ignored() {
    for value in ["inf", "1e300", "-5", "", "5\r\nretry-after: 6"] {
        let bytes = format!("HTTP/1.1 503 Busy\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n");
        let exchange = exchange_with(bytes.as_bytes()).await;
        assert_eq!((response(&exchange).status, response(&exchange).retry_after), (503, None), "{value}");
    }
}

// Rule 24: responses are bounded.
#[tokio::test]
async fn endless_body_is_cut_at_16_kib_and_its_connection_closed() {
    let plain = [b'x'; 8192];
    let chunk = [&b"2000\r\n"[..], &plain, b"\r\n"].concat();
    for (framing, piece) in [
        ("content-length: 9223372036854775807", &plain[..]),
        ("transfer-encoding: chunked", &chunk),
        ("connection: close", &plain),
    ] {
        let (listener, base) = bind().await;
        let http_client = local(LONG);
        let server = async {
            let (mut socket, _) = receive(&listener).await;
            let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
            socket.write_all(head.as_bytes()).await.expect("sent");
            // Ends only when the client closes the connection.
            flood(&mut socket, piece).await
        };
        let (written, exchange) = tokio::join!(server, http_client.exchange(post(&base)));
        let HttpResponse { status, body, .. } = response(&exchange);
        assert_eq!((*status, body.len()), (200, 16 << 10), "{framing}");
        assert!(body.iter().all(|b| *b == b'x') && exchange.duration < SOON, "{framing}");
        assert!(written < 32 << 20, "{framing}: {written}");
    }
}

// Rule 24: responses are bounded.
#[tokio::test]
async fn slow_body_is_cut_at_the_deadline() {
    let (listener, base) = bind().await;
    let http_client = local(SHORT);
    let server = async {
        let (mut socket, _) = receive(&listener).await;
        socket.write_all(b"HTTP/1.1 202 OK\r\ncontent-length: 1000000\r\n\r\nbegin").await.expect("sent");
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        while socket.write_all(b".").await.is_ok() {
            tick.tick().await;
        }
    };
    let ((), exchange) = tokio::join!(server, http_client.exchange(post(&base)));
    let HttpResponse { status, body, .. } = response(&exchange);
    assert_eq!(*status, 202);
    assert!(body.starts_with(b"begin") && body.len() < 1000);
    assert!(exchange.duration >= SHORT && exchange.duration < SOON, "{:?}", exchange.duration);
}

#[tokio::test]
async fn missing_response_is_a_timeout_and_closes_the_connection() {
    let (listener, base) = bind().await;
    for beginning in ["", "HTTP/1.1 200 OK\r\nx: "] {
        let server = async {
            let (mut socket, _) = receive(&listener).await;
            socket.write_all(beginning.as_bytes()).await.expect("sent");
            until_closed(socket).await;
        };
        let http_client = local(SHORT);
        let ((), exchange) = tokio::join!(server, http_client.exchange(post(&base)));
        assert_eq!(*error(&exchange), HttpError::Timeout(SHORT));
        assert!(exchange.duration >= SHORT && exchange.duration < SOON, "{:?}", exchange.duration);
    }
}

#[tokio::test]
async fn endless_interim_responses_end_at_the_deadline() {
    let (listener, base) = bind().await;
    let server = async {
        let (mut socket, _) = receive(&listener).await;
        flood(&mut socket, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n").await
    };
    let http_client = local(SHORT);
    let (_, exchange) = tokio::join!(server, http_client.exchange(post(&base)));
    assert_eq!(*error(&exchange), HttpError::Timeout(SHORT));
    assert!(exchange.duration < SOON, "{:?}", exchange.duration);
}

#[tokio::test]
async fn huge_response_head_is_an_error_and_is_not_read_completely() {
    let many = b"x-filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(100);
    for piece in [many, vec![b'a'; 8192]] {
        let (listener, base) = bind().await;
        let server = async {
            let (mut socket, _) = receive(&listener).await;
            socket.write_all(b"HTTP/1.1 200 OK\r\nx-long: ").await.expect("sent");
            flood(&mut socket, &piece).await
        };
        let http_client = local(LONG);
        let (written, exchange) = tokio::join!(server, http_client.exchange(post(&base)));
        let HttpError::Broken(reason) = error(&exchange) else { panic!("{:?}", exchange.result) };
        assert!(reason.starts_with("127.0.0.1:"), "{reason}");
        assert!(exchange.duration < SOON && written < 32 << 20, "{written}");
    }
}

// Rule 24: responses are bounded.
#[tokio::test]
async fn compression_is_neither_requested_nor_decoded() {
    let (listener, base) = bind().await;
    let packed = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0xff; 90]].concat();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
    let http_client = local(LONG);
    let server = async {
        let (mut socket, request) = receive(&listener).await;
        socket.write_all(&[head.as_bytes(), &packed].concat()).await.expect("sent");
        request
    };
    let (request, exchange) = tokio::join!(server, http_client.exchange(get(&base)));
    assert_eq!(response(&exchange).body, packed);
    assert!(!request.to_ascii_lowercase().contains("accept-encoding"), "{request}");
}

// Rule 22: no redirects, no proxies.
#[tokio::test]
async fn redirect_is_returned_and_not_followed() {
    let (elsewhere, target) = bind().await;
    for status in [301, 302, 303, 307, 308] {
        let bytes = format!("HTTP/1.1 {status} Moved\r\nlocation: {target}/next\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(response(&exchange_with(bytes.as_bytes()).await).status, status);
    }
    assert_not_called(&elsewhere).await;
}

#[tokio::test]
async fn response_that_is_not_http_is_an_error_with_the_port() {
    for bytes in ["SSH-2.0-OpenSSH_9.2\r\n", "<html>hello</html>\r\n\r\n", "HTTP/9.9 200 OK\r\n\r\n"] {
        let exchange = exchange_with(bytes.as_bytes()).await;
        let HttpError::Broken(reason) = error(&exchange) else { panic!("{bytes}: {:?}", exchange.result) };
        assert!(reason.starts_with("127.0.0.1:"), "{reason}");
    }
}

#[tokio::test]
async fn truncated_body_keeps_the_status() {
    let (listener, base) = bind().await;
    let server = async {
        let (mut socket, _) = receive(&listener).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await.expect("sent");
    };
    let exchange = with_server(server, local(LONG).exchange(post(&base))).await;
    assert_eq!((response(&exchange).status, &response(&exchange).body[..]), (200, &b"half"[..]));
}
