//! The PROXY protocol, versions 1 and 2 (haproxy.org/download/3.0/doc/proxy-protocol.txt): reads the header with which
//! a proxy begins a connection, and no byte behind it. The caller decides which peers are proxies, and bounds the time.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;

/// Address, ports, and the TLVs of version 2, which are skipped. nginx has the same limit.
const MAX_HEADER_BYTES: usize = 4096;

/// `PROXY UNKNOWN` and the end of the line.
const MIN_V1_BYTES: usize = 15;
const MAX_V1_BYTES: usize = 107;

/// The fixed part of a header of version 2.
const MIN_V2_BYTES: usize = 16;

/// Version 2 with the command LOCAL, whose addresses do not count, whatever their family.
const LOCAL: u8 = 0x20;
const COMMAND_AT: usize = 12;

const V1_SIGNATURE: &[u8] = b"PROXY ";

/// Why a connection has no usable header.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyHeaderError {
    /// A check of the proxy whether the address listens.
    #[error("the connection ended without a byte")]
    Empty,
    #[error("the connection begins with other bytes than a PROXY protocol header")]
    Missing,
    #[error("the header has more than {MAX_HEADER_BYTES} bytes")]
    TooLong,
    #[error("malformed header of version 1: {0}")]
    V1(#[from] v1::BinaryParseError),
    #[error("malformed header of version 2: {0}")]
    V2(#[from] v2::ParseError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Reads the header. Returns the address of the proxy's client; `None` if the connection is the proxy's own, or that of
/// a client without an IP address.
pub(super) async fn read(socket: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    read_into(&mut Vec::with_capacity(MAX_V1_BYTES), socket, parse).await
}

/// The same for a connection that may begin without a header. Only version 2 is recognized: no request and no TLS
/// handshake begins with its signature. On an error without [`has_signature`] there is no header; `header` then has
/// what was read of the connection, which is nothing if that begins with another byte than the signature.
pub(super) async fn read_if_present(
    header: &mut Vec<u8>,
    socket: &mut TcpStream,
) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    let mut first = [0];
    match socket.peek(&mut first).await? {
        0 => Err(ProxyHeaderError::Empty),
        _ if !begins_alike(&first, v2::PROTOCOL_PREFIX) => Err(ProxyHeaderError::Missing),
        _ => read_into(header, socket, parse_only_v2).await,
    }
}

/// Whether these bytes begin with the whole signature of version 2.
pub(super) fn has_signature(header: &[u8]) -> bool {
    header.starts_with(v2::PROTOCOL_PREFIX)
}

async fn read_into(
    header: &mut Vec<u8>,
    socket: &mut (impl AsyncRead + Unpin),
    parse: fn(&[u8]) -> Result<HeaderProgress, ProxyHeaderError>,
) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    loop {
        let missing = match parse(header)? {
            HeaderProgress::Complete(source) => return Ok(source),
            HeaderProgress::Missing(count) => count,
        };
        if header.len() + missing > MAX_HEADER_BYTES {
            return Err(ProxyHeaderError::TooLong);
        }
        let mut rest = (&mut *socket).take(missing as u64);
        if rest.read_buf(header).await? == 0 {
            let cut_off = || ProxyHeaderError::Io(io::ErrorKind::UnexpectedEof.into());
            return Err(if header.is_empty() { ProxyHeaderError::Empty } else { cut_off() });
        }
    }
}

/// The state of a header that has been read up to some byte.
#[derive(Debug, PartialEq, Eq)]
enum HeaderProgress {
    /// The header ends with the last byte.
    Complete(Option<SocketAddr>),
    /// At least this number of bytes follow that belong to the header.
    Missing(usize),
}

fn parse(header: &[u8]) -> Result<HeaderProgress, ProxyHeaderError> {
    if begins_alike(header, v2::PROTOCOL_PREFIX) {
        return parse_v2(header);
    }
    if begins_alike(header, V1_SIGNATURE) {
        return parse_v1(header);
    }
    Err(ProxyHeaderError::Missing)
}

fn parse_only_v2(header: &[u8]) -> Result<HeaderProgress, ProxyHeaderError> {
    if begins_alike(header, v2::PROTOCOL_PREFIX) { parse_v2(header) } else { Err(ProxyHeaderError::Missing) }
}

