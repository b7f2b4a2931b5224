//! The records of a state's log: commands and pieces of snapshots.
//!
//! The record's key says which: `command`, `snapshot` or `snapshot-end`; the value is
//!
//! - `command`: the machine's own encoding, which begins with its version;
//! - `snapshot`: version (1 byte), the offset the snapshot stands for (8), the piece's index (4),
//!   then the piece;
//! - `snapshot-end`: version (1), the offset (8), the number of pieces (4), their bytes in all (8)
//!   and the CRC32C over them (4).
//!
//! Numbers are big-endian. A record with another key was written by a later version.

use bytes::{Buf, BufMut, Bytes};
use posthouse_types::Offset;

use super::Damage;

/// The version of the snapshot records that is written, and the only one read.
const VERSION: u8 = 1;

const COMMAND: &[u8] = b"command";
const PIECE: &[u8] = b"snapshot";
const END: &[u8] = b"snapshot-end";

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A command.
    Command(Bytes),
    /// A piece of the snapshot that stands for everything below `as_of`.
    Piece { as_of: Offset, index: u32, bytes: Bytes },
    /// Says that the snapshot is whole.
    End(SnapshotEnd),
}

/// What a whole snapshot must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotEnd {
    /// The snapshot stands for every command below this.
    pub(crate) as_of: Offset,
    /// Pieces.
    pub(crate) pieces: u32,
    /// Bytes of all pieces.
    pub(crate) size: u64,
    /// CRC32C over all pieces.
    pub(crate) crc: u32,
}

impl Frame {
    /// The record's key and value.
    pub(crate) fn encode(&self) -> (&'static [u8], Bytes) {
        match self {
            Frame::Command(bytes) => (COMMAND, bytes.clone()),
            Frame::Piece { as_of, index, bytes } => {
                let mut value = Vec::with_capacity(13 + bytes.len());
                value.put_u8(VERSION);
                value.put_i64(as_of.value());
                value.put_u32(*index);
                value.put_slice(bytes);
                (PIECE, value.into())
            }
            Frame::End(end) => {
                let mut value = Vec::with_capacity(25);
                value.put_u8(VERSION);
                value.put_i64(end.as_of.value());
                value.put_u32(end.pieces);
                value.put_u64(end.size);
                value.put_u32(end.crc);
                (END, value.into())
            }
        }
    }

    /// Reads a record.
    pub(crate) fn decode(key: Option<Bytes>, value: Option<Bytes>) -> Result<Frame, Damage> {
        let mut value = value.ok_or_else(|| Damage::new("record has no value"))?;
        match key.as_deref() {
            Some(COMMAND) => Ok(Frame::Command(value)),
            Some(PIECE) => {
                let as_of = snapshot_header(&mut value)?;
                let index = value.try_get_u32().map_err(|_| cut_short())?;
                Ok(Frame::Piece { as_of, index, bytes: value })
            }
            Some(END) => {
                let as_of = snapshot_header(&mut value)?;
                let pieces = value.try_get_u32().map_err(|_| cut_short())?;
                let size = value.try_get_u64().map_err(|_| cut_short())?;
                let crc = value.try_get_u32().map_err(|_| cut_short())?;
                Ok(Frame::End(SnapshotEnd { as_of, pieces, size, crc }))
            }
            Some(other) => {
                let kind = String::from_utf8_lossy(other);
                Err(Damage::new(format!("record is of unknown kind {kind:?}")))
            }
            None => Err(Damage::new("record has no key")),
        }
    }
}

fn snapshot_header(value: &mut Bytes) -> Result<Offset, Damage> {
    let version = value.try_get_u8().map_err(|_| cut_short())?;
    if version != VERSION {
        return Err(Damage::new(format!("snapshot has version {version}, this reads {VERSION}")));
    }
    let as_of = value.try_get_i64().map_err(|_| cut_short())?;
    Offset::new(as_of).ok_or_else(|| Damage::new(format!("snapshot stands for offset {as_of}")))
}

fn cut_short() -> Damage {
    Damage::new("snapshot record is cut short")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<Frame> {
        let as_of = Offset::ZERO.plus(91);
        vec![
            Frame::Command(Bytes::from_static(b"one")),
            Frame::Piece { as_of, index: 3, bytes: Bytes::from_static(b"piece") },
            Frame::End(SnapshotEnd { as_of, pieces: 4, size: 20, crc: 7 }),
        ]
    }

    #[test]
    fn frames_read_back_as_written() {
        for frame in frames() {
            let (key, value) = frame.encode();
            assert_eq!(Frame::decode(Some(Bytes::from_static(key)), Some(value)).unwrap(), frame);
        }
    }

    #[test]
    fn a_truncated_snapshot_header_is_damage() {
        for (frame, header_len) in frames().into_iter().skip(1).zip([13, 25]) {
            let (key, value) = frame.encode();
            for len in 0..header_len {
                let cut = value.slice(..len);
                assert!(Frame::decode(Some(Bytes::from_static(key)), Some(cut)).is_err());
            }
        }
    }

    #[test]
    fn a_record_of_a_later_version_is_damage() {
        let value = Some(Bytes::from_static(b"x"));
        assert!(Frame::decode(Some(Bytes::from_static(b"later")), value.clone()).is_err());
        assert!(Frame::decode(None, value).is_err());
        let (key, value) = frames()[1].encode();
        let mut later = value.to_vec();
        later[0] = VERSION + 1;
        assert!(Frame::decode(Some(Bytes::from_static(key)), Some(later.into())).is_err());
    }
}
