//! Whether the other side speaks HTTP/2, asked in the TLS handshake alone: over HTTP/1.1 a browser opens six connections
//! to an origin, and each stream holds one of them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use reqwest::Url;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;

use super::finding::Finding;

/// Shakes hands once more, offering what browsers offer.
pub(super) async fn http2(url: &Url, patience: Duration) -> Finding {
    match timeout(patience, chosen(url)).await {
        Ok(Ok(protocol)) => judge(protocol.as_deref()),
        // The address has been reached before, so this is a matter of luck and no finding of its own.
        Ok(Err(_)) | Err(_) => Finding::warn("HTTP/2: the handshake that asks for it did not succeed: try again"),
    }
}

fn judge(protocol: Option<&[u8]>) -> Finding {
    match protocol {
        Some(b"h2") => Finding::ok("HTTP/2 is spoken, so a browser's streams share one connection"),
        _ => Finding::warn(
            "HTTP/2 is missing: a browser then opens at most 6 streams to this origin, over all its tabs; switch it on (http2 on, in nginx)",
        ),
    }
}

/// The protocol that the other side chose.
async fn chosen(url: &Url) -> anyhow::Result<Option<Vec<u8>>> {
    let host = url.host_str().context("no host")?.trim_matches(['[', ']']).to_owned();
    let builder =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions()?;
    let mut config = builder.with_platform_verifier()?.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let socket = TcpStream::connect((host.as_str(), url.port_or_known_default().context("no port")?)).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(host)?, socket).await?;
    Ok(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Grade;
    use super::*;

    #[test]
    fn a_missing_http_2_is_worth_a_word_and_no_more() {
        assert_eq!(judge(Some(b"h2")).grade, Grade::Ok);
        for other in [Some(&b"http/1.1"[..]), Some(b""), None] {
            assert_eq!(judge(other).grade, Grade::Warn);
        }
    }
}
