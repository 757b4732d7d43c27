//! Secret files: created atomically and readable by their owner only; rejected if other users have access. Also the
//! error of everything that is read from them. Independent of their content.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Upper bound on the size of a key or token file. Larger files are rejected.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// A key, a secret file or a sealed value cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The group or other users can access the file.
    #[error("{} is accessible to other users: run chmod 600 {}", .0.display(), .0.display())]
    Exposed(PathBuf),
    /// Any user can replace the files of the directory.
    #[error("other users can replace files in {}: run chmod 700 {}", .0.display(), .0.display())]
    WorldWritable(PathBuf),
    #[error("{} is not {expected}: restore it from a backup{}", .path.display(), .hint)]
    Malformed {
        path: PathBuf,
        /// What the file should contain, with an article.
        expected: &'static str,
        /// An alternative to the backup, beginning with a comma, or empty.
        hint: &'static str,
    },
    #[error("cannot {action} {}: {reason}", .path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        /// Not a `source`, because the message contains it already.
        reason: io::Error,
    },
    /// A sealed value was changed, truncated, moved to another context, or sealed with another key.
    #[error("cannot open a sealed value: it was changed, or the key file was replaced")]
    InvalidSeal,
    /// All key files were deleted while the relay runs.
    #[error("{} contains no key: restore one from a backup", .0.display())]
    NoKey(PathBuf),
    /// No signing key has this id.
    #[error("there is no signing key {0}: docrelay key list")]
    UnknownKey(String),
    /// The tokens of all clients would become invalid, and a new key would be created.
    #[error("{0} is the only signing key: add another one with docrelay key rotate")]
    OnlyKey(String),
    /// Generating a key or signing a token failed. Keys are checked when they are read, so this is a defect.
    #[error("cannot sign with the signing key: restart the relay, and report this if it persists")]
    SigningFailed,
    #[error("the system's random source failed: {0}")]
    Random(getrandom::Error),
}

impl KeyError {
    /// Converts an I/O error; `action` is a verb such as `read`.
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |reason| KeyError::File { action, path, reason }
    }
}

/// Creates a directory and its missing parents with mode 0700, and flushes their names: a power cut must not lose a
/// directory whose files were flushed. The mode of an existing directory is not changed, because the files inside have
/// their own modes.
pub fn make_directory(path: &Path) -> Result<(), KeyError> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(KeyError::file("create", path))?;
    if missing.is_empty() {
        // The process that created it may have been killed before the flush. A parent that is not readable was prepared
        // by an operator.
        return match flush_name(path) {
            Err(KeyError::File { reason, .. }) if reason.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            flushed => flushed,
        };
    }
    missing.into_iter().try_for_each(flush_name)
}

/// Flushes the directory that contains this path, so that a power cut does not lose the name.
fn flush_name(path: &Path) -> Result<(), KeyError> {
    flush_directory(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Flushes the names in a directory.
pub(super) fn flush_directory(path: &Path) -> Result<(), KeyError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(KeyError::file("flush", path))
}

/// Checks that not all users can replace the files of a directory. A group may, because container platforms give
/// volumes to one. The mode is not corrected: the directory may be shared on purpose, such as `/tmp`.
///
/// # Errors
/// [`KeyError::WorldWritable`], [`KeyError::File`] for I/O errors.
pub fn check_directory(path: &Path) -> Result<(), KeyError> {
    let mode = fs::metadata(path).map_err(KeyError::file("read", path))?.permissions().mode();
    if mode & 0o002 == 0 { Ok(()) } else { Err(KeyError::WorldWritable(path.to_owned())) }
}

/// Reads a secret file; `None` if it does not exist.
///
/// # Errors
/// [`KeyError::Exposed`] if group or others have access: the secret must be considered known, so the mode is not
/// corrected silently. [`KeyError::Malformed`] above 64 KiB, [`KeyError::File`] for I/O errors.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, KeyError> {
    match read_with_mode(path)? {
        Some(SecretFile { is_exposed: true, .. }) => Err(KeyError::Exposed(path.to_owned())),
        file => Ok(file.map(|file| file.content)),
    }
}

/// A secret file that another program may have written, with any mode.
pub(super) struct SecretFile {
    pub(super) content: Vec<u8>,
    /// The group or other users have access to it.
    pub(super) is_exposed: bool,
}

/// The same without [`KeyError::Exposed`].
pub(super) fn read_with_mode(path: &Path) -> Result<Option<SecretFile>, KeyError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(KeyError::file("read", path)(e)),
    };
    // Checked on the open file, not on the path, so that the mode is that of the content read below.
    let mode = file.metadata().map_err(KeyError::file("read", path))?.permissions().mode();
    let mut content = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content).map_err(KeyError::file("read", path))?;
    if content.len() as u64 > MAX_FILE_BYTES {
        let expected = "a key or token, which has at most 64 KiB";
        return Err(KeyError::Malformed { path: path.to_owned(), expected, hint: "" });
    }
    Ok(Some(SecretFile { content, is_exposed: mode & 0o077 != 0 }))
}

