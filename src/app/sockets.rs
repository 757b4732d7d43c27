//! The listening sockets: those that the service manager passes (`LISTEN_FDS`, sd_listen_fds(3)), else sockets that the
//! relay binds. Connections to a passed socket wait in its queue while the relay is restarted, because the service
//! manager keeps it open.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};

use anyhow::{Context, bail, ensure};
use listenfd::ListenFd;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::http::transport::server::listen;

/// The names of the sockets (`FileDescriptorName=`). Sockets with other names count in their order: first the public
/// address.
const PUBLIC_NAME: &str = "public";
const ADMIN_NAME: &str = "admin";

/// The sockets that this process was started with. They stay open until its end.
#[derive(Debug, Default)]
pub struct PassedSockets {
    public: Option<StdListener>,
    admin: Option<StdListener>,
}

/// The sockets of a relay.
pub(super) struct Listeners {
    pub(super) public: TcpListener,
    pub(super) admin: TcpListener,
}

impl PassedSockets {
    /// Takes the sockets that the environment names. To be called once, before the first thread is started, because it
    /// removes variables from the environment.
    ///
    /// # Errors
    /// There are other descriptors than one or two listening TCP sockets.
    pub fn from_environment() -> anyhow::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let mut sockets = Self::default();
        for index in 0..passed.len() {
            let socket = passed.take_tcp_listener(index).context("LISTEN_FDS: the relay takes TCP sockets only")?;
            let socket = socket.context("LISTEN_FDS names a socket twice")?;
            ensure!(
                rustix::net::sockopt::socket_acceptconn(&socket)?,
                "LISTEN_FDS: the relay takes sockets that listen: ListenStream= of a socket unit"
            );
            socket.set_nonblocking(true)?;
            let place = match names.split(':').nth(index) {
                Some(PUBLIC_NAME) => &mut sockets.public,
                Some(ADMIN_NAME) => &mut sockets.admin,
                _ if sockets.public.is_none() => &mut sockets.public,
                _ => &mut sockets.admin,
            };
            if place.replace(socket).is_some() {
                bail!("LISTEN_FDS: the relay takes one socket for its public and one for its admin address");
            }
        }
        Ok(sockets)
    }

    /// The sockets of the relay: for each address the one that was passed, or else a new one.
    ///
    /// # Errors
    /// An address is in use or not available.
    pub(super) fn listeners(&self, config: &Config) -> anyhow::Result<Listeners> {
        let public = listener(self.public.as_ref(), config.listen, "--listen")?;
        let admin = listener(self.admin.as_ref(), config.admin_listen, "--admin-listen")?;
        reserve_descriptors(&public, config.max_connections);
        Ok(Listeners { public, admin })
    }
}

/// Has the kernel's table of descriptors grow to its final size now. It is doubled whenever it is full, and a process
/// with threads waits for milliseconds each time: in a storm of new connections the listen queue overflowed meanwhile.
fn reserve_descriptors(listener: &TcpListener, connections: usize) {
    let highest = i32::try_from(connections).unwrap_or(i32::MAX);
    // The copy of the listener with this number is closed at once.
    if let Err(error) = rustix::io::fcntl_dupfd_cloexec(listener, highest) {
        tracing::debug!(%error, "cannot reserve descriptors: the table grows with the connections");
    }
}

fn listener(passed: Option<&StdListener>, address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    let Some(passed) = passed else { return bind(address, flag) };
    let listener = TcpListener::from_std(passed.try_clone()?)?;
    tracing::info!(address = %listener.local_addr()?, "using the socket that the service manager has passed");
    Ok(listener)
}

/// Binds an address; an error names the flag to change.
fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    listen(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("port {} is in use: choose another with {flag}", address.port())
        }
        _ => anyhow::Error::from(error)
            .context(format!("cannot listen on {address}: choose another address with {flag}")),
    })
}
