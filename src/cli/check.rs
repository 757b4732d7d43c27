//! `docrelay check`: validates a configuration file, or the database of a stopped relay.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;

use crate::app::data::DataDirectory;
use crate::auth::{ClusterKey, Issuers};
use crate::config::Config;
use crate::http::transport::tls;
use crate::store::sqlite::check::{CheckReport, check};

/// Validate a configuration file, or the database of a stopped relay
#[derive(clap::Args, Clone, Debug)]
pub(super) struct CheckArgs {
    /// Configuration file in TOML
    #[arg(value_name = "FILE", required_unless_present = "data", conflicts_with = "data")]
    file: Option<PathBuf>,
    /// Data directory of a stopped relay: verifies its database and prints the digest of its contents
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl CheckArgs {
    /// Checks the file or the directory that was given.
    pub(super) fn run(&self, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
        if let Some(data) = &self.data {
            check_data(data, out)?;
        }
        match &self.file {
            Some(file) => check_file(file, out, err),
            None => Ok(ExitCode::SUCCESS),
        }
    }
}

/// Writes `FILE: ok` to `out` and returns 0, or writes one sentence with the line number to `err` and returns 2.
///
/// # Errors
/// A file that the configuration names cannot be used.
fn check_file(file: &Path, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    let config = match Config::check(file) {
        Ok(config) => config,
        Err(e) => {
            writeln!(err, "{e}")?;
            return Ok(ExitCode::from(2));
        }
    };
    check_named_files(config)?;
    writeln!(out, "{}: ok", file.display())?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the files that a start reads.
fn check_named_files(config: Config) -> anyhow::Result<()> {
    if let Some(files) = &config.tls {
        tls::check(files)?;
    }
    Issuers::open(Vec::new())?.prepare(config.issuers)?;
    if let Some(cluster) = &config.cluster {
        ClusterKey::read(&cluster.key_file)?;
    }
    Ok(())
}

/// Writes `FILE: ok` and the line with the digest.
fn check_data(data: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let directory = DataDirectory::open(data)?;
    // A new key would open nothing, and a check must not leave one.
    let key = data.join("seal.key");
    if !key.exists() {
        bail!("there is no {}: restore the key file that belongs to the database", key.display());
    }
    let database = directory.database();
    let CheckReport { epoch, position, digest } = check(&database, &*directory.seal()?)?;
    writeln!(out, "{}: ok\nepoch {epoch} position {position} digest {digest}", database.display())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &str) -> (String, String, ExitCode) {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join("relay.toml");
        std::fs::write(&file, content).expect("written");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = CheckArgs { file: Some(file), data: None }.run(&mut out, &mut err).expect("written");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8").replace(&format!("{}/", home.path().display()), "");
        (text(out), text(err), code)
    }

    #[test]
    fn file_that_a_start_cannot_read_is_an_error() {
        let home = tempfile::tempdir().expect("a directory");
        let path = |name: &str| home.path().join(name);
        let check = |content: &str| {
            let file = path("relay.toml");
            std::fs::write(&file, content.replace("DIR", &home.path().display().to_string())).expect("written");
            let args = CheckArgs { file: Some(file), data: None };
            args.run(&mut Vec::new(), &mut Vec::new()).map_err(|error| format!("{error:#}"))
        };
        let tls = "tls_cert = 'DIR/cert.pem'\ntls_key = 'DIR/key.pem'\n";
        let issuer = "[[issuers]]\nissuer = 'a'\naudience = 'r'\nsecret_file = 'DIR/secret'\n";
        let cluster = "cluster = 'nats://a.internal'\ncluster_key_file = 'DIR/cluster.key'\n";
        for (content, reason) in
            [(tls, "cannot read "), (issuer, "secret is not there: "), (cluster, "cluster.key is not a cluster key")]
        {
            let error = check(content).expect_err(content);
            assert!(error.contains(reason), "{error}");
        }
        std::fs::write(path("cert.pem"), "no certificate").expect("written");
        std::fs::write(path("key.pem"), "no key").expect("written");
        assert!(check(tls).expect_err("no certificate").contains("cert.pem has no certificate in PEM form"));
        std::fs::write(path("secret"), "short").expect("written");
        assert!(check(issuer).expect_err("too short").contains("too short for HS256"));
        std::fs::write(path("secret"), "0123456789abcdef0123456789abcdef").expect("written");
        assert_eq!(check(issuer), Ok(ExitCode::SUCCESS));
    }

    #[test]
    fn valid_file_is_ok_and_invalid_file_is_reported_with_line() {
        assert_eq!(check("grace = \"5s\"\n"), ("relay.toml: ok\n".into(), String::new(), ExitCode::SUCCESS));
        let (out, err, code) = check("\ngrace = 0\n");
        assert_eq!((out.as_str(), code), ("", ExitCode::from(2)));
        assert!(err.starts_with("relay.toml:2: grace must be a duration") && err.lines().count() == 1, "{err}");
    }
}
