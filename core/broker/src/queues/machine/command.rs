//! The commands, and how they lie in the log.
//!
//! ```text
//! version u8 = 1 · kind u8 · the kind's fields
//! ```
//! Numbers are variable-length; see [`crate::state::Encoder`]. Offsets in a list are written as the
//! difference from the one before, so that a run of records takes two bytes each.

use std::time::Duration;

use bytes::Bytes;
use posthouse_types::{Offset, PartitionIndex, Timestamp, TopicId, TopicName};
use uuid::Uuid;

use super::queue::QueueKey;
use crate::queues::limits::WINDOW_MAX;
use crate::queues::types::{QueueConfig, RecordId};
use crate::state::{Damage, Decoder, Encoder};

const VERSION: u8 = 1;

const CREATED: u8 = 1;
const CONFIGURED: u8 = 2;
const POSITIONED: u8 = 3;
const DELETED: u8 = 4;
const TOPIC_FORGOTTEN: u8 = 5;
const OWNER_SEEN: u8 = 6;
const OWNER_REMOVED: u8 = 7;
const ACQUIRED: u8 = 8;
const SETTLED: u8 = 9;
const RELEASED: u8 = 10;
const REJECTED: u8 = 11;
const EXTENDED: u8 = 12;
const TRANSFERRED: u8 = 13;

/// A queue's number within its shard, never given twice: short in every command, and different when
/// a queue is deleted and made again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueueNumber(pub(crate) u64);

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QueuesCommand {
    /// A queue was made, with the first record of each partition that it will deliver.
    Created {
        number: QueueNumber,
        key: QueueKey,
        config: QueueConfig,
        next: Vec<(PartitionIndex, Offset)>,
    },
    /// It behaves differently from now on.
    Configured { number: QueueNumber, config: QueueConfig },
    /// New records are delivered from here on.
    Positioned { number: QueueNumber, next: Vec<(PartitionIndex, Offset)> },
    /// It is gone.
    Deleted { number: QueueNumber },
    /// Every queue of a deleted topic is gone.
    TopicForgotten { topic: TopicId },
    /// An owner was heard of, perhaps for the first time.
    OwnerSeen { number: QueueNumber, owner: Bytes, at: Timestamp },
    /// An owner is gone; what it held is settled (`discard`) or given back.
    OwnerRemoved { number: QueueNumber, owner: Bytes, discard: bool },
    /// Records were delivered.
    Acquired(Taken),
    /// Records are done with: accepted, written to the dead-letter topic, or gone from the log.
    Settled { number: QueueNumber, ids: Vec<RecordId> },
    /// Records were given back, or their locks ended.
    Released { number: QueueNumber, ids: Vec<RecordId> },
    /// Records shall not be delivered again.
    Rejected { number: QueueNumber, ids: Vec<RecordId>, reason: String },
    /// Locks end at another time.
    Extended { number: QueueNumber, ids: Vec<RecordId>, until: Option<Timestamp> },
    /// Records changed hands; each with its number of deliveries.
    Transferred {
        number: QueueNumber,
        to: Bytes,
        at: Timestamp,
        delivered_at: Timestamp,
        until: Option<Timestamp>,
        entries: Vec<(RecordId, u32)>,
    },
}

/// What one call was given of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) number: QueueNumber,
    pub(crate) partition: PartitionIndex,
    pub(crate) owner: Bytes,
    pub(crate) at: Timestamp,
    pub(crate) until: Option<Timestamp>,
    /// Records that had come back.
    pub(crate) again: Vec<Offset>,
    /// Records never delivered before.
    pub(crate) fresh: Vec<Offset>,
    /// Where the search for new ones goes on.
    pub(crate) next: Offset,
    /// They are settled by being delivered.
    pub(crate) settled: bool,
}

impl QueuesCommand {
    /// The queue whose waiters may find something after this.
    pub(crate) fn wakes(&self) -> Option<QueueNumber> {
        match self {
            QueuesCommand::Configured { number, .. }
            | QueuesCommand::Positioned { number, .. }
            | QueuesCommand::Deleted { number }
            | QueuesCommand::OwnerRemoved { number, .. }
            | QueuesCommand::Settled { number, .. }
            | QueuesCommand::Released { number, .. }
            | QueuesCommand::Rejected { number, .. } => Some(*number),
            QueuesCommand::Created { .. }
            | QueuesCommand::TopicForgotten { .. }
            | QueuesCommand::OwnerSeen { .. }
            | QueuesCommand::Acquired(_)
            | QueuesCommand::Extended { .. }
            | QueuesCommand::Transferred { .. } => None,
        }
    }

