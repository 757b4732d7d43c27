//! The marker that each published event carries: `@T`, 16 hexadecimal digits and `@`. The digits are the time at which
//! the event was published, in nanoseconds, so a delivery is found in a subscriber's bytes whatever framing is around
//! it.

use memchr::memmem;

const START: &[u8] = b"@T";
const DIGITS: usize = 16;
const LENGTH: usize = START.len() + DIGITS + 1;

pub fn format(nanos: u64) -> String {
    format!("@T{nanos:016x}@")
}

/// Finds markers in the bytes of one subscriber, also those that two reads share.
#[derive(Default)]
pub struct Scanner {
    /// The end of the previous read, if a marker may begin there.
    carry: Vec<u8>,
}

impl Scanner {
    /// Calls `found` with the time of each marker that `bytes` completes.
    pub fn scan(&mut self, bytes: &[u8], mut found: impl FnMut(u64)) {
        let joined;
        let data = if self.carry.is_empty() {
            bytes
        } else {
            joined = [self.carry.as_slice(), bytes].concat();
            &joined
        };
        let mut at = 0;
        let mut keep = data.len() - usize::from(data.last() == START.first());
        while let Some(start) = memmem::find(&data[at..], START).map(|offset| at + offset) {
            let Some(marker) = data.get(start..start + LENGTH) else {
                keep = start;
                break;
            };
            let digits = std::str::from_utf8(&marker[START.len()..START.len() + DIGITS]).unwrap_or_default();
            if let (b'@', Ok(nanos)) = (marker[LENGTH - 1], u64::from_str_radix(digits, 16)) {
                found(nanos);
            }
            at = start + START.len();
        }
        self.carry = data[keep..].to_vec();
    }
}

#[cfg(test)]
mod tests {
    use super::{Scanner, format};

    #[test]
    fn markers_are_found_across_reads_of_any_size() {
        let text = format!("data: x {} @ @T12 {}\n\nid: @{}", format(1), format(u64::MAX), format(300));
        for size in 1..text.len() {
            let (mut scanner, mut found) = (Scanner::default(), Vec::new());
            text.as_bytes().chunks(size).for_each(|bytes| scanner.scan(bytes, |nanos| found.push(nanos)));
            assert_eq!(found, [1, u64::MAX, 300], "reads of {size} bytes");
        }
    }
}
