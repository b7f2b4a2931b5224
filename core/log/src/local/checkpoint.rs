//! What is known of a partition up to a position, so that opening it reads only what came after.
//!
//! Owns the file's format and nothing of when it is written. A checkpoint is never needed for
//! correctness, but for `log_start`: a missing one costs a scan of every segment.
//!
//! # Invariants
//! - Everything it tells of was durable before it was written, and is told exactly: producers as
//!   they were at the end of its last segment, not later.
//! - Segments rise in offset; the last one was active and may have grown since.
//!
//! # Layout
//! Big-endian: magic, version, log start, cleaned-to, next tombstone horizon (-1: none); then epochs,
//! segments and producers, each a count and its entries; last a CRC32C of all before it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use posthouse_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::EpochStart;
use crate::compaction::Cleaned;
use crate::epochs::EpochHistory;
use crate::producers::{BATCHES_REMEMBERED, Producer, Producers, Sent};
use crate::retention::SegmentFacts;

const MAGIC: u32 = 0x5048_4350; // "PHCP"
const VERSION: u16 = 1;
const EPOCH_BYTES: usize = 12;
const SEGMENT_BYTES: usize = 40;
const SENT_BYTES: usize = 32;
const PRODUCER_BYTES_MIN: usize = 8 + 2 + 8 + 8 + 1;

/// A partition up to the end of its last segment here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) log_start: Offset,
    pub(crate) cleaned: Cleaned,
    pub(crate) epochs: EpochHistory,
    pub(crate) segments: Vec<SegmentFacts>,
    pub(crate) producers: Producers,
}

impl Checkpoint {
    /// The checkpoint as it is stored.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u32(MAGIC);
        out.put_u16(VERSION);
        out.put_i64(self.log_start.value());
        out.put_i64(self.cleaned.to.value());
        out.put_i64(self.cleaned.horizon.map_or(-1, Timestamp::as_ms));
        put_count(&mut out, self.epochs.entries().len());
        for entry in self.epochs.entries() {
            out.put_i32(entry.epoch.0);
            out.put_i64(entry.start.value());
        }
        put_count(&mut out, self.segments.len());
        for segment in &self.segments {
            out.put_i64(segment.base.value());
            out.put_i64(segment.next.value());
            out.put_u64(segment.bytes);
            out.put_i64(segment.max_timestamp.as_ms());
            out.put_i64(segment.begun.as_ms());
        }
        put_count(&mut out, self.producers.iter().len());
        for (id, producer) in self.producers.iter() {
            put_producer(&mut out, id, producer);
        }
        out.put_u32(crc32c::crc32c(&out));
        out.freeze()
    }

    /// Reads a stored checkpoint; `None` when it is damaged or of another version.
    pub(crate) fn decode(mut stored: Bytes) -> Option<Checkpoint> {
        let body = stored.len().checked_sub(4)?;
        let checksum = stored.split_off(body).get_u32();
        if crc32c::crc32c(&stored) != checksum {
            return None;
        }
        let input = &mut stored;
        if input.try_get_u32().ok()? != MAGIC || input.try_get_u16().ok()? != VERSION {
            return None;
        }
        let log_start = offset(input)?;
        let to = offset(input)?;
        let horizon = input.try_get_i64().ok()?;
        let cleaned = Cleaned { to, horizon: (horizon >= 0).then(|| Timestamp::from_ms(horizon)) };
        let mut epochs = EpochHistory::default();
        for _ in 0..count(input, EPOCH_BYTES)? {
            let entry =
                EpochStart { epoch: LeaderEpoch(input.try_get_i32().ok()?), start: offset(input)? };
            epochs.begin(entry.epoch, entry.start);
        }
        let segments = (0..count(input, SEGMENT_BYTES)?)
            .map(|_| segment(input))
            .collect::<Option<Vec<_>>>()?;
        let mut producers = Producers::default();
        for _ in 0..count(input, PRODUCER_BYTES_MIN)? {
            let (id, producer) = producer(input)?;
            producers.restore(id, producer);
        }
        let is_sorted = segments.is_sorted_by(|left, right| left.next <= right.base);
        (is_sorted && !input.has_remaining()).then_some(Checkpoint {
            log_start,
            cleaned,
            epochs,
            segments,
            producers,
        })
    }
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_u32(
        u32::try_from(count).expect("segments, epochs and producers are limited in number"),
    );
}

