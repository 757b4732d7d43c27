//! Encryption of a file of any size, in chunks: a reader gets only what it has authenticated, in its order and up to
//! its end. Each file has a key of its own, derived from the given one. Knows no files.

use std::io::{self, BufRead, BufReader, Read, Write};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk};

/// First byte of a sealed file; identifies the construction.
const VERSION: u8 = 1;

/// What keys are derived for.
const PURPOSE: &[u8] = b"docrelay sealed stream 1";

/// Random bytes after the version: each file has another key, so that nonces can be counted.
const SALT_BYTES: usize = 32;

/// Bytes of a chunk before it is sealed. Only the last chunk is smaller.
const CHUNK_BYTES: usize = 64 << 10;

const TAG_BYTES: usize = 16;

/// Derives a key for each file. Cheap to clone.
#[derive(Clone)]
pub struct StreamSealer(Prk);

impl StreamSealer {
    /// `key` is random, and has at least 32 bytes.
    pub(super) fn new(key: &[u8]) -> Self {
        Self(Prk::new_less_safe(HKDF_SHA256, key))
    }

    /// Seals what is written to the result. `context` names the content: it opens with the same context only.
    ///
    /// # Errors
    /// Any error of `output`, or of the system's random source.
    pub fn seal<W: Write>(&self, mut output: W, context: &[u8]) -> io::Result<SealingWriter<W>> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        output.write_all(&[VERSION])?;
        output.write_all(&salt)?;
        let chunks = ChunkCipher { key: self.derive(&salt, context)?, number: 0 };
        Ok(SealingWriter { chunks, output, chunk: Vec::with_capacity(CHUNK_BYTES + TAG_BYTES) })
    }

    /// Opens what [`StreamSealer::seal`] has written.
    ///
    /// # Errors
    /// Any error of `input`; `InvalidData` as in [`OpeningReader`].
    pub fn open<R: Read>(&self, input: R, context: &[u8]) -> io::Result<OpeningReader<R>> {
        let mut input = BufReader::new(input);
        let mut header = [0; 1 + SALT_BYTES];
        input.read_exact(&mut header).map_err(|_| invalid())?;
        let [VERSION, salt @ ..] = &header else { return Err(invalid()) };
        let chunks = ChunkCipher { key: self.derive(salt, context)?, number: 0 };
        Ok(OpeningReader { chunks, input, plain: Vec::new(), start: 0, has_ended: false })
    }

    fn derive(&self, salt: &[u8], context: &[u8]) -> io::Result<LessSafeKey> {
        let info = [PURPOSE, salt, context];
        let derived = self.0.expand(&info, &AES_256_GCM).map_err(|_| io::Error::other("cannot derive a key"))?;
        Ok(LessSafeKey::new(UnboundKey::from(derived)))
    }
}

/// Numbers the chunks of a file. A chunk opens only at its place, and the last one only at the end.
struct ChunkCipher {
    key: LessSafeKey,
    number: u64,
}

impl ChunkCipher {
    fn next_nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[0] = u8::from(is_last);
        nonce[NONCE_LEN - 8..].copy_from_slice(&self.number.to_be_bytes());
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Seals what is written to it. Without [`SealingWriter::finish`] the result has no end and does not open.
pub struct SealingWriter<W> {
    chunks: ChunkCipher,
    output: W,
    chunk: Vec<u8>,
}

impl<W: Write> SealingWriter<W> {
    /// Writes the end.
    ///
    /// # Errors
    /// Any error of the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_chunk(true)?;
        Ok(self.output)
    }

