//! Certificates of an authority of the tests, made by openssl, and a relay that has one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::TestRelay;
use super::connection::Connection;
use super::fixture::document_id;
use super::follower::Follower;
use super::request::Request;
use super::response::stored_event_id;

/// A key and a request for a certificate.
const NEW_KEY: &str = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

/// A root authority with an intermediate one, which issues certificates of 127.0.0.1.
pub(crate) struct Authority {
    directory: TempDir,
}

/// A certificate in files: the chain up to the intermediate authority, and the key.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    /// The configuration keys of a relay with this certificate.
    pub(crate) fn config(&self) -> [(String, String); 2] {
        [("tls_cert", &self.chain), ("tls_key", &self.key)].map(|(key, path)| (key.to_owned(), text(path)))
    }

    /// The certificate without the chain, as a client gets it.
    #[track_caller]
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.chain).expect("a certificate")
    }

    /// Replaces the contents of these files by those of another certificate.
    #[track_caller]
    pub(crate) fn overwrite_with(&self, other: &Self) {
        std::fs::copy(&other.chain, &self.chain).expect("a copy");
        std::fs::copy(&other.key, &self.key).expect("a copy");
    }
}

impl Authority {
    #[track_caller]
    pub(crate) fn new() -> Self {
        let authority = Self { directory: tempfile::tempdir().expect("a directory") };
        let extensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";
        std::fs::write(authority.path("authority.ext"), extensions).expect("a file");
        let san = "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n";
        std::fs::write(authority.path("server.ext"), san).expect("a file");
        authority.openssl(&format!("{NEW_KEY} -x509 -days 2 -subj /CN=root -keyout root.key -out root.pem"));
        authority.sign("intermediate", "root", "authority.ext");
        authority
    }

    /// Issues a certificate with a new key, in files of this name.
    #[track_caller]
    pub(crate) fn issue(&self, name: &str) -> Certificate {
        self.sign(name, "intermediate", "server.ext");
        let read = |file: &str| std::fs::read_to_string(self.path(file)).expect("a certificate");
        let chain = self.path(&format!("{name}.chain.pem"));
        std::fs::write(&chain, read(&format!("{name}.pem")) + &read("intermediate.pem")).expect("a file");
        Certificate { chain, key: self.path(&format!("{name}.key")) }
    }

    /// The file with the root certificate.
    pub(crate) fn root(&self) -> PathBuf {
        self.path("root.pem")
    }

    /// A client of all TLS versions that trusts this authority only.
    #[track_caller]
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.client_of(&[&TLS13, &TLS12])
    }

    #[track_caller]
    pub(crate) fn client_of(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.root()).expect("a certificate")).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(versions).expect("known versions");
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    #[track_caller]
    fn sign(&self, name: &str, issuer: &str, extensions: &str) {
        self.openssl(&format!("{NEW_KEY} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial -days 2 -extfile {extensions} -out {name}.pem"
        ));
    }

    #[track_caller]
    fn openssl(&self, arguments: &str) {
        let mut openssl = Command::new("openssl");
        let output = openssl.args(arguments.split_whitespace()).current_dir(self.directory.path()).output();
        let output = output.expect("openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A relay with TLS, with the client `acme`, its Gini hook and a token of both scopes.
pub(crate) struct TlsFixture {
    pub(crate) relay: TestRelay,
    pub(crate) authority: Authority,
    pub(crate) certificate: Certificate,
    pub(crate) client: Arc<ClientConfig>,
    /// The path of the hook.
    pub(crate) hook: String,
    pub(crate) token: String,
}

impl TlsFixture {
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::with_config(&[])
    }

    #[track_caller]
    pub(crate) fn with_config(config: &[(&str, &str)]) -> Self {
        let authority = Authority::new();
        let certificate = authority.issue("server");
        let files = certificate.config();
        let files = files.iter().map(|(key, path)| (key.as_str(), path.as_str()));
        let relay = TestRelay::with_config(&files.chain(config.iter().copied()).collect::<Vec<_>>());
        relay.add_client("acme");
        let hook = relay.add_hook("acme", "gini", &[]).path;
        let token = relay.token("acme");
        Self { client: authority.client(), relay, authority, certificate, hook, token }
    }

    #[track_caller]
    pub(crate) fn connect(&self) -> Connection {
        Connection::open_tls(self.relay.listen, &self.client)
    }

    /// Opens a stream with this query and the token in the header.
    #[track_caller]
    pub(crate) fn follow_with_query(&self, query: &str) -> Follower {
        let mut connection = self.connect();
        connection.write(Request::get(&format!("/events/client?{query}")).bearer(&self.token).bytes());
        Follower::over(connection)
    }

    #[track_caller]
    pub(crate) fn follow(&self) -> Follower {
        self.follow_with_query("")
    }

    /// Posts a webhook with this body. Returns the event id.
    #[track_caller]
    pub(crate) fn post(&self, body: &Value) -> String {
        stored_event_id(&self.connect().send(&Request::post(&self.hook).json(&body.to_string())))
    }

    /// Posts a webhook: the document of this number is complete. Returns the event id.
    #[track_caller]
    pub(crate) fn complete(&self, number: u32) -> String {
        self.post(&json!({"documentId": document_id(number), "status": "COMPLETED"}))
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}
