//! Secret files: created so that only their owner can read them and only whole, refused when others can read them.
//! Knows nothing of what is inside.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// No secret of ours comes near this; what is larger is some other file.
const LARGEST: u64 = 64 * 1024;

/// Why a key, a secret file or a sealed value cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Group or world can read or write the file.
    #[error("{} is open to other users: run chmod 600 {}", .0.display(), .0.display())]
    Exposed(PathBuf),
    /// The file does not hold what it should.
    #[error("{} is not {expected}: restore it from a backup{}", .path.display(), .otherwise)]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should be, with an article.
        expected: &'static str,
        /// What else can be done, beginning with a comma; empty when there is nothing else.
        otherwise: &'static str,
    },
    /// The file system said no.
    #[error("cannot {action} {}: {reason}", .path.display())]
    File {
        /// The verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said; not `source`, or a chain of errors would say it twice.
        reason: io::Error,
    },
    /// A sealed value was changed, cut, moved to another context, or sealed with another key.
    #[error("a sealed value does not open: it was changed, or the key file was replaced since")]
    Unsealed,
    /// A token could not be signed, or a key not be made. The keys are tried when they are read, so this is a defect.
    #[error("the signing key does not sign: restart the relay, and report this if it stays")]
    Unsigned,
    /// The system's random source failed.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

/// Makes a directory, and the missing ones above it, for the owner only (0700). One that exists stays as it is: the
/// files inside protect themselves.
pub fn make_directory(path: &Path) -> Result<(), KeyError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("create", path))
}

/// The content of a secret file; `None` when there is no such file.
///
/// Fails when group or world has any access to it: the secret must be taken to be known to them, so this is said at
/// the start instead of being repaired in silence.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, KeyError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed("read", path)(e)),
    };
    // Asked of the open file, not of the path: the answer belongs to the bytes that are read below.
    let mode = file.metadata().map_err(failed("read", path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed(path.to_owned()));
    }
    let mut content = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut content).map_err(failed("read", path))?;
    if content.len() as u64 > LARGEST {
        let expected = "a key or token, which is never larger than 64 KiB";
        return Err(KeyError::Malformed { path: path.to_owned(), expected, otherwise: "" });
    }
    Ok(Some(content))
}

/// Reads a secret file, or makes it with what `generate` returns. When two processes start at once, both get the
/// content of the one that was first.
pub fn read_or_create(path: &Path, generate: impl FnOnce() -> Result<Vec<u8>, KeyError>) -> Result<Vec<u8>, KeyError> {
    if let Some(content) = read(path)? {
        return Ok(content);
    }
    let content = generate()?;
    if create(path, &content)? {
        return Ok(content);
    }
    read(path)?.ok_or_else(|| failed("read", path)(io::ErrorKind::NotFound.into()))
}

/// Makes a secret file (0600) that appears whole or not at all, even when the machine stops in between. `false` when
/// the name is taken: an existing secret is never overwritten.
pub fn create(path: &Path, content: &[u8]) -> Result<bool, KeyError> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_directory(directory)?;
    let draft = draft_name(path)?;
    let made = write_whole(&draft, content)
        .map_err(failed("write", &draft))
        .and_then(|()| publish(&draft, path).map_err(failed("create", path)));
    // After a link the draft is a second name of the secret; after a rename, or a failed write, it may be gone.
    match fs::remove_file(&draft) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &draft)(e)),
        _ => {}
    }
    let made = made?;
    // Without this, the directory's entry may be lost although the file's content is on the disk.
    File::open(directory).and_then(|d| d.sync_all()).map_err(failed("flush", directory))?;
    Ok(made)
}

/// A name beside `path` that nobody else uses.
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

/// Gives the finished draft its name, unless that is taken. A link refuses a taken name in one step; file systems
/// without links get a rename, where the check and the step are two.
fn publish(draft: &Path, path: &Path) -> io::Result<bool> {
    match fs::hard_link(draft, path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(_) if path.exists() => Ok(false),
        Err(_) => fs::rename(draft, path).map(|()| true),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_owned();
    move |reason| KeyError::File { action, path, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("exists").permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_file_belongs_to_its_owner_alone_and_leaves_no_draft() {
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
    fn an_existing_secret_is_never_overwritten() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("one.key");
        assert!(create(&path, b"first").expect("made"));
        assert!(!create(&path, b"second").expect("answered"));
        let kept = read_or_create(&path, || Ok(b"third".to_vec())).expect("read");
        assert_eq!(kept, b"first");
        assert_eq!(fs::read_dir(home.path()).expect("listed").count(), 1);
    }

    #[test]
    fn processes_that_start_at_once_agree_on_one_secret() {
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
    fn a_secret_that_others_can_read_is_refused_with_the_remedy() {
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
    fn what_is_far_too_large_for_a_secret_is_not_read() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("one.key");
        assert!(create(&path, &vec![0; LARGEST as usize + 1]).expect("made"));
        assert!(matches!(read(&path), Err(KeyError::Malformed { .. })));
        assert!(read(&home.path().join("none.key")).expect("answered").is_none());
    }
}
