//! Client secrets and the admin token: generated from the system's random source, compared in constant time, rotated
//! with an overlap of a day. Independent of storage and HTTP.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE32_DNSSEC;

use super::files::{self, KeyError};
use crate::domain::{Client, Secret, Timestamp};

/// How long the previous secret stays valid after a rotation.
pub const PREVIOUS_SECRET_TTL: Duration = Duration::from_secs(24 * 3600);

/// Generates a client secret, hook key or admin token: 160 random bits as 32 characters of `0-9a-v`. They need no
/// escaping in URLs, headers and shells, and do not begin with `-`.
///
/// # Errors
/// [`KeyError::Random`].
pub fn generate_secret() -> Result<Secret, KeyError> {
    let mut bits = [0; 20];
    getrandom::fill(&mut bits).map_err(KeyError::Random)?;
    Ok(Secret::new(&BASE32_DNSSEC.encode(&bits)))
}

/// Compares two secrets in constant time. Digests are compared, so that the time does not depend on the expected
/// secret's length either.
pub fn secrets_equal(expected: &str, presented: &str) -> bool {
    let digests = [expected, presented].map(|s| digest(&SHA256, s.as_bytes()));
    verify_slices_are_equal(digests[0].as_ref(), digests[1].as_ref()).is_ok()
}

/// Whether this is the client's secret, or its previous one while that is valid.
pub fn check_client_secret(client: &Client, presented: &str, now: Timestamp) -> bool {
    let present = secrets_equal(client.secret.expose(), presented);
    let previous = client
        .previous
        .as_ref()
        .is_some_and(|(secret, until)| secrets_equal(secret.expose(), presented) && now < *until);
    present || previous
}

/// Replaces the client's secret. The current one stays valid for [`PREVIOUS_SECRET_TTL`]; an older one ends now.
pub fn rotate_secret(client: &Client, new: Secret, now: Timestamp) -> Client {
    let previous = Some((client.secret.clone(), now.plus(PREVIOUS_SECRET_TTL)));
    Client { secret: new, previous, ..client.clone() }
}

/// The bearer token of the admin address.
#[derive(Clone, Debug)]
pub struct AdminToken(Secret);

impl AdminToken {
    /// The configured token, or the one in the file, which is created if it does not exist.
    ///
    /// # Errors
    /// A file that other users can access, that is not one line of visible ASCII, or that cannot be read or written.
    pub fn open_or_create(configured: Option<Secret>, path: &Path) -> Result<Self, KeyError> {
        if let Some(secret) = configured {
            return Ok(Self(secret));
        }
        let content = files::read_or_create(path, || Ok(format!("{}\n", generate_secret()?.expose()).into_bytes()))?;
        let text = std::str::from_utf8(&content).unwrap_or_default().trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(KeyError::Malformed {
                path: path.to_owned(),
                expected: "one line of visible ASCII",
                hint: ", or delete it: a new token is created",
            });
        }
        Ok(Self(Secret::new(text)))
    }

    /// The token as text, for commands that send it to a running relay.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Compares in constant time.
    pub fn matches(&self, presented: &str) -> bool {
        secrets_equal(self.0.expose(), presented)
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
    fn generated_secrets_are_long_url_safe_and_unique() {
        let (one, two) = (generate_secret().expect("random"), generate_secret().expect("random"));
        assert_ne!(one, two);
        assert_eq!(one.expose().len(), 32);
        assert!(one.expose().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    }

    #[test]
    fn secrets_are_equal_only_as_a_whole() {
        assert!(secrets_equal("secret", "secret"));
        for other in ["", "s", "secre", "secret ", "Secret", "secret\0"] {
            assert!(!secrets_equal("secret", other), "{other:?}");
        }
    }

    #[test]
    fn previous_secret_is_valid_for_a_day_after_rotation() {
        let now = Timestamp::from_seconds(2_000);
        let after = rotate_secret(&client(), Secret::new("new"), now);
        let end = now.plus(PREVIOUS_SECRET_TTL);
        assert_eq!(after.created, client().created, "tokens issued before stay valid");
        assert!(check_client_secret(&after, "new", now) && check_client_secret(&after, "new", end));
        assert!(check_client_secret(&after, "old", end.minus(Duration::from_millis(1))));
        assert!(!check_client_secret(&after, "old", end));
        assert!(!check_client_secret(&after, "", now));
        let twice = rotate_secret(&after, Secret::new("newer"), now);
        assert!(!check_client_secret(&twice, "old", now));
    }

    #[test]
    fn admin_token_is_created_once_and_configuration_overrides_it() {
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
    fn empty_or_malformed_admin_token_file_is_rejected() {
        let home = tempfile::tempdir().expect("a directory");
        for (n, content) in ["", "\n", "two words", "\u{fc}"].into_iter().enumerate() {
            let path = home.path().join(format!("{n}.token"));
            files::create(&path, content.as_bytes()).expect("made");
            assert!(AdminToken::open_or_create(None, &path).is_err(), "{content:?}");
        }
    }
}
