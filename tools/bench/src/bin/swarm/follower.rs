//! One follower: opens its stream, checks every event, and resumes after its end.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use docrelay_bench::client::{Client, Kind, read_head, within};
use docrelay_bench::marker::Scanner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::stream::{Block, Chunks, Parser};
use crate::tally::{EventSet, Tally, add};

/// From the start of a connection to the first position of its stream.
const OPENING_TIMEOUT: Duration = Duration::from_secs(60);

/// Between the end of a stream and the next attempt.
const RETRY_DELAY: Duration = Duration::from_secs(2);

const READ_BYTES: usize = 4096;

/// What to follow.
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    pub(crate) source: Ipv4Addr,
    /// The number of its client.
    pub(crate) client: usize,
    pub(crate) token: String,
}

/// What all followers share.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) tally: Tally,
    /// Bounds the connections that are being opened.
    pub(crate) opening: Semaphore,
    /// The origin of the markers' times.
    pub(crate) origin: Instant,
    pub(crate) stopping: Cell<bool>,
}

pub(crate) struct Follower {
    pub(crate) plan: Plan,
    /// What it has received.
    pub(crate) seen: Cell<EventSet>,
    last_sequence: Cell<u64>,
    last_id: RefCell<String>,
    is_open: Cell<bool>,
}

impl Follower {
    pub(crate) fn new(plan: Plan) -> Rc<Self> {
        Rc::new(Self {
            plan,
            seen: Cell::default(),
            last_sequence: Cell::default(),
            last_id: RefCell::default(),
            is_open: Cell::default(),
        })
    }

    /// Follows until the run stops.
    pub(crate) async fn run(self: Rc<Self>, shared: Rc<Shared>) {
        loop {
            let ended = self.follow(&shared).await;
            let tally = &shared.tally;
            if self.is_open.replace(false) {
                tally.open.set(tally.open.get() - 1);
            }
            if shared.stopping.get() {
                return;
            }
            tally.fault(ended.map_or_else(|error| format!("stream: {}", error.kind()), |()| "stream ended".to_owned()));
            add(&tally.reconnects);
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    async fn follow(&self, shared: &Shared) -> io::Result<()> {
        let opening = shared.opening.acquire().await.map_err(io::Error::other)?;
        let begin = Instant::now();
        let connecting = shared.client.connect(self.plan.kind, self.plan.address, self.plan.source);
        let mut io = within(OPENING_TIMEOUT, connecting).await?;
        let opened = || {
            self.is_open.set(true);
            let tally = &shared.tally;
            tally.open.set(tally.open.get() + 1);
            tally.most_open.set(tally.most_open.get().max(tally.open.get()));
            let micros = u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX);
            tally.connects_micros.borrow_mut().push(micros);
        };
        let mut reader = Reader { follower: self, shared, parser: Parser::default(), opened: Some((opened, opening)) };
        if matches!(self.plan.kind, Kind::Http2 | Kind::Http2Tls) {
            return self.follow_http2(io, &mut reader).await;
        }
        io.write_all(self.head().as_bytes()).await?;
        let mut buffer = Vec::new();
        let response = within(OPENING_TIMEOUT, read_head(&mut io, &mut buffer)).await?;
        shared.tally.status(response.status);
        let mut chunks = Chunks::default();
        chunks.decode(&buffer, |bytes| reader.read(bytes));
        drop(buffer);
        while !chunks.ended {
            let mut bytes = [0; READ_BYTES];
            match io.read(&mut bytes).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => chunks.decode(&bytes[..count], |bytes| reader.read(bytes)),
            }
        }
        Ok(())
    }

    async fn follow_http2<O: FnOnce()>(
        &self,
        io: Box<dyn docrelay_bench::client::Io>,
        reader: &mut Reader<'_, O>,
    ) -> io::Result<()> {
        let (mut requests, connection) =
            within(OPENING_TIMEOUT, async { h2::client::handshake(io).await.map_err(io::Error::other) }).await?;
        let request = http::Request::get(format!("https://{}/events/client", self.plan.address))
            .header("authorization", format!("Bearer {}", self.plan.token));
        let last_id = self.last_id.borrow().clone();
        let request = if last_id.is_empty() { request } else { request.header("last-event-id", last_id) };
        let request = request.body(()).map_err(io::Error::other)?;
        let stream = async {
            let (response, _) = requests.send_request(request, true).map_err(io::Error::other)?;
            let response = response.await.map_err(io::Error::other)?;
            reader.shared.tally.status(response.status().as_u16());
            let mut body = response.into_body();
            while let Some(bytes) = body.data().await {
                let bytes = bytes.map_err(io::Error::other)?;
                reader.read(&bytes);
                body.flow_control().release_capacity(bytes.len()).map_err(io::Error::other)?;
            }
            Ok(())
        };
        tokio::select! {
            ended = stream => ended,
            ended = connection => ended.map_err(io::Error::other),
        }
    }

    fn head(&self) -> String {
        let last_id = self.last_id.borrow();
        let resume = if last_id.is_empty() { String::new() } else { format!("Last-Event-ID: {last_id}\r\n") };
        format!(
            "GET /events/client HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\nAuthorization: Bearer {}\r\n{resume}\r\n",
            self.plan.address, self.plan.token
        )
    }

    fn event(&self, id: &str, data: &str, shared: &Shared) {
        let now = shared.origin.elapsed();
        let sequence = sequence(id);
        if sequence <= self.last_sequence.get() {
            add(&shared.tally.repeated);
        }
        self.last_sequence.set(sequence);
        id.clone_into(&mut self.last_id.borrow_mut());
        let mut seen = self.seen.get();
        seen.add(sequence);
        self.seen.set(seen);
        Scanner::default().scan(data.as_bytes(), |sent_nanos| {
            let nanos = (now.as_nanos() as u64).saturating_sub(sent_nanos);
            shared.tally.deliveries_micros.borrow_mut().push(u32::try_from(nanos / 1000).unwrap_or(u32::MAX));
        });
    }
}

/// The number behind the epoch of an event id.
pub(crate) fn sequence(id: &str) -> u64 {
    id.rsplit_once('.').and_then(|(_, sequence)| sequence.parse().ok()).unwrap_or(0)
}

/// Reads the stream of a follower. `opened` is called at its first position, and then another connection may be opened.
struct Reader<'a, O: FnOnce()> {
    follower: &'a Follower,
    shared: &'a Shared,
    parser: Parser,
    opened: Option<(O, tokio::sync::SemaphorePermit<'a>)>,
}

impl<O: FnOnce()> Reader<'_, O> {
    fn read(&mut self, bytes: &[u8]) {
        let (follower, shared, opened) = (self.follower, self.shared, &mut self.opened);
        self.parser.parse(bytes, |block| match block {
            Block::Position(id) => {
                if let Some((opened, _)) = opened.take() {
                    opened();
                }
                id.clone_into(&mut follower.last_id.borrow_mut());
            }
            Block::Event { id, data } => follower.event(id, data, shared),
            Block::Named { event, data } => shared.tally.fault(format!("{event}: {data}")),
        });
    }
}