fn begins_alike(header: &[u8], signature: &[u8]) -> bool {
    let compared = header.len().min(signature.len());
    header[..compared] == signature[..compared]
}

/// The crate takes an address that is cut off for a malformed one, so it gets whole lines only.
fn parse_v1(header: &[u8]) -> Result<HeaderProgress, ProxyHeaderError> {
    if !header.ends_with(b"\n") && header.len() < MAX_V1_BYTES {
        return Ok(HeaderProgress::Missing(MIN_V1_BYTES.saturating_sub(header.len()).max(1)));
    }
    let source = match v1::Header::try_from(header)?.addresses {
        v1::Addresses::Tcp4(v4) => Some((IpAddr::V4(v4.source_address), v4.source_port)),
        v1::Addresses::Tcp6(v6) => Some((IpAddr::V6(v6.source_address), v6.source_port)),
        v1::Addresses::Unknown => None,
    };
    Ok(HeaderProgress::Complete(source.map(SocketAddr::from)))
}

fn parse_v2(header: &[u8]) -> Result<HeaderProgress, ProxyHeaderError> {
    if let Some(missing) = missing_of_local(header) {
        return Ok(if missing == 0 { HeaderProgress::Complete(None) } else { HeaderProgress::Missing(missing) });
    }
    let parsed = match v2::Header::try_from(header) {
        Ok(parsed) => parsed,
        // As much as the shortest header of any version, until the version is known.
        Err(v2::ParseError::Incomplete(0)) => return Ok(HeaderProgress::Missing(MIN_V1_BYTES)),
        Err(v2::ParseError::Incomplete(read)) => return Ok(HeaderProgress::Missing(MIN_V2_BYTES - read)),
        Err(v2::ParseError::Partial(read, length)) => return Ok(HeaderProgress::Missing(length - read)),
        Err(error) => return Err(error.into()),
    };
    let source = match parsed.addresses {
        v2::Addresses::IPv4(v4) => Some((IpAddr::V4(v4.source_address), v4.source_port)),
        v2::Addresses::IPv6(v6) => Some((IpAddr::V6(v6.source_address), v6.source_port)),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    };
    Ok(HeaderProgress::Complete(source.map(SocketAddr::from)))
}

