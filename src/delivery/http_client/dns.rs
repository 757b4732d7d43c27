//! Name resolution for endpoints. Queries are sent by the async runtime itself: a look-up that hangs occupies no
//! thread, so it delays nothing else. Knows nothing of allowed addresses.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::time::Instant;

use super::guard::Resolver;

/// The system's files: they are read again after a change, as other programs do.
const SYSTEM_FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];
/// How often the files are checked for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// A name that has just been added is found after this.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(10);
/// In-flight queries of one TCP connection, for responses that do not fit into a datagram.
const MAX_TCP_QUERIES: usize = 1024;

/// Asks name servers: the given ones, or those of the system. Cheap to clone.
#[derive(Clone)]
pub(super) struct DnsResolver {
    /// Empty for the servers of the system.
    servers: Arc<[SocketAddr]>,
    /// `None` before the first look-up.
    current: Arc<Mutex<Option<LoadedResolver>>>,
}

/// A resolver and the state of the files that it was made from.
struct LoadedResolver {
    resolver: Arc<TokioResolver>,
    modified: [Option<SystemTime>; 2],
    checked: Instant,
}

impl DnsResolver {
    pub(super) fn new(servers: &[SocketAddr]) -> Self {
        Self { servers: servers.into(), current: Arc::default() }
    }

    /// The resolver, made again if the system's files have changed.
    fn resolver(&self) -> io::Result<Arc<TokioResolver>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(loaded) = current.as_mut() {
            if now < loaded.checked + CHECK_INTERVAL {
                return Ok(loaded.resolver.clone());
            }
            loaded.checked = now;
            if loaded.modified == modification_times() {
                return Ok(loaded.resolver.clone());
            }
        }
        // Before the files are read: a change meanwhile is seen by the next check.
        let modified = modification_times();
        let resolver = Arc::new(build(&self.servers)?);
        *current = Some(LoadedResolver { resolver: resolver.clone(), modified, checked: now });
        Ok(resolver)
    }
}

impl Resolver for DnsResolver {
    fn look_up(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let (resolver, host) = (self.resolver(), host.to_owned());
        Box::pin(async move {
            let found = resolver?.lookup_ip(host).await.map_err(io::Error::other)?;
            Ok(found.iter().collect())
        })
    }
}

fn modification_times() -> [Option<SystemTime>; 2] {
    SYSTEM_FILES.map(|path| fs::metadata(path).and_then(|file| file.modified()).ok())
}

fn build(servers: &[SocketAddr]) -> io::Result<TokioResolver> {
    let with_servers = |servers: &[SocketAddr]| {
        let servers = servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read /etc/resolv.conf: asking the name server of this machine");
            with_servers(&[(Ipv4Addr::LOCALHOST, 53).into()])
        })
    } else {
        with_servers(servers)
    };
    let options = builder.options_mut();
    // All addresses, because one forbidden address forbids a host.
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Always;
    options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
    options.max_active_requests = MAX_TCP_QUERIES;
    builder.build().map_err(io::Error::other)
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}
