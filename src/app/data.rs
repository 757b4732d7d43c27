//! The files of the data directory, and the addresses of the relay that uses it. The lock of the database ensures that
//! only one process uses a directory.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::auth::{AdminToken, KeyError, Keys, RotationStart, Sealer, files};
use crate::domain::{Secret, Timestamp};
use crate::store::sqlite::snapshot::{self, DatabaseState};
use crate::store::sqlite::{self, DatabaseLock, OpenError, ResealReport, SqliteOptions, SqliteStore};
use crate::store::{Seal, Store};

/// The addresses of a running relay: the content of `relay.json` in its data directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RelayAddress {
    pub pid: u32,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    /// Base of the public URLs, without a slash at the end.
    pub public_url: String,
    /// Whether the public address uses TLS.
    #[serde(default)]
    pub tls: bool,
    /// Whether connections of commands to the public address begin with a header of the PROXY protocol.
    #[serde(default)]
    pub proxy_header: bool,
}

/// How long to wait for the lock of the store. Commands hold it briefly, and a starting relay holds it before it writes
/// `relay.json`; with the wait, `docrelay serve &` and the next command of a script do not fail.
const STORE_LOCK_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a command waits for the database of a relay that is starting for the first time, for the same reason.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(1);

const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The process that has the store of a data directory open.
pub enum StoreOwner {
    /// This process.
    Local(Store),
    /// A running relay.
    Remote(RelayAddress),
}

/// The result of an attempt to lock the database.
pub(super) enum LockOutcome {
    Acquired(DatabaseLock),
    /// A running relay holds the lock.
    Held(RelayAddress),
}

/// A completed rotation of the sealing key.
#[derive(Debug, Serialize)]
pub struct SealRotation {
    /// Whether it has continued an interrupted one.
    pub resumed: bool,
    /// What was sealed with the new key.
    #[serde(flatten)]
    pub sealed: ResealReport,
}

/// The cipher behind the store's port.
pub(super) struct StoreSeal(pub(super) Sealer);

impl Seal for StoreSeal {
    fn seal(&self, plain: &[u8], context: &[u8]) -> Vec<u8> {
        self.0.seal(plain, context)
    }

    fn seal_with_nonce(&self, plain: &[u8], context: &[u8], nonce: [u8; 12]) -> Vec<u8> {
        self.0.seal_with_nonce(plain, context, nonce)
    }

    fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, String> {
        self.0.open(sealed, context).map_err(|e| e.to_string())
    }
}

/// The directory given by `--data`.
#[derive(Debug, Clone)]
pub struct DataDirectory {
    path: PathBuf,
}

