//! The commands, and how they lie in the log.
//!
//! ```text
//! version u8 = 1 · kind u8 · the kind's fields
//! ```
//! Numbers are variable-length; see [`crate::state::Encoder`]. One command holds everything that a
//! request commits, so that a request is kept whole or not at all.

use bytes::Bytes;
use posthouse_types::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicName};

use crate::groups::GroupRecord;
use crate::state::{Damage, Decoder, Encoder};

const VERSION: u8 = 1;

const COMMITTED: u8 = 1;
const FORGOTTEN: u8 = 2;
const GROUP_FORGOTTEN: u8 = 3;
const TOPIC_FORGOTTEN: u8 = 4;
const RECORD_PUT: u8 = 5;
const RECORD_DELETED: u8 = 6;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OffsetsCommand {
    /// A group committed offsets.
    Committed { group: String, at: Timestamp, topics: Vec<(TopicName, Vec<Kept>)> },
    /// Some of a group's offsets were deleted, or expired.
    Forgotten { group: String, topics: Vec<(TopicName, Vec<PartitionIndex>)> },
    /// All of a group's offsets were deleted.
    GroupForgotten { group: String },
    /// A topic was deleted: no group has offsets in it any more.
    TopicForgotten { topic: TopicName },
    /// The group is to be found like this after a restart; a [`GroupRecord`], encoded.
    RecordPut { group: String, record: Bytes },
    /// The group has no members and no generation to be found.
    RecordDeleted { group: String },
}

/// A committed offset within its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) index: PartitionIndex,
    pub(crate) offset: Offset,
    pub(crate) leader_epoch: Option<LeaderEpoch>,
    pub(crate) metadata: String,
}

impl OffsetsCommand {
    /// Appends the command's bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut encoder = Encoder(out);
        encoder.byte(VERSION);
        match self {
            OffsetsCommand::Committed { group, at, topics } => {
                encoder.byte(COMMITTED);
                encoder.text(group);
                encoder.signed(at.as_ms());
                put_topics(&mut encoder, topics, put_kept);
            }
            OffsetsCommand::Forgotten { group, topics } => {
                encoder.byte(FORGOTTEN);
                encoder.text(group);
                put_topics(&mut encoder, topics, |encoder, index| put_index(encoder, *index));
            }
            OffsetsCommand::GroupForgotten { group } => {
                encoder.byte(GROUP_FORGOTTEN);
                encoder.text(group);
            }
            OffsetsCommand::TopicForgotten { topic } => {
                encoder.byte(TOPIC_FORGOTTEN);
                encoder.bytes(topic.as_bytes());
            }
            OffsetsCommand::RecordPut { group, record } => {
                encoder.byte(RECORD_PUT);
                encoder.text(group);
                encoder.bytes(record);
            }
            OffsetsCommand::RecordDeleted { group } => {
                encoder.byte(RECORD_DELETED);
                encoder.text(group);
            }
        }
    }

    /// Reads a command.
    pub(super) fn decode(bytes: &[u8]) -> Result<OffsetsCommand, Damage> {
        let mut decoder = Decoder::new(bytes);
        match decoder.byte()? {
            VERSION => {}
            found => {
                return Err(Damage::new(format!("command has version {found}, not {VERSION}")));
            }
        }
        let command = match decoder.byte()? {
            COMMITTED => OffsetsCommand::Committed {
                group: decoder.text()?.to_owned(),
                at: Timestamp::from_ms(decoder.signed()?),
                topics: read_topics(&mut decoder, read_kept)?,
            },
            FORGOTTEN => OffsetsCommand::Forgotten {
                group: decoder.text()?.to_owned(),
                topics: read_topics(&mut decoder, read_index)?,
            },
            GROUP_FORGOTTEN => OffsetsCommand::GroupForgotten { group: decoder.text()?.to_owned() },
            TOPIC_FORGOTTEN => OffsetsCommand::TopicForgotten { topic: read_topic(&mut decoder)? },
            RECORD_PUT => {
                let group = decoder.text()?.to_owned();
                OffsetsCommand::RecordPut { record: read_record(&mut decoder, &group)?, group }
            }
            RECORD_DELETED => OffsetsCommand::RecordDeleted { group: decoder.text()?.to_owned() },
            kind => return Err(Damage::new(format!("command is of unknown kind {kind}"))),
        };
        decoder.finish()?;
        Ok(command)
    }
}

/// Appends a committed offset's fields but for its time.
pub(super) fn put_kept(encoder: &mut Encoder<'_>, kept: &Kept) {
    put_fields(encoder, kept.index, kept.offset, kept.leader_epoch, &kept.metadata);
}

/// As [`put_kept`], from the fields.
pub(super) fn put_fields(
    encoder: &mut Encoder<'_>,
    index: PartitionIndex,
    offset: Offset,
    leader_epoch: Option<LeaderEpoch>,
    metadata: &str,
) {
    put_index(encoder, index);
    encoder.signed(offset.value());
    // One byte for "none"; no epoch is so low that the difference overflows.
    encoder.signed(leader_epoch.map_or(-1, |epoch| i64::from(epoch.0)));
    encoder.text(metadata);
}

