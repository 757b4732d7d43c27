//! The first bytes of a subscriber on HTTP/2 (RFC 9113): one request, and windows that no stream of a measurement
//! fills, so that the subscriber need not send another byte. Its response is searched for markers like any other.

/// The largest window.
const WINDOW: u32 = 0x7fff_ffff;
const INITIAL_WINDOW: u32 = 65_535;

const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM_AND_HEADERS: u8 = 5;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// The request of HTTP/1.1 as the opening of an HTTP/2 connection. It has a path, and headers without those of the
/// connection.
pub(crate) fn opening(request: &str) -> Vec<u8> {
    let mut lines = request.trim_end().split("\r\n");
    let path = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or("/");
    let mut block = Vec::new();
    for (name, value) in [(":method", "GET"), (":scheme", "https"), (":path", path)] {
        field(&mut block, name, value);
    }
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let name = name.to_ascii_lowercase();
        field(&mut block, if name == "host" { ":authority" } else { &name }, value);
    }
    let settings = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &WINDOW.to_be_bytes()].concat();
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, &settings),
        frame(WINDOW_UPDATE, 0, 0, &(WINDOW - INITIAL_WINDOW).to_be_bytes()),
        frame(HEADERS, END_STREAM_AND_HEADERS, 1, &block),
    ]
    .concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A literal field that is not indexed (RFC 7541, 6.2.2), without Huffman coding.
fn field(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        length(block, text.len());
        block.extend_from_slice(text.as_bytes());
    }
}

/// An integer with a prefix of seven bits (RFC 7541, 5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        block.push(length as u8);
        return;
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn long_lengths_have_several_bytes() {
        let encoded = |number| {
            let mut block = Vec::new();
            length(&mut block, number);
            block
        };
        assert_eq!([encoded(10), encoded(127), encoded(1337)], [vec![10], vec![127, 0], vec![127, 186, 9]]);
    }
}
