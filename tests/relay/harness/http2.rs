//! HTTP/2 on one connection, of which a test decides windows and frames. The connection makes progress only while a
//! method runs, like a client that reads only then.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::TIMEOUT;
use super::request::Request;
use super::response::Response;
use super::sse::{Block, Event, Parser};

/// A client's connection.
pub(crate) struct Http2Connection {
    runtime: Runtime,
    requests: SendRequest<Bytes>,
    /// `None` when the connection has ended.
    driver: Option<Driver>,
}

type Driver = Pin<Box<dyn Future<Output = Result<(), h2::Error>>>>;

/// An open event stream.
pub(crate) struct Http2Stream {
    /// Status and headers.
    pub(crate) head: Response,
    body: RecvStream,
    raw: Vec<u8>,
    parser: Parser,
    blocks: VecDeque<Block>,
}

impl Http2Connection {
    /// Connects with prior knowledge.
    #[track_caller]
    pub(crate) fn open(to: SocketAddr) -> Self {
        Self::open_with(to, &Builder::new())
    }

    /// Connects with prior knowledge and these settings.
    #[track_caller]
    pub(crate) fn open_with(to: SocketAddr, settings: &Builder) -> Self {
        let runtime = runtime();
        let socket = runtime.block_on(TcpStream::connect(to)).expect("a connection");
        Self::over(runtime, socket, settings)
    }

    /// Connects with TLS, and offers HTTP/2 only.
    #[track_caller]
    pub(crate) fn open_tls(to: SocketAddr, client: &Arc<ClientConfig>) -> Self {
        let mut config = (**client).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let runtime = runtime();
        let socket = runtime.block_on(async {
            let socket = TcpStream::connect(to).await?;
            TlsConnector::from(Arc::new(config)).connect(ServerName::IpAddress(to.ip().into()), socket).await
        });
        let socket = socket.expect("a connection with TLS");
        assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self::over(runtime, socket, &Builder::new())
    }

    #[track_caller]
    fn over(runtime: Runtime, socket: impl AsyncRead + AsyncWrite + Unpin + 'static, settings: &Builder) -> Self {
        let (requests, connection) = runtime.block_on(settings.handshake(socket)).expect("an HTTP/2 connection");
        Self { runtime, requests, driver: Some(Box::pin(connection)) }
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub(crate) fn send(&mut self, request: &Request) -> Response {
        self.try_send(request).expect("a response")
    }

    /// # Errors
    /// The stream was reset or the connection has ended.
    #[track_caller]
    pub(crate) fn try_send(&mut self, request: &Request) -> Result<Response, h2::Error> {
        let mut stream = self.try_open_stream(request)?;
        while let Some(data) = self.try_read(&mut stream, TIMEOUT).expect("a response in time")? {
            stream.head.body.extend(data);
        }
        Ok(stream.head)
    }

    /// Sends a request and reads the head of its response.
    #[track_caller]
    pub(crate) fn open_stream(&mut self, request: &Request) -> Http2Stream {
        self.try_open_stream(request).expect("a response")
    }

    /// # Errors
    /// The stream was reset or the connection has ended.
    #[track_caller]
    pub(crate) fn try_open_stream(&mut self, request: &Request) -> Result<Http2Stream, h2::Error> {
        let (head, body) = request.http2();
        let requests = self.requests.clone();
        let exchange = async {
            let (response, mut sender) = requests.ready().await?.send_request(head, body.is_none())?;
            if let Some(body) = body {
                sender.send_data(body, true)?;
            }
            response.await
        };
        let (head, body) = self.drive(TIMEOUT, exchange).expect("a response in time")?.into_parts();
        let head = Response { status: head.status.as_u16(), headers: pairs(&head.headers), body: Vec::new() };
        Ok(Http2Stream { head, body, raw: Vec::new(), parser: Parser::default(), blocks: VecDeque::new() })
    }

    /// Sends a request whose body does not end, and reads its response.
    #[track_caller]
    pub(crate) fn send_without_end(&mut self, request: &Request) -> Response {
        let (head, body) = request.http2();
        let requests = self.requests.clone();
        let exchange = async {
            let (response, mut sender) = requests.ready().await?.send_request(head, false)?;
            sender.send_data(body.unwrap_or_default(), false)?;
            let head = response.await;
            drop(sender);
            head
        };
        let answered: Result<_, h2::Error> = self.drive(TIMEOUT, exchange).expect("a response in time");
        let head = answered.expect("a response").into_parts().0;
        Response { status: head.status.as_u16(), headers: pairs(&head.headers), body: Vec::new() }
    }

    /// The next bytes of a stream, `Ok(None)` at its end; `None` if nothing comes in time.
    pub(crate) fn try_read(
        &mut self,
        stream: &mut Http2Stream,
        limit: Duration,
    ) -> Option<Result<Option<Bytes>, h2::Error>> {
        let data = self.drive(limit, stream.body.data())?.transpose();
        if let Ok(Some(data)) = &data {
            // Fails when the stream has ended.
            stream.body.flow_control().release_capacity(data.len()).ok();
            stream.blocks.extend(stream.parser.parse(data));
            stream.raw.extend(data);
        }
        Some(data)
    }

    /// The next events of a stream.
    #[track_caller]
    pub(crate) fn events(&mut self, stream: &mut Http2Stream, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            match stream.blocks.pop_front() {
                Some(Block { id, event, data: Some(data), .. }) => {
                    let name = event.unwrap_or_else(|| "message".to_owned());
                    events.push(Event { id: id.unwrap_or_default(), name, data });
                }
                Some(_) => {}
                None => match self.try_read(stream, TIMEOUT) {
                    Some(Ok(Some(_))) => {}
                    other => panic!("{other:?} instead of an event, after {:?}", stream.raw()),
                },
            }
        }
        events
    }