fn put_producer(out: &mut BytesMut, id: ProducerId, producer: &Producer) {
    out.put_i64(id.0);
    out.put_i16(producer.epoch.0);
    out.put_i64(producer.last_timestamp.as_ms());
    out.put_i64(producer.seen.as_ms());
    out.put_u8(u8::try_from(producer.sent.len()).expect("five batches are remembered"));
    for sent in &producer.sent {
        out.put_i32(sent.first.0);
        out.put_i32(sent.last.0);
        out.put_i64(sent.base_offset.value());
        out.put_i64(sent.last_offset.value());
        out.put_i64(sent.timestamp.as_ms());
    }
}

/// A count of entries of at least `entry_bytes` each, checked against what is left.
fn count(input: &mut Bytes, entry_bytes: usize) -> Option<usize> {
    let count = usize::try_from(input.try_get_u32().ok()?).ok()?;
    (count.checked_mul(entry_bytes)? <= input.remaining()).then_some(count)
}

fn offset(input: &mut Bytes) -> Option<Offset> {
    Offset::new(input.try_get_i64().ok()?)
}

fn timestamp(input: &mut Bytes) -> Option<Timestamp> {
    input.try_get_i64().ok().map(Timestamp::from_ms)
}

fn segment(input: &mut Bytes) -> Option<SegmentFacts> {
    Some(SegmentFacts {
        base: offset(input)?,
        next: offset(input)?,
        bytes: input.try_get_u64().ok()?,
        max_timestamp: timestamp(input)?,
        begun: timestamp(input)?,
    })
}

fn producer(input: &mut Bytes) -> Option<(ProducerId, Producer)> {
    let id = ProducerId(input.try_get_i64().ok()?);
    let epoch = ProducerEpoch(input.try_get_i16().ok()?);
    let (last_timestamp, seen) = (timestamp(input)?, timestamp(input)?);
    let remembered = usize::from(input.try_get_u8().ok()?);
    if remembered > BATCHES_REMEMBERED || remembered * SENT_BYTES > input.remaining() {
        return None;
    }
    let sent = (0..remembered).map(|_| sent(input)).collect::<Option<_>>()?;
    Some((id, Producer { epoch, last_timestamp, seen, sent }))
}

fn sent(input: &mut Bytes) -> Option<Sent> {
    Some(Sent {
        first: Sequence(input.try_get_i32().ok()?),
        last: Sequence(input.try_get_i32().ok()?),
        base_offset: offset(input)?,
        last_offset: offset(input)?,
        timestamp: timestamp(input)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checkpoint(epochs: u8, segments: u8, producers: u8) -> Checkpoint {
        let at = |value: u8| Offset::new(i64::from(value)).unwrap();
        let mut known = Checkpoint { log_start: at(3), ..Checkpoint::default() };
        known.cleaned = Cleaned { to: at(9), horizon: Some(Timestamp::from_ms(77)) };
        for step in 0..epochs {
            known.epochs.begin(LeaderEpoch(i32::from(step) + 1), at(step));
        }
        for step in 0..segments {
            known.segments.push(SegmentFacts {
                base: at(step),
                next: at(step + 1),
                bytes: 100,
                max_timestamp: Timestamp::NONE,
                begun: Timestamp::from_ms(5),
            });
        }
        for step in 0..producers {
            let sent = Sent {
                first: Sequence(1),
                last: Sequence(2),
                base_offset: at(step),
                last_offset: at(step + 1),
                timestamp: Timestamp::from_ms(6),
            };
            known.producers.restore(
                ProducerId(i64::from(step)),
                Producer {
                    epoch: ProducerEpoch(1),
                    last_timestamp: Timestamp::from_ms(6),
                    seen: Timestamp::from_ms(7),
                    sent: std::iter::repeat_n(sent, usize::from(step) % 6).collect(),
                },
            );
        }
        known
    }

    proptest! {
        #[test]
        fn a_checkpoint_reads_back_as_it_was_written(a in 0_u8..9, b in 0_u8..9, c in 0_u8..9) {
            let known = checkpoint(a, b, c);
            prop_assert_eq!(Checkpoint::decode(known.encode()), Some(known));
        }

        #[test]
        fn a_cut_or_damaged_checkpoint_is_refused(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let stored = checkpoint(3, 4, 5).encode();
            let at = at.index(stored.len());
            prop_assert_eq!(Checkpoint::decode(stored.slice(..at)), None);
            let mut damaged = stored.to_vec();
            damaged[at] ^= 1 << bit;
            prop_assert_eq!(Checkpoint::decode(Bytes::from(damaged)), None);
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut sealed = bytes.clone();
            sealed.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
            prop_assert_eq!(Checkpoint::decode(Bytes::from(sealed)), None);
        }
    }
}