    /// The owner that is not known any more after this.
    pub(crate) fn forgets(&self) -> Option<(QueueNumber, Bytes)> {
        match self {
            QueuesCommand::OwnerRemoved { number, owner, .. } => Some((*number, owner.clone())),
            _ => None,
        }
    }

    /// Records that are given back, rejected or settled.
    pub(crate) fn records(&self) -> usize {
        match self {
            QueuesCommand::Settled { ids, .. }
            | QueuesCommand::Released { ids, .. }
            | QueuesCommand::Rejected { ids, .. } => ids.len(),
            _ => 0,
        }
    }

    /// Appends the command's bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut encoder = Encoder(out);
        encoder.byte(VERSION);
        let mut start = |kind, number: &QueueNumber| {
            encoder.byte(kind);
            encoder.unsigned(number.0);
        };
        match self {
            QueuesCommand::Created { number, key, config, next } => {
                start(CREATED, number);
                put_key(&mut encoder, key);
                put_config(&mut encoder, config);
                put_positions(&mut encoder, next);
            }
            QueuesCommand::Configured { number, config } => {
                start(CONFIGURED, number);
                put_config(&mut encoder, config);
            }
            QueuesCommand::Positioned { number, next } => {
                start(POSITIONED, number);
                put_positions(&mut encoder, next);
            }
            QueuesCommand::Deleted { number } => start(DELETED, number),
            QueuesCommand::TopicForgotten { topic } => {
                encoder.byte(TOPIC_FORGOTTEN);
                put_topic_id(&mut encoder, *topic);
            }
            QueuesCommand::OwnerSeen { number, owner, at } => {
                start(OWNER_SEEN, number);
                encoder.bytes(owner);
                encoder.signed(at.as_ms());
            }
            QueuesCommand::OwnerRemoved { number, owner, discard } => {
                start(OWNER_REMOVED, number);
                encoder.bytes(owner);
                encoder.byte(u8::from(*discard));
            }
            QueuesCommand::Acquired(taken) => {
                start(ACQUIRED, &taken.number);
                put_taken(&mut encoder, taken);
            }
            QueuesCommand::Settled { number, ids } => {
                start(SETTLED, number);
                put_ids(&mut encoder, ids);
            }
            QueuesCommand::Released { number, ids } => {
                start(RELEASED, number);
                put_ids(&mut encoder, ids);
            }
            QueuesCommand::Rejected { number, ids, reason } => {
                start(REJECTED, number);
                put_ids(&mut encoder, ids);
                encoder.text(reason);
            }
            QueuesCommand::Extended { number, ids, until } => {
                start(EXTENDED, number);
                put_ids(&mut encoder, ids);
                put_time(&mut encoder, *until);
            }
            QueuesCommand::Transferred { number, to, at, delivered_at, until, entries } => {
                start(TRANSFERRED, number);
                encoder.bytes(to);
                encoder.signed(at.as_ms());
                encoder.signed(delivered_at.as_ms());
                put_time(&mut encoder, *until);
                let ids: Vec<_> = entries.iter().map(|(id, _)| *id).collect();
                put_ids(&mut encoder, &ids);
                entries.iter().for_each(|(_, deliveries)| encoder.unsigned((*deliveries).into()));
            }
        }
    }

    /// Reads a command.
    pub(super) fn decode(bytes: &[u8]) -> Result<QueuesCommand, Damage> {
        let mut decoder = Decoder::new(bytes);
        match decoder.byte()? {
            VERSION => {}
            found => {
                return Err(Damage::new(format!("command has version {found}, not {VERSION}")));
            }
        }
        let kind = decoder.byte()?;
        let command = if kind == TOPIC_FORGOTTEN {
            QueuesCommand::TopicForgotten { topic: read_topic_id(&mut decoder)? }
        } else {
            let number = QueueNumber(decoder.unsigned()?);
            if number.0 == u64::MAX {
                return Err(Damage::new("queue number is the last one, which is never given"));
            }
            QueuesCommand::decode_kind(kind, number, &mut decoder)?
        };
        decoder.finish()?;
        Ok(command)
    }

    fn decode_kind(
        kind: u8,
        number: QueueNumber,
        decoder: &mut Decoder<'_>,
    ) -> Result<QueuesCommand, Damage> {
        Ok(match kind {
            CREATED => QueuesCommand::Created {
                number,
                key: read_key(decoder)?,
                config: read_config(decoder)?,
                next: read_positions(decoder)?,
            },
            CONFIGURED => QueuesCommand::Configured { number, config: read_config(decoder)? },
            POSITIONED => QueuesCommand::Positioned { number, next: read_positions(decoder)? },
            DELETED => QueuesCommand::Deleted { number },
            OWNER_SEEN => QueuesCommand::OwnerSeen {
                number,
                owner: read_bytes(decoder)?,
                at: Timestamp::from_ms(decoder.signed()?),
            },
            OWNER_REMOVED => QueuesCommand::OwnerRemoved {
                number,
                owner: read_bytes(decoder)?,
                discard: decoder.flag()?,
            },
            ACQUIRED => QueuesCommand::Acquired(read_taken(number, decoder)?),
            SETTLED => QueuesCommand::Settled { number, ids: read_ids(decoder)? },
            RELEASED => QueuesCommand::Released { number, ids: read_ids(decoder)? },
            REJECTED => QueuesCommand::Rejected {
                number,
                ids: read_ids(decoder)?,
                reason: decoder.text()?.to_owned(),
            },
            EXTENDED => QueuesCommand::Extended {
                number,
                ids: read_ids(decoder)?,
                until: read_time(decoder)?,
            },
            TRANSFERRED => read_transferred(number, decoder)?,
            kind => return Err(Damage::new(format!("command is of unknown kind {kind}"))),
        })
    }
}