impl DataDirectory {
    /// Creates the directory with mode 0700 if it does not exist. For `docrelay serve` only: a command in the wrong
    /// place must not create the data of a second relay.
    ///
    /// # Errors
    /// [`KeyError::File`], or [`KeyError::WorldWritable`] for an existing directory.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        files::make_directory(path)?;
        files::check_directory(path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// The directory of a relay that was started before. Blocks up to `STARTUP_TIMEOUT` if there is none.
    ///
    /// # Errors
    /// There is none, or [`KeyError::WorldWritable`].
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let directory = Self { path: path.to_owned() };
        let deadline = Instant::now() + STARTUP_TIMEOUT;
        while !directory.database().exists() {
            if Instant::now() >= deadline {
                bail!(
                    "there is no relay's data in {}: start the relay with docrelay serve, or name its directory with --data",
                    path.display()
                );
            }
            std::thread::sleep(LOCK_POLL_INTERVAL);
        }
        files::check_directory(path)?;
        Ok(directory)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn database(&self) -> PathBuf {
        self.path.join("docrelay.db")
    }

    /// Opens the store, or returns the address of the relay that has it open. Blocks up to `STORE_LOCK_TIMEOUT` longer
    /// than opening takes.
    ///
    /// # Errors
    /// [`OpenError::Locked`] if another process keeps the lock, and every other error of opening the database or the
    /// sealing key.
    pub fn open_store(&self, options: SqliteOptions) -> anyhow::Result<StoreOwner> {
        let lock = match self.lock()? {
            LockOutcome::Acquired(lock) => lock,
            LockOutcome::Held(address) => return Ok(StoreOwner::Remote(address)),
        };
        // Read under the lock: a rotation may have replaced the key while this process waited.
        let options = SqliteOptions { seal: self.seal()?, ..options };
        let store = SqliteStore::open_locked(lock, options)?;
        // A relay that was killed has left its file.
        self.remove_address_file();
        Ok(StoreOwner::Local(store))
    }

    /// The relay that is running on the directory. Blocks up to `STORE_LOCK_TIMEOUT` while a process without an address
    /// holds the lock.
    ///
    /// # Errors
    /// There is none, or another process keeps the lock.
    pub fn running_relay(&self) -> anyhow::Result<RelayAddress> {
        match self.lock()? {
            LockOutcome::Held(address) => Ok(address),
            LockOutcome::Acquired(_) => {
                bail!(
                    "no relay is running on {}: docrelay serve reads the configuration when it starts",
                    self.path.display()
                )
            }
        }
    }

    /// Locks the database. Blocks up to `STORE_LOCK_TIMEOUT` while a process without an address holds the lock.
    pub(super) fn lock(&self) -> Result<LockOutcome, OpenError> {
        let deadline = Instant::now() + STORE_LOCK_TIMEOUT;
        loop {
            match DatabaseLock::acquire(&self.database()) {
                Ok(lock) => return Ok(LockOutcome::Acquired(lock)),
                Err(OpenError::Locked(path)) => match self.read_address_file() {
                    Some(address) => return Ok(LockOutcome::Held(address)),
                    None if Instant::now() >= deadline => return Err(OpenError::Locked(path)),
                    None => std::thread::sleep(LOCK_POLL_INTERVAL),
                },
                Err(error) => return Err(error),
            }
        }
    }

    /// Replaces the sealing key: adds a new one to its file, seals every secret of the database again, and drops the
    /// old key. If this is interrupted after any step, relays start with both keys, and the next call continues.
    /// Blocks.
    ///
    /// # Errors
    /// A relay is running on the directory, or the key file or the database cannot be read or written.
    pub fn rotate_seal(&self) -> anyhow::Result<SealRotation> {
        let lock = match self.lock()? {
            LockOutcome::Acquired(lock) => lock,
            LockOutcome::Held(_) => bail!(
                "a relay is running on {}: stop it, because it would not open what is sealed with the new key",
                self.path.display()
            ),
        };
        // Before the key changes: a node with another key than its cluster's would not start.
        if let Some(DatabaseState { journal: Some(_), .. }) = snapshot::describe(&self.database())? {
            return Err(OpenError::Member(self.database()).into());
        }
        let (sealer, start) = Sealer::begin_rotation(&self.seal_key())?;
        let sealed = sqlite::reseal(&lock, &StoreSeal(sealer))?;
        Sealer::finish_rotation(&self.seal_key())?;
        Ok(SealRotation { resumed: start == RotationStart::Resumed, sealed })
    }

    fn seal_key(&self) -> PathBuf {
        self.path.join("seal.key")
    }

    /// The signing keys of tokens, created on first use.
    pub fn keys(&self) -> Result<Keys, KeyError> {
        Keys::open_or_create(&self.path.join("keys"), Timestamp::now())
    }

    /// The encryption of stored secrets; its key is created on first use.
    pub fn seal(&self) -> Result<Arc<dyn Seal>, KeyError> {
        let sealer = Sealer::open_or_create(&self.seal_key())?;
        if sealer.is_rotating() {
            tracing::warn!(
                "rotation of the sealing key was interrupted: stop the relay and run docrelay key rotate --seal"
            );
        }
        Ok(Arc::new(StoreSeal(sealer)))
    }

    /// The configured admin token, or the one in the directory, created on first use.
    pub fn admin_token(&self, configured: Option<Secret>) -> Result<AdminToken, KeyError> {
        AdminToken::open_or_create(configured, &self.path.join("admin.token"))
    }

    /// Writes `relay.json`, atomically.
    pub fn write_address_file(&self, address: &RelayAddress) -> anyhow::Result<()> {
        let (path, draft) = (self.path.join("relay.json"), self.path.join("relay.json.new"));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
            file.write_all(&serde_json::to_vec(address)?)?;
            std::fs::rename(&draft, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes `relay.json`.
    pub fn remove_address_file(&self) {
        match std::fs::remove_file(self.path.join("relay.json")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, "cannot remove relay.json");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Reads `relay.json`. The relay may have been killed since it was written.
    pub fn read_address_file(&self) -> Option<RelayAddress> {
        serde_json::from_slice(&std::fs::read(self.path.join("relay.json")).ok()?).ok()
    }
}