/// Reads a committed offset's fields.
pub(super) fn read_kept(decoder: &mut Decoder<'_>) -> Result<Kept, Damage> {
    let index = read_index(decoder)?;
    let offset = decoder.signed()?;
    let offset =
        Offset::new(offset).ok_or_else(|| Damage::new(format!("committed offset is {offset}")))?;
    let epoch = decoder.signed_32()?;
    let metadata = decoder.text()?.to_owned();
    Ok(Kept { index, offset, leader_epoch: (epoch >= 0).then_some(LeaderEpoch(epoch)), metadata })
}

/// Reads a topic's name.
pub(super) fn read_topic(decoder: &mut Decoder<'_>) -> Result<TopicName, Damage> {
    TopicName::new(decoder.bytes()?).map_err(|error| Damage::new(error.to_string()))
}

/// Reads a group's record, checked but left as it is.
pub(super) fn read_record(decoder: &mut Decoder<'_>, group: &str) -> Result<Bytes, Damage> {
    let bytes = decoder.bytes()?;
    let record = GroupRecord::decode(bytes).map_err(|error| Damage::new(error.to_string()))?;
    if record.group != group {
        let reason = format!("record of group {:?} is kept as {group:?}", record.group);
        return Err(Damage::new(reason));
    }
    Ok(Bytes::copy_from_slice(bytes))
}

fn put_index(encoder: &mut Encoder<'_>, index: PartitionIndex) {
    encoder.unsigned(index.value().into());
}

fn read_index(decoder: &mut Decoder<'_>) -> Result<PartitionIndex, Damage> {
    decoder.unsigned_32().map(PartitionIndex::new)
}

fn put_topics<T>(
    encoder: &mut Encoder<'_>,
    topics: &[(TopicName, Vec<T>)],
    mut put: impl FnMut(&mut Encoder<'_>, &T),
) {
    encoder.count(topics.len());
    for (topic, items) in topics {
        encoder.bytes(topic.as_bytes());
        encoder.count(items.len());
        for item in items {
            put(encoder, item);
        }
    }
}

fn read_topics<T>(
    decoder: &mut Decoder<'_>,
    mut read: impl FnMut(&mut Decoder<'_>) -> Result<T, Damage>,
) -> Result<Vec<(TopicName, Vec<T>)>, Damage> {
    let mut topics = Vec::new();
    for _ in 0..decoder.count()? {
        let topic = read_topic(decoder)?;
        let count = decoder.count()?;
        let items = (0..count).map(|_| read(decoder)).collect::<Result<_, _>>()?;
        topics.push((topic, items));
    }
    Ok(topics)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::offsets) fn commands() -> impl Strategy<Value = OffsetsCommand> {
        let group = || "[a-c]";
        let topic = || "[t-v]".prop_map(|name| TopicName::new(name).unwrap());
        let index = || (0..3_u32).prop_map(PartitionIndex::new);
        let kept = (index(), 0..i64::MAX, prop::option::of(0..i32::MAX), ".{0,3}").prop_map(
            |(index, offset, epoch, metadata)| Kept {
                index,
                offset: Offset::new(offset).unwrap(),
                leader_epoch: epoch.map(LeaderEpoch),
                metadata,
            },
        );
        let kept = prop::collection::vec((topic(), prop::collection::vec(kept, 0..3)), 0..3);
        let gone = prop::collection::vec((topic(), prop::collection::vec(index(), 0..3)), 0..3);
        prop_oneof![
            4 => (group(), any::<i64>(), kept).prop_map(|(group, at, topics)| {
                OffsetsCommand::Committed { group, at: Timestamp::from_ms(at), topics }
            }),
            2 => (group(), gone)
                .prop_map(|(group, topics)| OffsetsCommand::Forgotten { group, topics }),
            1 => group().prop_map(|group| OffsetsCommand::GroupForgotten { group }),
            1 => topic().prop_map(|topic| OffsetsCommand::TopicForgotten { topic }),
            2 => (group(), 0..9).prop_map(|(group, generation)| OffsetsCommand::RecordPut {
                record: record(&group, generation).encode(),
                group,
            }),
            1 => group().prop_map(|group| OffsetsCommand::RecordDeleted { group }),
        ]
    }

    fn record(group: &str, generation: i32) -> GroupRecord {
        GroupRecord {
            group: group.to_owned(),
            generation,
            protocol_type: Some("consumer".to_owned()),
            protocol: None,
            leader: None,
            since: Timestamp::from_ms(5),
            members: Vec::new(),
        }
    }

    fn encoded(command: &OffsetsCommand) -> Vec<u8> {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn commands_read_back_as_written(command in commands()) {
            prop_assert_eq!(OffsetsCommand::decode(&encoded(&command)).unwrap(), command);
        }

        #[test]
        fn every_truncation_is_damage(command in commands()) {
            let bytes = encoded(&command);
            for len in 0..bytes.len() {
                prop_assert!(OffsetsCommand::decode(&bytes[..len]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = OffsetsCommand::decode(&[&[VERSION][..], &bytes].concat());
        }
    }

    #[test]
    fn a_record_kept_under_another_name_is_damage() {
        let record = record("a", 1).encode();
        let command = OffsetsCommand::RecordPut { group: "b".to_owned(), record };
        assert!(OffsetsCommand::decode(&encoded(&command)).is_err());
    }
}
