//! An encoded response: bytes in memory and, for a fetch, ranges of segment files.
//!
//! # Invariants
//! - The first four bytes are the length of everything after them.

use bytes::{BufMut, Bytes, BytesMut};
use posthouse_log::Chunk;

/// LIMIT: stored batches smaller than this are copied into the response: a place of their own in a
/// gathered write costs more than the copy.
pub(crate) const COPY_BELOW_BYTES: usize = 2048;

/// A response ready to be sent.
#[derive(Debug)]
pub(crate) struct Response {
    parts: Vec<Chunk>,
    len: usize,
}

impl Response {
    /// A message of a SASL mechanism, without any header: after version 0 of SaslHandshake.
    pub(crate) fn token(bytes: &[u8]) -> Response {
        let prefix = u32::try_from(bytes.len()).expect("our messages are short");
        let framed = [&prefix.to_be_bytes()[..], bytes].concat();
        Response { len: framed.len(), parts: vec![Chunk::Memory(Bytes::from(framed))] }
    }

    /// Everything, length prefix included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn into_parts(self) -> Vec<Chunk> {
        self.parts
    }
}

/// Builds a [`Response`], leaving stored batches where they are.
pub(crate) struct ResponseWriter {
    buffer: BytesMut,
    /// Where in the order of `buffer` each chunk belongs.
    chunks: Vec<(usize, Chunk)>,
    chunks_len: usize,
}

impl ResponseWriter {
    /// Starts with the response header: version 1 has tagged fields, version 0 has none.
    pub(crate) fn new(correlation_id: i32, header_version: i16, capacity: usize) -> ResponseWriter {
        let mut buffer = BytesMut::with_capacity(capacity + 9);
        buffer.put_u32(0);
        buffer.put_i32(correlation_id);
        if header_version >= 1 {
            buffer.put_u8(0);
        }
        ResponseWriter { buffer, chunks: Vec::new(), chunks_len: 0 }
    }

    /// Where the fields go.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Puts stored batches here, uncopied unless they are small.
    pub(crate) fn put_chunk(&mut self, chunk: Chunk) {
        match chunk {
            Chunk::Memory(bytes) if bytes.len() < COPY_BELOW_BYTES => {
                self.buffer.put_slice(&bytes);
            }
            chunk => {
                self.chunks_len += chunk.len();
                self.chunks.push((self.buffer.len(), chunk));
            }
        }
    }

    /// Writes the length and gives the parts in order.
    pub(crate) fn finish(mut self) -> Response {
        let len = self.buffer.len() + self.chunks_len;
        let prefix = u32::try_from(len - 4).expect("fetch limits keep a response below 2 GiB");
        self.buffer[..4].copy_from_slice(&prefix.to_be_bytes());
        let mut rest: Bytes = self.buffer.freeze();
        let mut parts = Vec::with_capacity(2 * self.chunks.len() + 1);
        let mut taken = 0;
        for (at, chunk) in self.chunks {
            if at > taken {
                parts.push(Chunk::Memory(rest.split_to(at - taken)));
                taken = at;
            }
            parts.push(chunk);
        }
        if !rest.is_empty() {
            parts.push(Chunk::Memory(rest));
        }
        Response { parts, len }
    }
}

#[cfg(test)]
impl Response {
    /// Everything in one piece.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for part in &self.parts {
            all.extend_from_slice(&part.load().unwrap());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_stay_in_their_place_and_are_counted() {
        let large = Bytes::from(vec![b'x'; COPY_BELOW_BYTES]);
        let mut writer = ResponseWriter::new(7, 0, 16);
        writer.buffer().put_u8(1);
        writer.put_chunk(Chunk::Memory(large.clone()));
        writer.put_chunk(Chunk::Memory(Bytes::from_static(b"de")));
        writer.buffer().put_u8(2);
        let response = writer.finish();
        let expected = [b"\0\0\x08\x08\0\0\0\x07\x01", &large[..], b"de\x02"].concat();
        assert_eq!(response.to_vec(), expected);
        assert_eq!(response.len(), expected.len());
        let [_, Chunk::Memory(sent), _] = &response.into_parts()[..] else { panic!("three parts") };
        assert_eq!(sent.as_ptr(), large.as_ptr(), "a large chunk is not copied");
    }
}
