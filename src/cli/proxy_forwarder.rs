//! Carries the connections of a command to a relay that takes them for those of a trusted proxy: each begins with the
//! header of the PROXY protocol that says that it is the sender's own.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use futures::stream::{FuturesUnordered, StreamExt};
use ppp::v2::{Addresses, Builder, Command, Protocol, Version};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Listens on the loopback interface while the command runs.
pub(super) struct ProxyForwarder {
    listener: TcpListener,
    relay: SocketAddr,
}

impl ProxyForwarder {
    pub(super) async fn bind(relay: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?, relay })
    }

    /// Where the command connects instead of the relay.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Forwards every connection until it is dropped, or cannot accept any more.
    pub(super) async fn run(&self) -> io::Result<Infallible> {
        let header =
            Builder::with_addresses(Version::Two | Command::Local, Protocol::Unspecified, Addresses::Unspecified);
        let header = header.build()?;
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => open.push(forward(accepted?.0, self.relay, &header)),
                Some(ended) = open.next() => if let Err(error) = ended {
                    tracing::debug!(%error, "forwarded connection ended early");
                },
            }
        }
    }
}

async fn forward(mut command: TcpStream, relay: SocketAddr, header: &[u8]) -> io::Result<()> {
    let mut relay = TcpStream::connect(relay).await?;
    relay.write_all(header).await?;
    copy_bidirectional(&mut command, &mut relay).await?;
    Ok(())
}
