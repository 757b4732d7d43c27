//! The data directory: what lies where in it, and where to reach the relay that has it.
//! That only one relay has it is the store's lock, taken when the database is opened.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::auth::{AdminToken, KeyError, Keys, Sealer, files};
use crate::domain::{Secret, Timestamp};
use crate::store::sqlite::{self, OpenError, SqliteStore};
use crate::store::{Seal, Store};

/// Where a running relay can be reached; `relay.json` in its data directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RelayAddress {
    /// Its process.
    pub pid: u32,
    /// Its public address.
    pub listen: SocketAddr,
    /// Its admin address.
    pub admin: SocketAddr,
    /// Its public base URL.
    pub public_url: String,
}

/// How long somebody else may have the store before that counts as in use: a command has it for a moment, and a relay
/// needs one to say where it listens. So `docrelay serve &` and the next line of a script do not get in each other's way.
const STORE_LOCK_TIMEOUT: Duration = Duration::from_secs(3);

/// The process that has the store of a data directory open.
pub enum StoreOwner {
    /// This process.
    Local(Store),
    /// A running relay.
    Remote(RelayAddress),
}

/// The directory of `--data`.
#[derive(Debug, Clone)]
pub struct DataDirectory {
    path: PathBuf,
}

impl DataDirectory {
    /// Makes the directory, for the owner only, when it is missing.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        files::make_directory(path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.path.join("docrelay.db")
    }

    /// Opens the store, unless a relay has it. Blocks, at most for three seconds longer than opening takes.
    pub fn hold(&self, options: sqlite::Options) -> Result<StoreOwner, OpenError> {
        let until = Instant::now() + STORE_LOCK_TIMEOUT;
        loop {
            match SqliteStore::open(options.clone()) {
                Ok(store) => {
                    // What a relay that was killed has left behind.
                    self.withdraw();
                    return Ok(StoreOwner::Local(store));
                }
                Err(OpenError::Locked(path)) => match self.announced() {
                    Some(reached) => return Ok(StoreOwner::Remote(reached)),
                    None if Instant::now() >= until => return Err(OpenError::Locked(path)),
                    None => std::thread::sleep(Duration::from_millis(20)),
                },
                Err(error) => return Err(error),
            }
        }
    }

    /// The keys that tokens are signed with; made on first use.
    pub fn keys(&self) -> Result<Keys, KeyError> {
        Keys::open_or_create(&self.path.join("keys"), Timestamp::now())
    }

    /// What the store's secrets are sealed with; made on first use.
    pub fn seal(&self) -> Result<Arc<dyn Seal>, KeyError> {
        struct Sealed(Sealer);
        impl Seal for Sealed {
            fn seal(&self, plain: &[u8], context: &[u8]) -> Vec<u8> {
                self.0.seal(plain, context)
            }

            fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, String> {
                self.0.open(sealed, context).map_err(|e| e.to_string())
            }
        }
        Ok(Arc::new(Sealed(Sealer::open_or_create(&self.path.join("seal.key"))?)))
    }

    /// The administrator's token: the configured one, or the one in the directory, made on first use.
    pub fn admin_token(&self, configured: Option<Secret>) -> Result<AdminToken, KeyError> {
        AdminToken::open_or_create(configured, &self.path.join("admin.token"))
    }

    /// Says where the relay can be reached, until [`DataDirectory::withdraw`].
    pub fn announce(&self, reached: &RelayAddress) -> anyhow::Result<()> {
        let (path, fresh) = (self.path.join("relay.json"), self.path.join("relay.json.new"));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
            file.write_all(&serde_json::to_vec(reached)?)?;
            std::fs::rename(&fresh, &path)
        };
        write().with_context(|| format!("{} cannot be written", path.display()))
    }

    /// The relay stops.
    pub fn withdraw(&self) {
        match std::fs::remove_file(self.path.join("relay.json")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, "relay.json could not be removed");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Where the relay said that it can be reached. It may have been killed since.
    pub fn announced(&self) -> Option<RelayAddress> {
        serde_json::from_slice(&std::fs::read(self.path.join("relay.json")).ok()?).ok()
    }
}
