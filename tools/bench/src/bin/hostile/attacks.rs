//! The attacks. Each counts how it ends: by a status, or by what happened to the connection.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use docrelay_bench::client::{Io, Kind, connect_tcp, read_head, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::{Target, source};

/// Between two bytes of a slow peer.
const BYTE_INTERVAL: Duration = Duration::from_millis(500);

/// The relay must end a slow exchange before that.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Longer than `write_timeout`, after which a peer that does not read is disconnected.
const STOPPED_READER_TIMEOUT: Duration = Duration::from_secs(90);

/// Streams that one flood opens and resets.
const RESETS: usize = 1000;

/// Sends the head of a request one byte at a time.
pub(crate) async fn slow_head(target: Rc<Target>, number: u64) {
    loop {
        let head = format!("GET /events/client HTTP/1.1\r\nHost: a\r\nX-Padding: {}", "x".repeat(1000));
        let ended = slowly(&target, source(1, number), head.as_bytes()).await;
        target.count("slow head", ended);
    }
}

/// Sends the body of a webhook one byte at a time.
pub(crate) async fn slow_body(target: Rc<Target>, number: u64) {
    loop {
        let head = format!("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", target.hook);
        let ended = match target.connect(Kind::Http1, source(2, number)).await {
            Ok(mut io) => match io.write_all(head.as_bytes()).await {
                Ok(()) => drip(io, &[b' '; 1000]).await,
                Err(error) => error.kind().to_string(),
            },
            Err(error) => failed(&error).await,
        };
        target.count("slow body", ended);
    }
}

async fn slowly(target: &Target, source: std::net::Ipv4Addr, bytes: &[u8]) -> String {
    match target.connect(Kind::Http1, source).await {
        Ok(io) => drip(io, bytes).await,
        Err(error) => failed(&error).await,
    }
}

/// Sends bytes slowly until there is a response, or the connection ends.
async fn drip(io: Box<dyn Io>, bytes: &[u8]) -> String {
    let (mut reader, mut writer) = tokio::io::split(io);
    let send = async {
        for byte in bytes {
            if writer.write_all(&[*byte]).await.is_err() || writer.flush().await.is_err() {
                break;
            }
            sleep(BYTE_INTERVAL).await;
        }
        std::future::pending::<()>().await;
    };
    let mut buffer = Vec::new();
    tokio::select! {
        response = within(EXCHANGE_TIMEOUT, read_head(&mut reader, &mut buffer)) => outcome(response),
        () = send => unreachable!("pending for ever"),
    }
}

/// Begins a TLS handshake, or sends nothing without TLS, and waits.
pub(crate) async fn stalled_handshake(target: Rc<Target>, number: u64) {
    loop {
        let ended = match connect_tcp(target.address, source(3, number)).await {
            Ok(mut tcp) => {
                let hello = if target.tls { &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..] } else { b"" };
                let sent = tcp.write_all(hello).await;
                match sent {
                    Ok(()) => outcome(within(EXCHANGE_TIMEOUT, read_head(&mut tcp, &mut Vec::new())).await),
                    Err(error) => error.kind().to_string(),
                }
            }
            Err(error) => failed(&error).await,
        };
        target.count("stalled handshake", ended);
    }
}

/// Opens a stream of a client with many events, reads its beginning and stops reading. The peer stays connected.
pub(crate) async fn reader_that_stops(target: Rc<Target>, number: u64) {
    loop {
        let request = format!(
            "GET /events/client?last_event_id=earliest HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n",
            target.token
        );
        match target.connect(Kind::Http1, source(4, number)).await {
            Ok(mut io) => {
                let sent = io.write_all(request.as_bytes()).await;
                let head = within(EXCHANGE_TIMEOUT, read_head(&mut io, &mut Vec::new())).await;
                target.count("reader that stops", sent.map_or_else(|e| e.kind().to_string(), |()| outcome(head)));
                sleep(STOPPED_READER_TIMEOUT).await;
            }
            Err(error) => target.count("reader that stops", failed(&error).await),
        }
    }
}

