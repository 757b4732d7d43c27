//! Subscribers: one connection each, all read by one thread with epoll.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use docrelay_bench::marker::Scanner;
use docrelay_bench::tls::Socket;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use tokio_rustls::rustls::ClientConfig;

const HEADS_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
const MAX_READY: usize = 1024;
const READ_BYTES: usize = 256 * 1024;

pub(crate) struct Subscribers {
    epoll: OwnedFd,
    streams: Vec<Socket>,
    scanners: Vec<Scanner>,
    ready: Vec<epoll::Event>,
    buffer: Vec<u8>,
    /// How many connections the server has closed.
    pub(crate) closed: usize,
    /// Markers that came before all responses had begun.
    early: u64,
}

impl Subscribers {
    /// Connects `count` subscribers, sends one of `requests` on each, in turn, and waits until each response has begun.
    pub(crate) fn connect(
        address: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
        requests: &[Vec<u8>],
        count: usize,
    ) -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll instance");
        let connect = |number: usize| {
            let mut stream = Socket::connect(address, tls).expect("a connection to subscribe on");
            stream.write_all(&requests[number % requests.len()]).expect("a request that is sent");
            stream.tcp().set_nonblocking(true).expect("an option of the socket");
            let data = epoll::EventData::new_u64(number as u64);
            epoll::add(&epoll, &stream, data, epoll::EventFlags::IN).expect("a socket to wait for");
            stream
        };
        let streams: Vec<Socket> = (0..count).map(connect).collect();
        let mut subscribers = Self {
            epoll,
            streams,
            scanners: (0..count).map(|_| Scanner::default()).collect(),
            ready: Vec::with_capacity(MAX_READY),
            buffer: vec![0; READ_BYTES],
            closed: 0,
            early: 0,
        };
        subscribers.wait_for_heads();
        subscribers
    }

    fn wait_for_heads(&mut self) {
        let deadline = Instant::now() + HEADS_TIMEOUT;
        let mut begun = vec![false; self.streams.len()];
        let mut left = begun.len();
        let (mut scanners, mut early) = (std::mem::take(&mut self.scanners), 0);
        while left > 0 {
            assert!(Instant::now() < deadline, "not every subscriber has a response within {HEADS_TIMEOUT:?}");
            self.read(|number, bytes| {
                left -= usize::from(!std::mem::replace(&mut begun[number], true));
                scanners[number].scan(bytes, |_| early += 1);
            });
            assert_eq!(self.closed, 0, "a subscriber was closed before its response");
        }
        (self.scanners, self.early) = (scanners, early);
    }

    /// Waits until so many events have been replayed to all subscribers together.
    pub(crate) fn wait_for_replayed(&mut self, expected: u64) {
        let deadline = Instant::now() + HEADS_TIMEOUT;
        let mut count = std::mem::take(&mut self.early);
        while count < expected {
            assert!(Instant::now() < deadline, "{count} of {expected} events replayed within {HEADS_TIMEOUT:?}");
            self.deliveries(|_, _| count += 1);
        }
    }

    /// Waits a moment for deliveries. Calls `found` for each with the time at which it was read and the time in its
    /// marker.
    pub(crate) fn deliveries(&mut self, mut found: impl FnMut(Instant, u64)) {
        let mut scanners = std::mem::take(&mut self.scanners);
        self.read(|number, bytes| {
            let now = Instant::now();
            scanners[number].scan(bytes, |nanos| found(now, nanos));
        });
        self.scanners = scanners;
    }

    /// Waits a moment, and reads from each connection that is ready: once, or all that a TLS session holds.
    fn read(&mut self, mut received: impl FnMut(usize, &[u8])) {
        self.ready.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.ready), Some(&POLL)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("epoll: {error}"),
        }
        for event in &self.ready {
            let number = event.data.u64() as usize;
            let stream = &mut self.streams[number];
            // A session of TLS may hold several records of which the kernel knows nothing any more.
            while let Ok(length) = stream.read(&mut self.buffer) {
                if length == 0 {
                    self.closed += 1;
                    epoll::delete(&self.epoll, &*stream).expect("a socket that is waited for");
                    break;
                }
                received(number, &self.buffer[..length]);
                if matches!(stream, Socket::Plain(_)) {
                    break;
                }
            }
        }
    }
}
