//! The TLS configuration of an address: a certificate chain and its key from PEM files, which are read again when they
//! change, and which a reload of the configuration may replace. Connections that are open keep the configuration with
//! which they began.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, InconsistentKeys, ServerConfig, version};
use tokio_util::sync::CancellationToken;

/// How often the files are read. Reading finds what notifications of the file system miss: a replaced symbolic link in
/// a directory above, or a network file system.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// HTTP/2 in ALPN (RFC 9113, 3.2).
pub(super) const HTTP2: &[u8] = b"h2";

/// The paths of the PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, followed by those of the intermediate authorities.
    pub certificate: PathBuf,
    /// The private key of the server's certificate.
    pub key: PathBuf,
}

/// Why there is no TLS configuration. Each message is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("tls_cert {} has no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    #[error("tls_key {} has no private key in PEM form that is not encrypted", .0.display())]
    NoKey(PathBuf),
    #[error("the private key in {} does not belong to the first certificate in {}", .0.key.display(), .0.certificate.display())]
    Mismatch(TlsFiles),
    #[error("cannot use the certificate in {} with the key in {}: {source}", .files.certificate.display(), .files.key.display())]
    Unusable { files: TlsFiles, source: rustls::Error },
}

/// The present TLS configuration. Cheap to clone; all clones share it.
#[derive(Clone)]
pub struct Tls {
    present: Arc<watch::Sender<Arc<LoadedTls>>>,
}

/// A TLS configuration and the files that it is from.
pub struct LoadedTls {
    files: TlsFiles,
    config: Arc<ServerConfig>,
    /// The content of the files that was last loaded or refused.
    tried: Fingerprint,
}

/// The contents of both files.
struct PemPair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// The digest of both files, or why they cannot be read. The reloader keeps no copy of a private key.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fingerprint {
    Digest(Vec<u8>),
    Unreadable(String),
}

/// Reads the files.
///
/// # Errors
///
/// See [`TlsError`].
pub async fn load(files: TlsFiles) -> Result<LoadedTls, TlsError> {
    let pair = PemPair::read(&files).await?;
    let config = pair.server_config(&files)?;
    Ok(LoadedTls { files, config, tried: Fingerprint::of(&Ok(pair)) })
}

/// Checks that the files can be used. Blocks.
///
/// # Errors
///
/// See [`TlsError`].
pub fn check(files: &TlsFiles) -> Result<(), TlsError> {
    let read =
        |path: &Path| std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source });
    let pair = PemPair { certificate: read(&files.certificate)?, key: read(&files.key)? };
    pair.server_config(files).map(drop)
}

impl Tls {
    pub fn new(loaded: LoadedTls) -> Self {
        Self { present: Arc::new(watch::Sender::new(Arc::new(loaded))) }
    }

    /// Accepts one connection with the present certificate.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.present.borrow().config.clone())
    }

    /// New connections use this configuration.
    pub fn replace(&self, loaded: LoadedTls) {
        self.present.send_replace(Arc::new(loaded));
    }

    /// Looks at the files until `stop` is cancelled. A pair that cannot be used changes nothing, and is logged once.
    pub async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(POLL_INTERVAL);
        let mut previous = None;
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let present = self.present.borrow().clone();
            let read = PemPair::read(&present.files).await;
            let found = Fingerprint::of(&read);
            if found != present.tried && previous.as_ref() == Some(&found) {
                self.read_again(&present, read, found);
                previous = None;
            } else {
                // Files that change one after the other are used when they have been the same twice.
                previous = Some(found);
            }
        }
    }

    /// Uses files that have changed, unless a reload has replaced `present` meanwhile.
    fn read_again(&self, present: &Arc<LoadedTls>, read: Result<PemPair, TlsError>, tried: Fingerprint) {
        let files = present.files.clone();
        let loaded = read.and_then(|pair| pair.server_config(&files));
        let config = loaded.as_ref().unwrap_or(&present.config).clone();
        let next = Arc::new(LoadedTls { files, config, tried });
        let is_present = self.present.send_if_modified(|now| {
            let is_present = Arc::ptr_eq(now, present);
            if is_present {
                *now = next;
            }
            is_present
        });
        match loaded {
            Ok(_) if is_present => {
                tracing::info!(tls_cert = %present.files.certificate.display(), "TLS certificate reloaded");
            }
            Err(error) if is_present => {
                tracing::warn!(%error, "TLS certificate not reloaded: the previous one stays in use");
            }
            Ok(_) | Err(_) => {}
        }
    }
}

impl Fingerprint {
    fn of(read: &Result<PemPair, TlsError>) -> Self {
        match read {
            Ok(PemPair { certificate, key }) => {
                let digests = [certificate, key].map(|content| digest(&SHA256, content));
                Self::Digest(digests.iter().flat_map(|digest| digest.as_ref().iter().copied()).collect())
            }
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }
}

impl PemPair {
    async fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self { certificate: read_file(&files.certificate).await?, key: read_file(&files.key).await? })
    }

    fn server_config(&self, files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
        let no_certificate = || TlsError::NoCertificate(files.certificate.clone());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.map_err(|_| no_certificate())?;
        if chain.is_empty() {
            return Err(no_certificate());
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| TlsError::NoKey(files.key.clone()))?;
        let unusable = |source| match source {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch(files.clone()),
            source => TlsError::Unusable { files: files.clone(), source },
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        // Tickets let followers that reconnect resume without a signature, and cost the server no memory. They end with
        // the certificate: the next configuration has keys of its own.
        config.ticketer = Ticketer::new().map_err(unusable)?;
        Ok(Arc::new(config))
    }
}

async fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    tokio::fs::read(path).await.map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}