/// A request that must be refused, of a different kind each time.
pub(crate) async fn malformed(target: Rc<Target>, number: u64) {
    let post = |headers: &str, body: &[u8]| {
        let head =
            format!("POST {} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{headers}\r\n", target.hook);
        [head.as_bytes(), body].concat()
    };
    let with_length = |body: &[u8]| post(&format!("Content-Length: {}\r\n", body.len()), body);
    let request = match number % 12 {
        0 => with_length(b"{"),
        1 => with_length(&b"[".repeat(100_000)),
        2 => with_length(b"\xff\xfe{\"documentId\":1}"),
        3 => with_length(b"{\"documentId\":\"x\\u0000\",\"status\":\"NONE\"}"),
        4 => post("Content-Length: 999999999\r\n", b"{}"),
        5 => post("Transfer-Encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n"),
        6 => post("Content-Length: 2\r\nContent-Length: 3\r\n", b"{}"),
        7 => post("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
        8 => format!("GET / HTTP/1.1\r\nHost: a\r\nX-Big: {}\r\n\r\n", "x".repeat(60_000)).into_bytes(),
        9 => b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        10 => b"\0\x01\x02\x03 garbage\r\n\r\n".to_vec(),
        _ => format!("GET /in/{} HTTP/1.1\r\nHost: a\r\n\r\n", "0".repeat(40)).into_bytes(),
    };
    let ended = once(&target, source(5, number), &request).await;
    target.count("malformed", ended);
}

/// A forged token, on a stream or a request.
pub(crate) async fn bad_token(target: Rc<Target>, number: u64) {
    // The token of another key: everything but the signature is right.
    let forged = target.token.rsplit_once('.').map_or("a.b", |(signed, _)| signed).to_owned() + "." + &"A".repeat(86);
    let token = match number % 3 {
        0 => forged,
        1 => "nonsense".to_owned(),
        _ => format!("{}.{}.{number:x}", "e".repeat(20), "f".repeat(200)),
    };
    let path = if number.is_multiple_of(2) { "/events/client" } else { "/hooks" };
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
    // A tenth of them from one address, which is limited after a while.
    let source = if number.is_multiple_of(10) { source(6, 0) } else { source(6, number) };
    let ended = once(&target, source, request.as_bytes()).await;
    target.count("bad token", ended);
}

/// Ends a connection by a reset: in a stream, or in the body of a webhook.
pub(crate) async fn abrupt_end(target: Rc<Target>, number: u64) {
    let request = match number % 3 {
        0 => format!("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n{{\"doc", target.hook),
        _ => format!("GET /events/client HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n", target.token),
    };
    let ended = match target.connect(Kind::Http1, source(7, number)).await {
        Ok(mut io) => match io.write_all(request.as_bytes()).await {
            // Dropped over unread bytes, as at the death of a process: the kernel sends a reset.
            Ok(()) => {
                sleep(Duration::from_millis(number * 37 % 500)).await;
                "cut".to_owned()
            }
            Err(error) => error.kind().to_string(),
        },
        Err(error) => failed(&error).await,
    };
    target.count("abrupt end", ended);
}

/// Opens and resets streams on one HTTP/2 connection as fast as possible (CVE-2023-44487).
pub(crate) async fn rapid_reset(target: Rc<Target>, number: u64) {
    let flood = async {
        let io = target.connect(Kind::Http2, source(8, number)).await?;
        let (mut requests, connection) = h2::client::handshake(io).await.map_err(io::Error::other)?;
        let resets = async {
            for _ in 0..RESETS {
                requests = requests.clone().ready().await.map_err(io::Error::other)?;
                let request = http::Request::get("https://a/events/client").body(()).map_err(io::Error::other)?;
                let (_, mut stream) = requests.send_request(request, false).map_err(io::Error::other)?;
                stream.send_reset(h2::Reason::CANCEL);
            }
            std::future::pending::<io::Result<()>>().await
        };
        tokio::select! {
            ended = resets => ended,
            ended = connection => ended.map_err(io::Error::other),
        }
    };
    let ended =
        within(EXCHANGE_TIMEOUT, flood).await.map_or_else(|error| error.kind().to_string(), |()| "ended".into());
    target.count("rapid reset", ended);
}

async fn once(target: &Target, source: std::net::Ipv4Addr, request: &[u8]) -> String {
    let mut io = match target.connect(Kind::Http1, source).await {
        Ok(io) => io,
        Err(error) => return failed(&error).await,
    };
    // The relay may respond and close before it has all of a large request.
    let sent = io.write_all(request).await;
    let response = within(EXCHANGE_TIMEOUT, read_head(&mut io, &mut Vec::new())).await;
    let ended = outcome(response);
    // Reads what may follow, so that the end is not a reset.
    if sent.is_ok() {
        let _ = within(Duration::from_millis(100), io.read(&mut [0; 4096])).await;
    }
    ended
}

fn outcome(response: io::Result<docrelay_bench::client::Response>) -> String {
    match response {
        Ok(response) => response.status.to_string(),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => "closed".to_owned(),
        Err(error) => error.kind().to_string(),
    }
}

/// Waits before the next attempt: a refused connection must not become a loop.
async fn failed(error: &io::Error) -> String {
    sleep(Duration::from_secs(1)).await;
    format!("no connection: {}", error.kind())
}