/// The number of bytes that follow of a header of version 2 with the command LOCAL; `None` for any other.
fn missing_of_local(header: &[u8]) -> Option<usize> {
    let length = header.get(MIN_V2_BYTES - 2..MIN_V2_BYTES)?;
    let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
    (header[COMMAND_AT] == LOCAL).then(|| (MIN_V2_BYTES + length).saturating_sub(header.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of the specification, section 2.2, for a connection from 192.0.2.1:56324 to 192.0.2.2:443.
    const V4: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\xdc\x04\x01\xbb";
    const V1: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n";

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).expect("a length");
        [v2::PROTOCOL_PREFIX, &[command, family], &length.to_be_bytes(), block].concat()
    }

    /// What is read of these bytes, and how many of them are left.
    async fn read_of(mut bytes: &[u8]) -> (Result<Option<SocketAddr>, ProxyHeaderError>, usize) {
        let read = read(&mut bytes).await;
        (read, bytes.len())
    }

    #[track_caller]
    fn address(text: &str) -> Option<SocketAddr> {
        Some(text.parse().expect("an address"))
    }

    #[tokio::test]
    async fn headers_of_every_family_end_before_the_first_byte_behind_them() {
        let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[9], &[0; 16], b"\xdc\x04\x01\xbb"].concat();
        let tlvs = [b"\xc0\0\x02\x01\xc0\0\x02\x02\xdc\x04\x01\xbb", &b"\x04\0\x03abc"[..]].concat();
        let largest = [&[0; 12][..], &[4; MAX_HEADER_BYTES - 28]].concat();
        let cases = [
            (V4.to_vec(), address("192.0.2.1:56324")),
            (v2(0x21, 0x21, &v6), address("[2001:db8::9]:56324")),
            (v2(0x21, 0x12, &tlvs), address("192.0.2.1:56324")),
            (v2(0x21, 0x11, &largest), address("0.0.0.0:0")),
            (v2(0x21, 0x31, &[7; 216]), None),
            (v2(0x21, 0, b""), None),
            (v2(LOCAL, 0, b""), None),
            (v2(LOCAL, 0x11, b"\xc0\0\x02\x01\xc0\0\x02\x02\xdc\x04\x01\xbb"), None),
            (v2(LOCAL, 0x21, b"any"), None),
            (V1.to_vec(), address("192.0.2.1:56324")),
            (b"PROXY TCP6 2001:db8::9 ::1 65535 443\r\n".to_vec(), address("[2001:db8::9]:65535")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ::1 ::1 1 2\r\n".to_vec(), None),
        ];
        for (header, expected) in cases {
            for behind in [&b""[..], b"GET / HTTP/1.1\r\n", V4] {
                let (source, left) = read_of(&[&header, behind].concat()).await;
                assert_eq!((source.ok(), left), (Some(expected), behind.len()), "{}", header.escape_ascii());
            }
        }
    }

    #[tokio::test]
    async fn header_is_refused_as_soon_as_it_cannot_be_one() {
        let cases: [(&[u8], &str); 9] = [
            (b"G", "other bytes"),
            (b"\x16\x03\x01", "other bytes"),
            (b"\r\n\r\n\0\r\nQUIX", "other bytes"),
            (b"PROXX TCP4", "other bytes"),
            (b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c", "version 2"),
            (b"\r\n\r\n\0\r\nQUIT\n\x22\x11\0\x0c", "version 2"),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0b", "version 2"),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", "more than 4096"),
            (b"\r\n\r\n\0\r\nQUIT\n\x20\0\x0f\xf1", "more than 4096"),
        ];
        for (bytes, expected) in cases {
            let (mut sender, mut socket) = tokio::io::duplex(64);
            tokio::io::AsyncWriteExt::write_all(&mut sender, bytes).await.expect("room");
            // The sender stays open: a reader that waits for more would never end.
            let error = read(&mut socket).await.expect_err("no header").to_string();
            assert!(error.contains(expected), "{}: {error}", bytes.escape_ascii());
        }
        for line in [
            "PROXY TCP4 192.0.2.256 192.0.2.2 56324 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\n",
            "PROXY TCP5 192.0.2.1 192.0.2.2 56324 443\r\n",
            &format!("PROXY UNKNOWN {}\r\n", "x".repeat(100)),
        ] {
            assert!(matches!(read_of(line.as_bytes()).await.0, Err(ProxyHeaderError::V1(_))), "{line}");
        }
    }

    #[tokio::test]
    async fn truncated_header_is_an_error_at_every_byte() {
        for header in [V4, V1] {
            for end in 1..header.len() {
                let (read, _) = read_of(&header[..end]).await;
                assert!(matches!(read, Err(ProxyHeaderError::Io(_))), "{end}: {read:?}");
            }
        }
        assert!(matches!(read_of(b"").await.0, Err(ProxyHeaderError::Empty)));
    }

    #[tokio::test]
    async fn header_that_comes_byte_by_byte_is_read() {
        for header in [V4, V1] {
            let (mut sender, mut socket) = tokio::io::duplex(1);
            let bytes = [header, b"x"].concat();
            let send = tokio::io::AsyncWriteExt::write_all(&mut sender, &bytes);
            let both = tokio::join!(read(&mut socket), send, async { tokio::task::yield_now().await });
            assert_eq!(both.0.expect("a header"), address("192.0.2.1:56324"));
        }
    }

    mod proptests {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            /// A count of zero, or one beyond the header, would spin or take bytes of the request.
            #[test]
            fn every_prefix_of_any_bytes_ends_or_asks_for_more(
                start in prop::sample::select(vec![v2::PROTOCOL_PREFIX, b"PROXY TCP4 ", b"PROXY UNKNOWN", b""]),
                rest in prop::collection::vec(any::<u8>(), 0..200),
            ) {
                let bytes = [start, &rest].concat();
                for end in 0..bytes.len() {
                    if let Ok(HeaderProgress::Missing(count)) = parse(&bytes[..end]) {
                        prop_assert!(count > 0);
                    }
                }
            }
        }
    }
}
