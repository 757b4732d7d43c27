//! Secrets that are compared: made from the system's random source, checked in constant time, rotated with a day of
//! grace. Where they are stored is the store's business, where they are asked for is HTTP's.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE32_DNSSEC;

use super::files::{self, KeyError};
use crate::domain::{Client, Secret, Timestamp};

/// How long the secret before the present one is still taken.
pub const PREVIOUS_FOR: Duration = Duration::from_secs(24 * 3600);

/// A fresh client secret, hook key or admin token: 160 random bits as 32 characters of `0-9a-v`, which need no
/// escaping anywhere and cannot be taken for a flag.
pub fn fresh_secret() -> Result<Secret, KeyError> {
    let mut bits = [0; 20];
    getrandom::fill(&mut bits).map_err(KeyError::Random)?;
    Ok(Secret::new(&BASE32_DNSSEC.encode(&bits)))
}

/// Whether two secrets are equal, in a time that tells nothing of where they differ, nor of how long ours is: what is
/// compared are their digests.
pub fn same_secret(ours: &str, presented: &str) -> bool {
    let digests = [ours, presented].map(|s| digest(&SHA256, s.as_bytes()));
    verify_slices_are_equal(digests[0].as_ref(), digests[1].as_ref()).is_ok()
}

/// Whether this is the client's secret, or the one before it while that is still taken.
pub fn check_client_secret(client: &Client, presented: &str, now: Timestamp) -> bool {
    let present = same_secret(client.secret.expose(), presented);
    let previous =
        client.previous.as_ref().is_some_and(|(secret, until)| same_secret(secret.expose(), presented) && now < *until);
    present || previous
}

/// The client with `fresh` as its secret and the present one taken for [`PREVIOUS_FOR`] more. One that was still in
/// its own day of grace ends now.
pub fn with_fresh_secret(client: &Client, fresh: Secret, now: Timestamp) -> Client {
    let previous = Some((client.secret.clone(), now.plus(PREVIOUS_FOR)));
    Client { secret: fresh, previous, ..client.clone() }
}

/// The token of the admin address.
#[derive(Clone, Debug)]
pub struct AdminToken(Secret);

impl AdminToken {
    /// The configured token; without one that of the file, which is made when it does not exist.
    ///
    /// Fails when the file is open to other users, or holds anything but one line of visible ASCII.
    pub fn open_or_create(configured: Option<Secret>, path: &Path) -> Result<Self, KeyError> {
        if let Some(secret) = configured {
            return Ok(Self(secret));
        }
        let content = files::read_or_create(path, || Ok(format!("{}\n", fresh_secret()?.expose()).into_bytes()))?;
        let text = std::str::from_utf8(&content).unwrap_or_default().trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(KeyError::Malformed {
                path: path.to_owned(),
                expected: "one line of visible ASCII",
                otherwise: ", or delete it and a new token is made",
            });
        }
        Ok(Self(Secret::new(text)))
    }

    /// The token as text, for a command that presents it to a running relay.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Whether this is the token, in constant time.
    pub fn matches(&self, presented: &str) -> bool {
        same_secret(self.0.expose(), presented)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client {
            id: "acme".parse().expect("good"),
            created: Timestamp::from_seconds(1_000),
            secret: Secret::new("old"),
            previous: None,
        }
    }

    #[test]
    fn fresh_secrets_are_long_url_safe_and_different() {
        let (one, two) = (fresh_secret().expect("random"), fresh_secret().expect("random"));
        assert_ne!(one, two);
        assert_eq!(one.expose().len(), 32);
        assert!(one.expose().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    }

    #[test]
    fn only_the_whole_secret_is_the_secret() {
        assert!(same_secret("secret", "secret"));
        for other in ["", "s", "secre", "secret ", "Secret", "secret\0"] {
            assert!(!same_secret("secret", other), "{other:?}");
        }
    }

    #[test]
    fn a_rotated_secret_is_taken_for_a_day_and_then_no_more() {
        let now = Timestamp::from_seconds(2_000);
        let after = with_fresh_secret(&client(), Secret::new("new"), now);
        let end = now.plus(PREVIOUS_FOR);
        assert_eq!(after.created, client().created, "tokens issued before stay valid");
        assert!(check_client_secret(&after, "new", now) && check_client_secret(&after, "new", end));
        assert!(check_client_secret(&after, "old", end.minus(Duration::from_millis(1))));
        assert!(!check_client_secret(&after, "old", end));
        assert!(!check_client_secret(&after, "", now));
        let twice = with_fresh_secret(&after, Secret::new("newer"), now);
        assert!(!check_client_secret(&twice, "old", now));
    }

    #[test]
    fn the_admin_token_is_made_once_and_the_configured_one_wins() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("admin.token");
        AdminToken::open_or_create(None, &path).expect("made");
        let written = std::fs::read_to_string(&path).expect("read");
        let again = AdminToken::open_or_create(None, &path).expect("read");
        assert!(again.matches(written.trim()) && !again.matches("") && !again.matches(&written));
        let given = AdminToken::open_or_create(Some(Secret::new("given")), &path).expect("given");
        assert!(given.matches("given") && !given.matches(written.trim()));
        assert_eq!(format!("{given:?}"), "AdminToken([secret])");
    }

    #[test]
    fn an_empty_admin_token_file_is_no_open_door() {
        let home = tempfile::tempdir().expect("a directory");
        for (n, content) in ["", "\n", "two words", "\u{fc}"].into_iter().enumerate() {
            let path = home.path().join(format!("{n}.token"));
            files::create(&path, content.as_bytes()).expect("made");
            assert!(AdminToken::open_or_create(None, &path).is_err(), "{content:?}");
        }
    }
}