fn read_transferred(
    number: QueueNumber,
    decoder: &mut Decoder<'_>,
) -> Result<QueuesCommand, Damage> {
    let to = read_bytes(decoder)?;
    let at = Timestamp::from_ms(decoder.signed()?);
    let delivered_at = Timestamp::from_ms(decoder.signed()?);
    let until = read_time(decoder)?;
    let entries = read_ids(decoder)?
        .into_iter()
        .map(|id| Ok((id, decoder.unsigned_32()?)))
        .collect::<Result<_, Damage>>()?;
    Ok(QueuesCommand::Transferred { number, to, at, delivered_at, until, entries })
}

fn put_taken(encoder: &mut Encoder<'_>, taken: &Taken) {
    encoder.unsigned(taken.partition.value().into());
    encoder.bytes(&taken.owner);
    encoder.signed(taken.at.as_ms());
    put_time(encoder, taken.until);
    put_offsets(encoder, &taken.again);
    put_offsets(encoder, &taken.fresh);
    encoder.signed(taken.next.value());
    encoder.byte(u8::from(taken.settled));
}

fn read_taken(number: QueueNumber, decoder: &mut Decoder<'_>) -> Result<Taken, Damage> {
    Ok(Taken {
        number,
        partition: PartitionIndex::new(decoder.unsigned_32()?),
        owner: read_bytes(decoder)?,
        at: Timestamp::from_ms(decoder.signed()?),
        until: read_time(decoder)?,
        again: read_offsets(decoder)?,
        fresh: read_offsets(decoder)?,
        next: read_offset(decoder)?,
        settled: decoder.flag()?,
    })
}

/// Appends a queue's identity.
pub(super) fn put_key(encoder: &mut Encoder<'_>, key: &QueueKey) {
    put_topic_id(encoder, key.topic);
    encoder.bytes(&key.group);
}

/// Reads a queue's identity.
pub(super) fn read_key(decoder: &mut Decoder<'_>) -> Result<QueueKey, Damage> {
    Ok(QueueKey { topic: read_topic_id(decoder)?, group: read_bytes(decoder)? })
}

fn put_topic_id(encoder: &mut Encoder<'_>, topic: TopicId) {
    topic.0.as_bytes().iter().for_each(|byte| encoder.byte(*byte));
}

fn read_topic_id(decoder: &mut Decoder<'_>) -> Result<TopicId, Damage> {
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        *byte = decoder.byte()?;
    }
    Ok(TopicId(Uuid::from_bytes(bytes)))
}