/// Reads a secret file, or creates it with the result of `generate`. Processes that start at the same time agree on the
/// content of the process that creates the file first. A power cut does not lose a secret that was returned.
pub fn read_or_create(path: &Path, generate: impl FnOnce() -> Result<Vec<u8>, KeyError>) -> Result<Vec<u8>, KeyError> {
    if let Some(content) = read(path)? {
        // The process that created it may have been killed before the flush.
        flush_name(path)?;
        return Ok(content);
    }
    let content = generate()?;
    if create(path, &content)? {
        return Ok(content);
    }
    read(path)?.ok_or_else(|| KeyError::file("read", path)(io::ErrorKind::NotFound.into()))
}

/// Creates a secret file with mode 0600. After a crash the file is complete or absent. Returns `false` if the file
/// exists: a secret is never overwritten.
pub fn create(path: &Path, content: &[u8]) -> Result<bool, KeyError> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_directory(directory)?;
    let draft = draft_name(path)?;
    let made = write_whole(&draft, content)
        .map_err(KeyError::file("write", &draft))
        .and_then(|()| publish(&draft, path).map_err(KeyError::file("create", path)));
    // A hard link leaves the draft as a second name of the secret; a rename or a failed write may have removed it.
    remove_if_exists(&draft)?;
    let made = made?;
    flush_name(path)?;
    Ok(made)
}

/// Replaces the content of a secret file. After a crash or a power cut the file has the content before or this one.
/// Only one process may do this at a time.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), KeyError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.new"));
    // A process that was killed has left its draft.
    remove_if_exists(&draft)?;
    write_whole(&draft, content).map_err(KeyError::file("write", &draft))?;
    fs::rename(&draft, path).map_err(KeyError::file("replace", path))?;
    flush_name(path)
}

/// Removes a secret file durably.
///
/// # Errors
/// [`KeyError::File`], also if it does not exist.
pub fn remove(path: &Path) -> Result<(), KeyError> {
    fs::remove_file(path).map_err(KeyError::file("remove", path))?;
    flush_name(path)
}

fn remove_if_exists(path: &Path) -> Result<(), KeyError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(KeyError::file("remove", path)(e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A unique name in the directory of `path`.
fn draft_name(path: &Path) -> Result<PathBuf, KeyError> {
    let tag = getrandom::u64().map_err(KeyError::Random)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{tag:016x}.new")))
}

fn write_whole(draft: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Moves the draft to `path`; returns `false` if that exists. Hard links do this atomically. On file systems without
/// them it is a check followed by a rename.
fn publish(draft: &Path, path: &Path) -> io::Result<bool> {
    match fs::hard_link(draft, path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(_) if path.exists() => Ok(false),
        Err(_) => fs::rename(draft, path).map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("exists").permissions().mode() & 0o777
    }

    #[test]
    fn secret_file_is_owner_only_and_leaves_no_draft() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("data/keys/one.key");
        assert!(create(&path, b"secret").expect("made"));
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&home.path().join("data")), 0o700);
        assert_eq!(mode(&home.path().join("data/keys")), 0o700);
        assert_eq!(fs::read_dir(path.parent().expect("keys")).expect("listed").count(), 1);
        assert_eq!(read(&path).expect("read").as_deref(), Some(&b"secret"[..]));
    }

    #[test]
    fn existing_secret_is_never_overwritten() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("one.key");
        assert!(create(&path, b"first").expect("made"));
        assert!(!create(&path, b"second").expect("answered"));
        let kept = read_or_create(&path, || Ok(b"third".to_vec())).expect("read");
        assert_eq!(kept, b"first");
        assert_eq!(fs::read_dir(home.path()).expect("listed").count(), 1);
    }

    #[test]
    fn replaced_secret_is_owner_only_and_ignores_stale_draft() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("one.key");
        assert!(create(&path, b"first").expect("made"));
        fs::write(home.path().join(".one.key.new"), "half of an earl").expect("a draft of a killed process");
        replace(&path, b"second").expect("replaced");
        assert_eq!(read(&path).expect("read").as_deref(), Some(&b"second"[..]));
        assert_eq!((mode(&path), fs::read_dir(home.path()).expect("listed").count()), (0o600, 1));
        remove(&path).expect("removed");
        assert!(read(&path).expect("read").is_none() && remove(&path).is_err());
    }

    #[test]
    fn concurrent_creators_agree_on_one_secret() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("one.key");
        let made: Vec<Vec<u8>> = std::thread::scope(|s| {
            let racers: Vec<_> = (0..8u8)
                .map(|n| {
                    s.spawn({
                        let path = &path;
                        move || read_or_create(path, || Ok(vec![n; 32]))
                    })
                })
                .collect();
            racers.into_iter().map(|r| r.join().expect("ran").expect("read")).collect()
        });
        assert!(made.iter().all(|m| m == &made[0]), "{made:?}");
    }

    #[test]
    fn exposed_secret_file_is_rejected_with_chmod_hint() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("one.key");
        fs::write(&path, b"secret").expect("written");
        for open in [0o644, 0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).expect("changed");
            let said = read(&path).expect_err("refused").to_string();
            assert!(said.contains("chmod 600") && said.contains("one.key") && !said.contains("secret"), "{said}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("changed");
        assert!(read(&path).is_ok());
    }

    #[test]
    fn oversized_secret_file_is_rejected() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("one.key");
        assert!(create(&path, &vec![0; MAX_FILE_BYTES as usize + 1]).expect("made"));
        assert!(matches!(read(&path), Err(KeyError::Malformed { .. })));
        assert!(read(&home.path().join("none.key")).expect("answered").is_none());
    }
}
