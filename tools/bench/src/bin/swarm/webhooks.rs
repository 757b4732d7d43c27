//! Senders of webhooks: keep-alive connections that share a pace. The time of a webhook begins when it is due, not when
//! it is sent, so that a relay that does not respond is not excused for those that wait.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use docrelay_bench::client::{Io, Kind, exchange, within};
use docrelay_bench::marker;
use docrelay_bench::random::Random;
use tokio::time::{Instant, sleep, sleep_until};

use crate::follower::{Shared, sequence};
use crate::tally::add;

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// What is sent, and how fast.
pub(crate) struct Webhooks {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    /// The path of the hook of each client that gets events, and its number.
    pub(crate) hooks: Vec<(usize, String)>,
    pub(crate) rate: u64,
    pub(crate) begin: Instant,
    /// The number of the next webhook.
    pub(crate) next: Cell<u64>,
    pub(crate) stopping: Cell<bool>,
    /// From the time at which a webhook is due to its response.
    pub(crate) micros: RefCell<Vec<u32>>,
}

impl Webhooks {
    /// Sends webhooks until the run stops.
    pub(crate) async fn send(self: Rc<Self>, number: u64, shared: Rc<Shared>) {
        let mut random = Random::of_thread(u64::from(std::process::id()), number);
        let (mut connection, mut buffer): (Option<Box<dyn Io>>, _) = (None, Vec::new());
        while !self.stopping.get() {
            let turn = self.next.replace(self.next.get() + 1);
            let due = self.begin + Duration::from_nanos(turn * 1_000_000_000 / self.rate);
            sleep_until(due).await;
            if self.stopping.get() {
                return;
            }
            let (client, path) = &self.hooks[turn as usize % self.hooks.len()];
            let body = |mark: String| {
                format!("{{\"documentId\":\"{}\",\"status\":\"COMPLETED\",\"mark\":\"{mark}\"}}", random.uuid())
            };
            let posted = within(RESPONSE_TIMEOUT, self.post(&mut connection, &mut buffer, path, body, &shared)).await;
            match posted {
                Ok((status, id)) => {
                    shared.tally.status(status);
                    if let Some(id) = id.filter(|_| status == 200) {
                        shared.tally.stored.borrow_mut()[*client].add(sequence(&id));
                    }
                    self.micros.borrow_mut().push(u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX));
                }
                Err(error) => {
                    add(&shared.tally.unknown);
                    shared.tally.fault(format!("webhook: {}", error.kind()));
                    (connection, buffer) = (None, Vec::new());
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn post(
        &self,
        connection: &mut Option<Box<dyn Io>>,
        buffer: &mut Vec<u8>,
        path: &str,
        body: impl FnOnce(String) -> String,
        shared: &Shared,
    ) -> io::Result<(u16, Option<String>)> {
        if connection.is_none() {
            *connection = Some(shared.client.connect(self.kind, self.address, Ipv4Addr::UNSPECIFIED).await?);
        }
        let Some(io) = connection else { return Err(io::ErrorKind::NotConnected.into()) };
        let body = body(marker::format(shared.origin.elapsed().as_nanos() as u64));
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let response = exchange(io.as_mut(), request.as_bytes(), buffer).await?;
        let id = response.header("docrelay-event-id").map(str::to_owned);
        Ok((response.status, id))
    }
}
