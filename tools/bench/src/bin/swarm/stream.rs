//! The bytes of one event stream: chunks of HTTP/1.1, and the lines of server-sent events. Pure.

/// Removes the framing of chunks.
#[derive(Default)]
pub(crate) struct Chunks {
    /// Bytes left of the present chunk.
    left: usize,
    /// The line with the size of the next one, as far as it was read.
    line: Vec<u8>,
    pub(crate) ended: bool,
}

impl Chunks {
    /// Calls `found` with the contents of the chunks in these bytes.
    pub(crate) fn decode(&mut self, mut bytes: &[u8], mut found: impl FnMut(&[u8])) {
        while !bytes.is_empty() && !self.ended {
            if self.left > 0 {
                let (content, rest) = bytes.split_at(self.left.min(bytes.len()));
                found(content);
                self.left -= content.len();
                bytes = rest;
                continue;
            }
            let (byte, rest) = (bytes[0], &bytes[1..]);
            bytes = rest;
            // The line end behind a chunk's content, and the one behind a size.
            if byte != b'\r' && byte != b'\n' {
                self.line.push(byte);
            } else if byte == b'\n' && !self.line.is_empty() {
                let size = std::str::from_utf8(&self.line).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
                self.left = size.unwrap_or(0);
                self.ended = self.left == 0;
                self.line.clear();
            }
        }
    }
}

/// A block of a stream that says something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Block<'a> {
    /// A position without an event.
    Position(&'a str),
    Event {
        id: &'a str,
        data: &'a str,
    },
    /// `event: error`, `event: reset` or any other named event.
    Named {
        event: &'a str,
        data: &'a str,
    },
}

/// Parses lines to blocks.
#[derive(Default)]
pub(crate) struct Parser {
    /// The present block, as far as it was read.
    block: Vec<u8>,
}

impl Parser {
    /// Calls `found` with each block that these bytes complete. Comments and `retry:` are skipped.
    pub(crate) fn parse(&mut self, bytes: &[u8], mut found: impl FnMut(Block<'_>)) {
        self.block.extend_from_slice(bytes);
        let mut begin = 0;
        while let Some(end) = memchr::memmem::find(&self.block[begin..], b"\n\n") {
            parse_block(&String::from_utf8_lossy(&self.block[begin..begin + end]), &mut found);
            begin += end + 2;
        }
        self.block.drain(..begin);
        // An idle stream sends single empty lines.
        if self.block == b"\n" {
            self.block.clear();
        }
    }
}

fn parse_block(block: &str, found: &mut impl FnMut(Block<'_>)) {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    match (field("event: "), field("id: "), field("data: ")) {
        (Some(event), _, data) => found(Block::Named { event, data: data.unwrap_or_default() }),
        (None, Some(id), Some(data)) => found(Block::Event { id, data }),
        (None, Some(id), None) => found(Block::Position(id)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        "\nretry: 2000\nid: a.1\n\n\nid: a.2\ndata: {\"x\":1}\n\n\n\nevent: error\ndata: auth_failed\n\n";

    #[test]
    fn blocks_are_found_in_reads_of_any_size() {
        let chunked: String = STREAM
            .as_bytes()
            .chunks(7)
            .map(|part| format!("{:x}\r\n{}\r\n", part.len(), String::from_utf8_lossy(part)))
            .collect();
        let chunked = chunked + "0\r\n\r\n";
        for size in 1..chunked.len() {
            let (mut chunks, mut parser, mut found) = (Chunks::default(), Parser::default(), Vec::new());
            for bytes in chunked.as_bytes().chunks(size) {
                chunks.decode(bytes, |bytes| parser.parse(bytes, |block| found.push(format!("{block:?}"))));
            }
            let expected = [
                Block::Position("a.1"),
                Block::Event { id: "a.2", data: "{\"x\":1}" },
                Block::Named { event: "error", data: "auth_failed" },
            ];
            assert_eq!(found, expected.map(|block| format!("{block:?}")), "reads of {size} bytes");
            assert!(chunks.ended);
        }
    }
}