/// Appends a configuration.
pub(super) fn put_config(encoder: &mut Encoder<'_>, config: &QueueConfig) {
    let QueueConfig { lock_timeout, deliveries_max, window_max, dead_letter } = config;
    // Zero stands for "none": no queue has a timeout or a limit of zero.
    let ms =
        lock_timeout.map_or(0, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    encoder.unsigned(ms);
    encoder.unsigned(deliveries_max.unwrap_or(0).into());
    encoder.unsigned((*window_max).into());
    encoder.bytes(dead_letter.as_ref().map_or(&[][..], TopicName::as_bytes));
}

/// Reads a configuration.
pub(super) fn read_config(decoder: &mut Decoder<'_>) -> Result<QueueConfig, Damage> {
    let ms = decoder.unsigned()?;
    let deliveries = decoder.unsigned_32()?;
    let window_max = decoder.unsigned_32()?;
    if !(1..=WINDOW_MAX).contains(&window_max) {
        return Err(Damage::new(format!("window is {window_max}")));
    }
    let dead_letter = match decoder.bytes()? {
        [] => None,
        name => Some(TopicName::new(name).map_err(|error| Damage::new(error.to_string()))?),
    };
    Ok(QueueConfig {
        lock_timeout: (ms > 0).then(|| Duration::from_millis(ms)),
        deliveries_max: (deliveries > 0).then_some(deliveries),
        window_max,
        dead_letter,
    })
}

fn put_positions(encoder: &mut Encoder<'_>, positions: &[(PartitionIndex, Offset)]) {
    encoder.count(positions.len());
    for (partition, offset) in positions {
        encoder.unsigned(partition.value().into());
        encoder.signed(offset.value());
    }
}

fn read_positions(decoder: &mut Decoder<'_>) -> Result<Vec<(PartitionIndex, Offset)>, Damage> {
    let count = decoder.count()?;
    let position = |_| Ok((PartitionIndex::new(decoder.unsigned_32()?), read_offset(decoder)?));
    (0..count).map(position).collect()
}

fn put_ids(encoder: &mut Encoder<'_>, ids: &[RecordId]) {
    encoder.count(ids.len());
    let mut last = 0;
    for id in ids {
        encoder.unsigned(id.partition.value().into());
        encoder.signed(id.offset.value().wrapping_sub(last));
        last = id.offset.value();
    }
}

fn read_ids(decoder: &mut Decoder<'_>) -> Result<Vec<RecordId>, Damage> {
    let count = decoder.count()?;
    let mut last = 0;
    let id = |_| {
        let partition = PartitionIndex::new(decoder.unsigned_32()?);
        let offset = read_next(decoder, &mut last)?;
        Ok(RecordId { partition, offset })
    };
    (0..count).map(id).collect()
}

fn put_offsets(encoder: &mut Encoder<'_>, offsets: &[Offset]) {
    encoder.count(offsets.len());
    let mut last = 0;
    for offset in offsets {
        encoder.signed(offset.value().wrapping_sub(last));
        last = offset.value();
    }
}

fn read_offsets(decoder: &mut Decoder<'_>) -> Result<Vec<Offset>, Damage> {
    let count = decoder.count()?;
    let mut last = 0;
    (0..count).map(|_| read_next(decoder, &mut last)).collect()
}

fn read_next(decoder: &mut Decoder<'_>, last: &mut i64) -> Result<Offset, Damage> {
    *last = last.wrapping_add(decoder.signed()?);
    Offset::new(*last).ok_or_else(|| Damage::new(format!("offset is {last}")))
}

/// Reads an offset.
pub(super) fn read_offset(decoder: &mut Decoder<'_>) -> Result<Offset, Damage> {
    read_next(decoder, &mut 0)
}

/// Appends a time, or that there is none.
pub(super) fn put_time(encoder: &mut Encoder<'_>, time: Option<Timestamp>) {
    encoder.byte(u8::from(time.is_some()));
    if let Some(time) = time {
        encoder.signed(time.as_ms());
    }
}

/// Reads what [`put_time`] wrote.
pub(super) fn read_time(decoder: &mut Decoder<'_>) -> Result<Option<Timestamp>, Damage> {
    let known = decoder.flag()?;
    known.then(|| decoder.signed().map(Timestamp::from_ms)).transpose()
}

/// Reads a name.
pub(super) fn read_bytes(decoder: &mut Decoder<'_>) -> Result<Bytes, Damage> {
    decoder.bytes().map(Bytes::copy_from_slice)
}