    fn write_chunk(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = self.chunks.next_nonce(is_last);
        let sealed = self.chunks.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut self.chunk);
        sealed.map_err(|_| io::Error::other("cannot seal"))?;
        self.output.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

impl<W: Write> Write for SealingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits: it may be the last one.
        if self.chunk.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.write_chunk(false)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Reads what was sealed. An error of the kind `InvalidData` says that it was changed, cut, or sealed with another key
/// or for another context; what was read before is as it was written.
pub struct OpeningReader<R> {
    chunks: ChunkCipher,
    input: BufReader<R>,
    plain: Vec<u8>,
    /// Offset of the first byte of `plain` that was not read yet.
    start: usize,
    has_ended: bool,
}

impl<R: Read> OpeningReader<R> {
    fn read_chunk(&mut self) -> io::Result<()> {
        self.plain.clear();
        self.start = 0;
        let limit = (CHUNK_BYTES + TAG_BYTES) as u64;
        self.input.by_ref().take(limit).read_to_end(&mut self.plain)?;
        self.has_ended = self.input.fill_buf()?.is_empty();
        let nonce = self.chunks.next_nonce(self.has_ended);
        let opened = self.chunks.key.open_in_place(nonce, Aad::empty(), &mut self.plain);
        let bytes = opened.map(|plain| plain.len()).map_err(|_| invalid());
        // Nothing follows after an error.
        self.has_ended |= bytes.is_err();
        self.plain.truncate(*bytes.as_ref().unwrap_or(&0));
        bytes.map(drop)
    }
}

impl<R: Read> Read for OpeningReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.start == self.plain.len() && !self.has_ended {
            self.read_chunk()?;
        }
        let bytes = into.len().min(self.plain.len() - self.start);
        into[..bytes].copy_from_slice(&self.plain[self.start..self.start + bytes]);
        self.start += bytes;
        Ok(bytes)
    }
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it was changed, or sealed with another key")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEALED_CHUNK: usize = CHUNK_BYTES + TAG_BYTES;

    fn sealer() -> StreamSealer {
        StreamSealer::new(&[7; 32])
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut writer = sealer().seal(Vec::new(), b"snapshot/1").expect("a writer");
        writer.write_all(plain).expect("written");
        writer.finish().expect("finished")
    }

    fn opened(sealed: &[u8], sealer: &StreamSealer, context: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        sealer.open(sealed, context)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    fn is_refused(sealed: &[u8]) -> bool {
        opened(sealed, &sealer(), b"snapshot/1").is_err_and(|error| error.kind() == io::ErrorKind::InvalidData)
    }

    #[test]
    fn stream_of_any_length_is_read_back() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 5] {
            let plain: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let sealed = sealed(&plain);
            let chunks = length.div_ceil(CHUNK_BYTES).max(1);
            assert_eq!(sealed.len(), 1 + SALT_BYTES + length + chunks * TAG_BYTES);
            assert!(opened(&sealed, &sealer(), b"snapshot/1").expect("opened") == plain, "{length}");
        }
    }

    #[test]
    fn changed_byte_is_refused() {
        let sealed = sealed(&vec![1; CHUNK_BYTES + 100]);
        let ends =
            [0, 1, SALT_BYTES, 1 + SALT_BYTES, 1 + SALT_BYTES + CHUNK_BYTES, SEALED_CHUNK + 60, sealed.len() - 1];
        for at in ends {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(is_refused(&changed), "at {at}");
        }
    }

    #[test]
    fn swapped_missing_repeated_and_cut_chunks_are_refused() {
        let sealed = sealed(&(0..3 * CHUNK_BYTES + 9).map(|at| (at / CHUNK_BYTES) as u8).collect::<Vec<_>>());
        let (header, body) = sealed.split_at(1 + SALT_BYTES);
        let chunks: Vec<&[u8]> = body.chunks(SEALED_CHUNK).collect();
        assert_eq!(chunks.len(), 4);
        let joined = |order: &[usize]| {
            let chosen: Vec<&[u8]> = order.iter().map(|number| chunks[*number]).collect();
            [header, &chosen.concat()].concat()
        };
        assert!(!is_refused(&joined(&[0, 1, 2, 3])));
        for order in [&[1, 0, 2, 3][..], &[0, 2, 3], &[0, 1, 1, 2, 3], &[0, 1, 2], &[0, 1, 2, 3, 3], &[3], &[]] {
            assert!(is_refused(&joined(order)), "{order:?}");
        }
        for length in [0, 10, 1 + SALT_BYTES, 1 + SALT_BYTES + 5, sealed.len() - 1] {
            assert!(is_refused(&sealed[..length]), "cut after {length}");
        }
    }

    #[test]
    fn other_context_key_and_file_are_refused() {
        let (one, two) = (sealed(b"secret"), sealed(b"secret"));
        assert!(opened(&one, &sealer(), b"snapshot/2").is_err());
        assert!(opened(&one, &StreamSealer::new(&[8; 32]), b"snapshot/1").is_err());
        let (header, body) = (&one[..1 + SALT_BYTES], &two[1 + SALT_BYTES..]);
        assert!(is_refused(&[header, body].concat()), "the chunk of another file");
        assert!(!one.windows(6).any(|bytes| bytes == b"secret"));
    }
}
