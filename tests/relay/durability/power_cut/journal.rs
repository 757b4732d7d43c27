//! Reads the record that `preload.c` writes: the changes of a process to the files below one directory, in order.

/// One call of the process.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A file or directory was opened. Later changes name its inode.
    Open {
        inode: u64,
        path: String,
        created: bool,
    },
    Write {
        inode: u64,
        offset: usize,
        data: Vec<u8>,
    },
    Truncate {
        inode: u64,
        size: usize,
    },
    /// `fsync` or `fdatasync` of a file or a directory.
    Flush {
        inode: u64,
    },
    MakeDirectory {
        path: String,
    },
    Remove {
        path: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Link {
        from: String,
        to: String,
    },
}

/// The size of `struct record`.
const HEADER_BYTES: usize = 32;

/// All complete records. The last one is incomplete if the process was killed while it wrote it.
pub(super) fn parse(mut bytes: &[u8]) -> Vec<Change> {
    let mut changes = Vec::new();
    while let Some((change, rest)) = first(bytes) {
        changes.push(change);
        bytes = rest;
    }
    changes
}

fn first(bytes: &[u8]) -> Option<(Change, &[u8])> {
    let header = bytes.get(..HEADER_BYTES)?;
    let number = |at: usize| u64::from_ne_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    let short = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let size = |number: u64| usize::try_from(number).expect("a size");
    let (kind, path_bytes) = (u8::try_from(short(0)).expect("a letter"), size(short(4).into()));
    let (inode, position, data_bytes) = (number(8), size(number(16)), size(number(24)));
    let path = bytes.get(HEADER_BYTES..HEADER_BYTES + path_bytes)?;
    let data = bytes.get(HEADER_BYTES + path_bytes..HEADER_BYTES + path_bytes + data_bytes)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("a path in UTF-8");
    let change = match kind {
        b'O' | b'C' => Change::Open { inode, path: text(path), created: kind == b'C' },
        b'W' => Change::Write { inode, offset: position, data: data.to_vec() },
        b'T' => Change::Truncate { inode, size: position },
        b'S' => Change::Flush { inode },
        b'M' => Change::MakeDirectory { path: text(path) },
        b'U' | b'D' => Change::Remove { path: text(path) },
        b'R' => Change::Rename { from: text(path), to: text(data) },
        b'L' => Change::Link { from: text(path), to: text(data) },
        other => panic!("unknown record {other}"),
    };
    Some((change, &bytes[HEADER_BYTES + path_bytes + data_bytes..]))
}

#[test]
fn incomplete_last_record_is_ignored() {
    let record = |kind: u8, position: u64, path: &str, data: &[u8]| {
        let lengths = [u64::from(kind) | (path.len() as u64) << 32, 7, position, data.len() as u64];
        [lengths.map(u64::to_ne_bytes).concat(), path.as_bytes().to_vec(), data.to_vec()].concat()
    };
    let whole = [record(b'C', 0, "a", b""), record(b'W', 3, "", b"xyz"), record(b'R', 0, "a", b"b")].concat();
    let all = parse(&whole);
    let expected = [
        Change::Open { inode: 7, path: "a".into(), created: true },
        Change::Write { inode: 7, offset: 3, data: b"xyz".to_vec() },
        Change::Rename { from: "a".into(), to: "b".into() },
    ];
    assert_eq!(all, expected);
    assert_eq!(parse(&whole[..whole.len() - 1]), expected[..2]);
}
