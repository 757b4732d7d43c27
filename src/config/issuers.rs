//! The tables `[[issuers]]`: foreign issuers of tokens, checked as far as that is possible without their key files.

use std::path::PathBuf;

use http::Uri;

use super::error::ConfigError;
use super::sources::Sources;
use super::tables::ConfigTable;
use super::value;
use crate::auth::{ClaimPath, ClaimRules, ISSUER, IssuerOptions, KeySource, ScopeMapping, Scopes, SignatureAlgorithm};

const NAMES: [&str; 9] = [
    "issuer",
    "audience",
    "key_file",
    "secret_file",
    "jwks_url",
    "algorithms",
    "client_claim",
    "scope_claim",
    "scopes",
];

/// The issuers of all tables.
pub(super) fn issuers(sources: &Sources<'_>) -> Result<Vec<IssuerOptions>, ConfigError> {
    let mut all: Vec<IssuerOptions> = Vec::new();
    for table in sources.tables("issuers")? {
        let issuer = issuer(&table)?;
        if all.iter().any(|other| other.issuer == issuer.issuer) {
            return Err(table.error("issuer", "that of one table only: a key_file may hold several keys"));
        }
        all.push(issuer);
    }
    Ok(all)
}

fn issuer(table: &ConfigTable) -> Result<IssuerOptions, ConfigError> {
    table.check_names(&NAMES)?;
    let name = table.text("issuer", issuer_name)?;
    let audience = table.text("audience", |text| one_line(text, "the `aud` of its tokens"))?;
    let keys = key_source(table)?;
    let claim = |name: &str, default: &str| -> Result<ClaimPath, ConfigError> {
        let claim =
            table.text(name, |text| one_line(text, "the name of a claim, or a JSON Pointer that begins with /"))?;
        Ok(ClaimPath::new(claim.as_deref().unwrap_or(default)))
    };
    Ok(IssuerOptions {
        issuer: name.ok_or_else(|| table.error("issuer", "given: the `iss` of its tokens"))?,
        algorithms: algorithms(table, &keys)?,
        keys,
        claims: ClaimRules {
            audience: audience.ok_or_else(|| table.error("audience", "given: the `aud` of its tokens"))?,
            client_claim: claim("client_claim", "sub")?,
            scope_claim: claim("scope_claim", "scope")?,
            scopes: scopes(table)?,
        },
    })
}

/// Exactly one of the three.
fn key_source(table: &ConfigTable) -> Result<KeySource, ConfigError> {
    let expected = "the only one of key_file, secret_file and jwks_url";
    let file = |name: &str| -> Result<Option<PathBuf>, ConfigError> { table.text(name, value::file) };
    let sources = [
        file("key_file")?.map(KeySource::PublicKeys),
        file("secret_file")?.map(KeySource::Secret),
        table.text("jwks_url", key_set_url)?.map(KeySource::KeySet),
    ];
    let mut given = sources.into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(source), None) => Ok(source),
        (None, _) => Err(table.error("key_file", "given, or secret_file, or jwks_url")),
        (Some(_), Some(_)) if table.has("jwks_url") => Err(table.error("jwks_url", expected)),
        (Some(_), Some(_)) => Err(table.error("secret_file", expected)),
    }
}

/// A secret verifies HMAC only, and a public key everything else: a mixture would allow a public key as the secret.
fn algorithms(table: &ConfigTable, keys: &KeySource) -> Result<Vec<SignatureAlgorithm>, ConfigError> {
    let names = table.list("algorithms")?.iter();
    let unknown = "a list of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384, HS512";
    let algorithms: Vec<SignatureAlgorithm> =
        names.map(|name| name.parse().map_err(|_| table.error("algorithms", unknown))).collect::<Result<_, _>>()?;
    let is_secret = matches!(keys, KeySource::Secret(_));
    if algorithms.iter().all(|algorithm| algorithm.uses_secret() == is_secret) {
        return Ok(algorithms);
    }
    Err(table.error(
        "algorithms",
        if is_secret {
            "HS256, HS384 or HS512 with secret_file"
        } else {
            "without HS256, HS384 and HS512, which need secret_file"
        },
    ))
}

