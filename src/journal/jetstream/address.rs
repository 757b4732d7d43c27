//! The addresses of the broker's servers: separates user and password from them, so that no error and no log line can
//! contain a secret.

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::journal::JournalError;

/// Addresses without userinfo, and the userinfo that they had.
pub(super) struct ServerList {
    pub(super) addresses: Vec<ServerAddr>,
    pub(super) user: Option<UserPassword>,
    /// The addresses as log lines and errors show them.
    pub(super) text: String,
}

/// Percent-decoded.
#[derive(PartialEq, Eq)]
pub(super) struct UserPassword {
    pub(super) user: String,
    pub(super) password: String,
}

/// # Errors
/// `Unusable` with one sentence. It names a server by its number, because an address that cannot be parsed may contain
/// a password anywhere.
pub(super) fn parse(servers: &[String]) -> Result<ServerList, JournalError> {
    let mut list = ServerList { addresses: Vec::new(), user: None, text: String::new() };
    for (server, number) in servers.iter().zip(1..) {
        let malformed = || {
            JournalError::Unusable(format!(
                "server {number} of the cluster's broker is not of the form nats://host:port or tls://host:port"
            ))
        };
        let full = if server.contains("://") { server.clone() } else { format!("nats://{server}") };
        let mut url = Url::parse(&full).map_err(|_| malformed())?;
        let has_only_host = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "nats" | "tls") || url.host_str().is_none_or(str::is_empty) || !has_only_host {
            return Err(malformed());
        }
        let user = userinfo(&url).ok_or_else(malformed)?;
        url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| malformed())?;
        if let Some(user) = user {
            if list.user.as_ref().is_some_and(|other| *other != user) {
                return Err(JournalError::Unusable("the broker's servers have different users".into()));
            }
            list.user = Some(user);
        }
        let separator = if list.text.is_empty() { "" } else { ", " };
        list.text = format!("{}{separator}{url}", list.text);
        list.addresses.push(ServerAddr::from_url(url).map_err(|_| malformed())?);
    }
    if list.addresses.is_empty() {
        return Err(JournalError::Unusable("no server of the cluster's broker is configured".into()));
    }
    Ok(list)
}

/// `None` inside if there is no user, outside if it is not UTF-8.
fn userinfo(url: &Url) -> Option<Option<UserPassword>> {
    if url.username().is_empty() && url.password().is_none() {
        return Some(None);
    }
    let decode = |text| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let user = decode(url.username())?;
    let password = decode(url.password().unwrap_or_default())?;
    Some(Some(UserPassword { user, password }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_all(servers: &[&str]) -> Result<ServerList, JournalError> {
        parse(&servers.iter().map(|&server| server.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn userinfo_is_decoded_and_removed_from_addresses() {
        let list = parse_all(&["nats://relay:p%40ss%2Fw@one:4222", "tls://two:4333", "[::1]:4444"]).unwrap();
        let user = list.user.unwrap();
        assert_eq!((user.user.as_str(), user.password.as_str()), ("relay", "p@ss/w"));
        assert_eq!(list.text, "nats://one:4222, tls://two:4333, nats://[::1]:4444");
        assert!(list.addresses.iter().all(|address| !address.has_user_pass()));
        assert_eq!(list.addresses[2].port(), 4444);
    }

    #[test]
    fn malformed_server_is_refused_without_its_text() {
        for server in
            ["", "nats://", "http://relay:secret@one", "nats://relay:secret@one:x", "nats://relay:secret@one/path"]
        {
            let Err(error) = parse_all(&["nats://one", server]) else { panic!("{server}") };
            assert!(error.to_string().contains("server 2"), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(parse_all(&["a:secret@one", "b:secret@two"]).is_err());
        assert!(parse_all(&[]).is_err());
    }
}
