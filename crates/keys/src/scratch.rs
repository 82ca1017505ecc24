//! What is put by on disk for a moment: encrypted under a key that is in this process alone, so that what a disk keeps of
//! a file without a name is nothing.

use std::io::{self, Read, Write};

use host::Host;

use crate::cipher::TAG_BYTES;
use crate::{Cipher, NonceBytes};

/// Bytes that are encrypted at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Bytes of a chunk's length, before it.
const LENGTH_BYTES: usize = 4;

fn nonce(chunk: u64) -> NonceBytes {
    let mut nonce = NonceBytes::default();
    nonce[4..].copy_from_slice(&chunk.to_le_bytes());
    nonce
}

/// Encrypts what goes through.
#[derive(Debug)]
pub struct ScratchWriter<W> {
    cipher: Cipher,
    out: W,
    chunk: Vec<u8>,
    number: u64,
}

impl<W: Write> ScratchWriter<W> {
    /// Nothing written yet, under a new key.
    pub fn new(host: &Host, out: W) -> Self {
        ScratchWriter { cipher: Cipher::ephemeral(host), out, chunk: Vec::with_capacity(CHUNK_BYTES), number: 0 }
    }

    fn put(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let tag = self.cipher.seal_in_place(nonce(self.number), b"", &mut self.chunk);
        let length = (self.chunk.len() + TAG_BYTES) as u32;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&self.chunk)?;
        self.out.write_all(&tag)?;
        self.chunk.clear();
        self.number += 1;
        Ok(())
    }

    /// Writes what is left, and gives what was written to and what reads it.
    ///
    /// # Errors
    /// What it was written to refused.
    pub fn finish(mut self) -> io::Result<(W, Cipher)> {
        self.put()?;
        self.out.flush()?;
        Ok((self.out, self.cipher))
    }
}

impl<W: Write> Write for ScratchWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK_BYTES {
            self.put()?;
        }
        Ok(taken)
    }

    /// What is not a whole chunk stays in memory until the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads what a [`ScratchWriter`] wrote.
#[derive(Debug)]
pub struct ScratchReader<R> {
    cipher: Cipher,
    from: R,
    chunk: Vec<u8>,
    at: usize,
    number: u64,
}

impl<R: Read> ScratchReader<R> {
    /// From the beginning of what was written.
    pub fn new(cipher: Cipher, from: R) -> Self {
        ScratchReader { cipher, from, chunk: Vec::new(), at: 0, number: 0 }
    }

    /// The next chunk; empty at the end.
    fn get(&mut self) -> io::Result<()> {
        self.at = 0;
        self.chunk.clear();
        let mut length = [0; LENGTH_BYTES];
        if self.from.read(&mut length[..1])? == 0 {
            return Ok(());
        }
        self.from.read_exact(&mut length[1..])?;
        let length = u32::from_le_bytes(length) as usize;
        if length > CHUNK_BYTES + TAG_BYTES {
            return Err(io::Error::other("what was put by was changed"));
        }
        self.chunk.resize(length, 0);
        self.from.read_exact(&mut self.chunk)?;
        let opened = self.cipher.open_in_place(nonce(self.number), b"", &mut self.chunk);
        let length = opened.map_err(io::Error::other)?.len();
        self.chunk.truncate(length);
        self.number += 1;
        Ok(())
    }
}

impl<R: Read> Read for ScratchReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            self.get()?;
        }
        let taken = into.len().min(self.chunk.len() - self.at);
        into[..taken].copy_from_slice(&self.chunk[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_by_comes_back_and_does_not_stand_there() {
        let host = Host::system();
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7] {
            let bytes: Vec<u8> = b"canary-".iter().copied().cycle().take(length).collect();
            let mut writer = ScratchWriter::new(&host, Vec::new());
            for part in bytes.chunks(1_000) {
                writer.write_all(part).unwrap();
            }
            let (mut written, cipher) = writer.finish().unwrap();
            assert!(!written.windows(7).any(|window| window == b"canary-"));
            let mut back = Vec::new();
            ScratchReader::new(cipher.clone(), &written[..]).read_to_end(&mut back).unwrap();
            assert_eq!(back, bytes);
            if let Some(last) = written.last_mut() {
                *last ^= 1;
                assert!(ScratchReader::new(cipher, &written[..]).read_to_end(&mut Vec::new()).is_err());
            }
        }
    }
}
