//! The state as one run of bytes.
//!
//! ```text
//! version u8 = 1 · base time · topics: count, each: name
//! groups: count, each: name · record: flag, bytes · topics: count, each:
//!   which topic · offsets: count, each: index · offset · epoch · metadata · time since base
//! ```
//! Each topic's name is written, and later kept, once. A typical offset takes about ten bytes.

use std::collections::HashMap;
use std::sync::Arc;

use posthouse_types::{Timestamp, TopicName};

use super::command::{Kept, put_fields, read_kept, read_record, read_topic};
use super::machine::{Group, Offsets, TopicOffsets};
use crate::CommittedOffset;
use crate::state::{Damage, Decoder, Encoder};

const VERSION: u8 = 1;

/// Appends the state's bytes.
pub(super) fn write(offsets: &Offsets, out: &mut Vec<u8>) {
    let mut encoder = Encoder(out);
    let topics = offsets.topics();
    let places: HashMap<&TopicName, u64> = topics.iter().copied().zip(0..).collect();
    let base = base_time(offsets);
    encoder.byte(VERSION);
    encoder.signed(base.as_ms());
    encoder.count(topics.len());
    for topic in topics {
        encoder.bytes(topic.as_bytes());
    }
    encoder.count(offsets.groups.len());
    for (name, group) in &offsets.groups {
        encoder.text(name);
        encoder.byte(u8::from(group.record.is_some()));
        if let Some(record) = &group.record {
            encoder.bytes(record);
        }
        encoder.count(group.topics.len());
        for topic in &group.topics {
            encoder.unsigned(places[&topic.topic]);
            write_offsets(&mut encoder, topic, base);
        }
    }
}

/// Reads the state back.
pub(super) fn read(bytes: &[u8]) -> Result<Offsets, Damage> {
    let mut decoder = Decoder::new(bytes);
    match decoder.byte()? {
        VERSION => {}
        found => return Err(Damage::new(format!("snapshot has version {found}, not {VERSION}"))),
    }
    let base = Timestamp::from_ms(decoder.signed()?);
    let count = decoder.count()?;
    let topics = (0..count).map(|_| read_topic(&mut decoder)).collect::<Result<Vec<_>, _>>()?;
    let count = decoder.count()?;
    let mut groups = HashMap::with_capacity(count);
    for _ in 0..count {
        let name = decoder.text()?;
        let record = if decoder.flag()? { Some(read_record(&mut decoder, name)?) } else { None };
        let count = decoder.count()?;
        let topics = (0..count)
            .map(|_| read_offsets(&mut decoder, &topics, base))
            .collect::<Result<Vec<_>, _>>()?;
        if !topics.is_sorted_by(|left, right| left.topic < right.topic) {
            return Err(Damage::new(format!("topics of group {name:?} are out of order")));
        }
        groups.insert(Arc::from(name), Group { record, topics });
    }
    decoder.finish()?;
    Ok(Offsets { groups })
}

/// Commits lie close together, so the first is what the others count from.
fn base_time(offsets: &Offsets) -> Timestamp {
    let topics = offsets.groups.values().flat_map(|group| &group.topics);
    let times = topics.flat_map(|topic| &topic.offsets).map(|(_, offset)| offset.committed_at);
    times.min().unwrap_or_default()
}

fn write_offsets(encoder: &mut Encoder<'_>, topic: &TopicOffsets, base: Timestamp) {
    encoder.count(topic.offsets.len());
    for (index, committed) in &topic.offsets {
        let CommittedOffset { offset, leader_epoch, metadata, committed_at } = committed;
        put_fields(encoder, *index, *offset, *leader_epoch, metadata);
        encoder.signed(committed_at.as_ms().wrapping_sub(base.as_ms()));
    }
}

fn read_offsets(
    decoder: &mut Decoder<'_>,
    topics: &[TopicName],
    base: Timestamp,
) -> Result<TopicOffsets, Damage> {
    let place = decoder.unsigned()?;
    let topic = usize::try_from(place).ok().and_then(|place| topics.get(place));
    let topic = topic.ok_or_else(|| Damage::new(format!("there is no topic {place}")))?.clone();
    let count = decoder.count()?;
    if count == 0 {
        return Err(Damage::new("a topic without offsets is kept"));
    }
    let mut offsets = Vec::with_capacity(count);
    for _ in 0..count {
        let Kept { index, offset, leader_epoch, metadata } = read_kept(decoder)?;
        let committed_at = Timestamp::from_ms(base.as_ms().wrapping_add(decoder.signed()?));
        offsets.push((index, CommittedOffset { offset, leader_epoch, metadata, committed_at }));
    }
    if !offsets.is_sorted_by(|(left, _), (right, _)| left < right) {
        return Err(Damage::new(format!("offsets in topic {topic} are out of order")));
    }
    Ok(TopicOffsets { topic, offsets })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::command::tests::commands;
    use super::*;
    use crate::state::StateMachine;

    proptest! {
        #[test]
        fn any_state_reads_back_as_written(history in prop::collection::vec(commands(), 0..30)) {
            let mut live = Offsets::default();
            history.into_iter().for_each(|command| live.apply(command));
            let mut bytes = Vec::new();
            live.snapshot(&mut bytes);
            prop_assert_eq!(Offsets::restore(&bytes).unwrap(), live);
            for len in 0..bytes.len() {
                prop_assert!(Offsets::restore(&bytes[..len]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Offsets::restore(&[&[VERSION][..], &bytes].concat());
        }
    }
}
