//! Certificates for brokers, made by openssl.

use std::path::Path;
use std::process::Command;

fn openssl(directory: &Path, arguments: &str) {
    let arguments = arguments.split_whitespace();
    let output = Command::new("openssl").args(arguments).current_dir(directory).output().expect("openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Makes an authority `NAME.pem`, and with it a certificate of 127.0.0.1 if `server` is given.
pub(crate) fn authority(directory: &Path, name: &str, server: Option<&str>) {
    openssl(
        directory,
        &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"
        ),
    );
    if let Some(server) = server {
        std::fs::write(directory.join("san"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
        openssl(
            directory,
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={server} -keyout {server}.key -out {server}.csr"
            ),
        );
        openssl(
            directory,
            &format!(
                "x509 -req -in {server}.csr -CA {name}.pem -CAkey {name}.key -CAcreateserial -days 2 -extfile san -out {server}.pem"
            ),
        );
    }
}