    /// Reads a stream until its bytes contain `text`.
    #[track_caller]
    pub(crate) fn read_until(&mut self, stream: &mut Http2Stream, text: &str) {
        while !stream.raw().contains(text) {
            match self.try_read(stream, TIMEOUT) {
                Some(Ok(Some(_))) => {}
                other => panic!("{other:?} instead of {text:?}, after {:?}", stream.raw()),
            }
        }
    }

    /// Reads a stream to its end.
    ///
    /// # Errors
    /// It was reset.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self, stream: &mut Http2Stream) -> Result<(), h2::Error> {
        while self.try_read(stream, TIMEOUT).expect("the end of the stream in time")?.is_some() {}
        Ok(())
    }

    /// Reads and answers frames for this long.
    pub(crate) fn run_for(&mut self, time: Duration) {
        self.drive(time, std::future::pending::<()>());
    }

    /// Whether the relay ends the connection in time.
    pub(crate) fn is_closed_by_peer(&mut self) -> bool {
        let Some(mut driver) = self.driver.take() else { return true };
        self.runtime.block_on(async { timeout(TIMEOUT, &mut driver).await.is_ok() })
    }

    /// How many streams the relay permits at once, as far as it has said so.
    pub(crate) fn max_streams(&self) -> usize {
        self.requests.current_max_send_streams()
    }

    /// Polls the connection and `future`; `None` if it takes longer.
    fn drive<T>(&mut self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        let Self { runtime, driver, .. } = self;
        runtime.block_on(async {
            let mut future = pin!(future);
            let both = poll_fn(|cx| {
                if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
                    *driver = None;
                }
                future.as_mut().poll(cx)
            });
            timeout(limit, both).await.ok()
        })
    }
}

impl Http2Stream {
    /// The bytes of the stream so far.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }
}

#[track_caller]
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// Frames as bytes, for what no client does.
pub(crate) mod frames {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
    pub(crate) const END_STREAM: u8 = 1;
    pub(crate) const END_HEADERS: u8 = 4;

    /// `GET /` in HPACK, indexed fields and a literal authority.
    pub(crate) const GET_ROOT: &[u8] = b"\x82\x86\x84\x41\x01a";

    /// `POST /oauth/token` in HPACK.
    pub(crate) const POST_OAUTH_TOKEN: &[u8] = b"\x83\x86\x04\x0c/oauth/token\x41\x01a";

    pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("small").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// A frame that the relay has sent.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct Frame {
        pub(crate) kind: u8,
        pub(crate) flags: u8,
        pub(crate) stream: u32,
        pub(crate) payload: Vec<u8>,
    }

    /// The complete frames at the beginning of these bytes.
    pub(crate) fn parse(mut bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(([high, middle, low, kind, flags, a, b, c, d], rest)) = bytes.split_first_chunk() {
            let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
            let Some((payload, rest)) = rest.split_at_checked(length) else { break };
            let stream = u32::from_be_bytes([*a, *b, *c, *d]);
            frames.push(Frame { kind: *kind, flags: *flags, stream, payload: payload.to_vec() });
            bytes = rest;
        }
        frames
    }

    /// The preface of a client and its empty settings.
    pub(crate) fn opening() -> Vec<u8> {
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat()
    }

    /// Requests that are reset at once.
    pub(crate) fn rapid_resets(count: u32) -> Vec<u8> {
        let flags = END_HEADERS | END_STREAM;
        let pair = |stream| {
            let head = frame(HEADERS, flags, stream, GET_ROOT);
            [head, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        };
        (0..count).flat_map(|number| pair(2 * number + 1)).collect()
    }

    /// The frame of a request for the events of a client.
    pub(crate) fn follow(stream: u32, token: &str) -> Vec<u8> {
        let path = format!("/events/client?token={token}");
        // A literal path without Huffman coding; lengths from 127 on take further bytes.
        let mut head = b"\x82\x86\x04\x7f".to_vec();
        let mut rest = path.len() - 127;
        while rest >= 128 {
            head.push(u8::try_from(rest % 128 + 128).expect("a byte"));
            rest /= 128;
        }
        head.push(u8::try_from(rest).expect("a byte"));
        head.extend(path.as_bytes());
        head.extend(b"\x41\x01a");
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &head)
    }
}
