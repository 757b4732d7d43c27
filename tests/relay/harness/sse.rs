//! A parser of event streams after the WHATWG specification, independent of the relay's encoder. It keeps what a
//! browser hides: empty lines, `retry:` and comments.

/// The fields between two empty lines. All fields of an idle line are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) id: Option<String>,
    pub(crate) event: Option<String>,
    /// Lines joined by a line break.
    pub(crate) data: Option<String>,
    pub(crate) retry: Option<u64>,
    pub(crate) comments: Vec<String>,
}

/// An event that a browser would dispatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Empty when the block has no id.
    pub(crate) id: String,
    /// `message` when the block has no event name.
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Event {
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.data).unwrap_or_else(|e| panic!("{e}: {}", self.data))
    }
}

/// Splits bytes into blocks.
#[derive(Default)]
pub(super) struct Parser {
    /// The bytes of an incomplete line.
    line: Vec<u8>,
    /// The last byte was a CR: an LF behind it belongs to the same line break.
    after_cr: bool,
    block: Block,
}

impl Parser {
    /// Returns the blocks that these bytes complete.
    pub(super) fn parse(&mut self, bytes: &[u8]) -> Vec<Block> {
        let mut blocks = Vec::new();
        for byte in bytes {
            let lf_of_crlf = self.after_cr && *byte == b'\n';
            self.after_cr = *byte == b'\r';
            match byte {
                b'\n' if lf_of_crlf => {}
                b'\n' | b'\r' => {
                    let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                    if line.is_empty() {
                        blocks.push(std::mem::take(&mut self.block));
                    } else {
                        self.field(&line);
                    }
                }
                other => self.line.push(*other),
            }
        }
        blocks
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match name {
            "" => self.block.comments.push(value),
            "event" => self.block.event = Some(value),
            "data" => match &mut self.block.data {
                Some(data) => *data = format!("{data}\n{value}"),
                none => *none = Some(value),
            },
            // The specification ignores an id that contains NUL and a retry that is not a number.
            "id" if !value.contains('\0') => self.block.id = Some(value),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => self.block.retry = value.parse().ok(),
            _ => {}
        }
    }
}

#[test]
fn parser_reads_every_line_ending_and_field() {
    let stream = "\nretry: 2000\n\nid: a.1\r\ndata: {\"a\":\rdata:1}\r\n\r\n: note\nevent: reset\ndata\nid: x\0\nretry: -1\nwhat: 1\n\n";
    let expected = [
        Block::default(),
        Block { retry: Some(2000), ..Block::default() },
        Block { id: Some("a.1".into()), data: Some("{\"a\":\n1}".into()), ..Block::default() },
        Block {
            event: Some("reset".into()),
            data: Some(String::new()),
            comments: vec!["note".into()],
            ..Block::default()
        },
    ];
    for size in 1..stream.len() {
        let mut parser = Parser::default();
        let blocks: Vec<Block> = stream.as_bytes().chunks(size).flat_map(|piece| parser.parse(piece)).collect();
        assert_eq!(blocks, expected, "in pieces of {size}");
    }
}