fn scopes(table: &ConfigTable) -> Result<ScopeMapping, ConfigError> {
    let Some(names) = table.mapping("scopes")? else { return Ok(ScopeMapping::default()) };
    let expected =
        "a table from the issuer's scopes to events, manage, or both, such as { \"read:events\" = \"events\" }";
    let parse = |(name, scopes): &(String, String)| Some((name.clone(), scopes.parse::<Scopes>().ok()?));
    let names: Option<Vec<_>> = names.iter().map(parse).collect();
    names.filter(|names| !names.is_empty()).map(ScopeMapping::new).ok_or_else(|| table.error("scopes", expected))
}

fn one_line(text: &str, expected: &'static str) -> Result<String, &'static str> {
    let is_good = !text.is_empty() && text.len() <= 1024 && !text.contains(char::is_control);
    if is_good { Ok(text.to_owned()) } else { Err(expected) }
}

fn issuer_name(text: &str) -> Result<String, &'static str> {
    let expected = "the `iss` of its tokens, and not docrelay, which is this relay";
    one_line(text, expected).and_then(|name| if name == ISSUER { Err(expected) } else { Ok(name) })
}

/// The HTTP client checks the address, and whether it may be without TLS.
fn key_set_url(text: &str) -> Result<String, &'static str> {
    let expected = "the https:// address of a JWK set, without user name and fragment";
    let uri: Uri = text.parse().map_err(|_| expected)?;
    let has_host = uri.authority().is_some_and(|a| !a.host().is_empty() && !a.as_str().contains('@'));
    // http::Uri drops a fragment silently.
    let is_good = matches!(uri.scheme_str(), Some("http" | "https")) && has_host && !text.contains('#');
    if is_good { Ok(text.to_owned()) } else { Err(expected) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Scope;
    use crate::config::{Config, Flags};

    #[test]
    fn issuers_are_read_from_file_and_environment_with_defaults() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("relay.toml");
        let file = "[[issuers]]\nissuer = 'https://a.example'\naudience = 'relay'\nkey_file = 'a.pem'\n\
                    algorithms = ['RS256', 'PS256']\n[[issuers]]\nissuer = 'b'\naudience = 'relay'\n\
                    jwks_url = 'https://b.example/keys?x=1'\nclient_claim = 'azp'\nscope_claim = '/realm_access/roles'\n\
                    scopes = { 'read:events' = 'events', admin = 'manage events' }\n";
        std::fs::write(&path, file).expect("written");
        let first = IssuerOptions {
            issuer: "https://a.example".to_owned(),
            keys: KeySource::PublicKeys("a.pem".into()),
            algorithms: ["RS256", "PS256"].map(|name| name.parse().expect("known")).to_vec(),
            claims: ClaimRules {
                audience: "relay".to_owned(),
                client_claim: ClaimPath::new("sub"),
                scope_claim: ClaimPath::new("scope"),
                scopes: ScopeMapping::default(),
            },
        };
        let mapping = vec![("admin".to_owned(), Scopes::ALL), ("read:events".to_owned(), Scope::Events.into())];
        let second = IssuerOptions {
            issuer: "b".to_owned(),
            keys: KeySource::KeySet("https://b.example/keys?x=1".to_owned()),
            algorithms: Vec::new(),
            claims: ClaimRules {
                audience: "relay".to_owned(),
                client_claim: ClaimPath::new("azp"),
                scope_claim: ClaimPath::new("/realm_access/roles"),
                scopes: ScopeMapping::new(mapping),
            },
        };
        assert_eq!(Config::check(&path).expect("good").issuers, [first, second]);

        let flags = Flags { config: Some(path), ..Flags::default() };
        let inline = "[{issuer = \"c\", audience = \"r\", secret_file = \"s\"}]";
        let env = |name: &str| (name == "DOCRELAY_ISSUERS").then(|| inline.to_owned());
        let config = Config::load(&flags, env, u64::MAX).expect("good");
        assert_eq!(config.issuers.iter().map(|issuer| issuer.issuer.as_str()).collect::<Vec<_>>(), ["c"]);
    }
}
