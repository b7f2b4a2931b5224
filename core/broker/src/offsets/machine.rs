//! The state.
//!
//! Kept in sorted vectors rather than maps: most groups have few topics, and a million offsets
//! should fit in tens of megabytes and be read back in a fraction of a second.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use posthouse_types::{PartitionIndex, Timestamp, TopicName};

use super::command::{Kept, OffsetsCommand};
use crate::CommittedOffset;
use crate::state::{Damage, StateMachine};

/// Everything that the groups of one partition keep.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Offsets {
    pub(super) groups: HashMap<Arc<str>, Group>,
}

/// What one group keeps.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Group {
    pub(super) record: Option<Bytes>,
    /// By name; none is empty.
    pub(super) topics: Vec<TopicOffsets>,
}

/// A group's offsets in one topic.
#[derive(Debug, PartialEq)]
pub(super) struct TopicOffsets {
    pub(super) topic: TopicName,
    /// By index.
    pub(super) offsets: Vec<(PartitionIndex, CommittedOffset)>,
}

impl Offsets {
    /// A group's offset in one partition.
    pub(crate) fn committed(
        &self,
        group: &str,
        topic: &TopicName,
        index: PartitionIndex,
    ) -> Option<&CommittedOffset> {
        let topics = &self.groups.get(group)?.topics;
        let at = topics.binary_search_by(|entry| entry.topic.cmp(topic)).ok()?;
        let offsets = &topics[at].offsets;
        let at = offsets.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        Some(&offsets[at].1)
    }

    /// All of a group's offsets, in order.
    pub(crate) fn all_committed(
        &self,
        group: &str,
    ) -> impl Iterator<Item = (&TopicName, PartitionIndex, &CommittedOffset)> {
        let topics = self.groups.get(group).map_or(&[][..], |group| &group.topics);
        topics.iter().flat_map(|topic| {
            topic.offsets.iter().map(|(index, offset)| (&topic.topic, *index, offset))
        })
    }

    /// Whether a group has any offset.
    pub(crate) fn has_offsets(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|group| !group.topics.is_empty())
    }

    /// Every group, with its record if it has one.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&str, Option<&Bytes>)> {
        self.groups.iter().map(|(name, group)| (name.as_ref(), group.record.as_ref()))
    }

    /// The topics in which any group has an offset, each once.
    pub(crate) fn topics(&self) -> std::collections::BTreeSet<&TopicName> {
        self.groups.values().flat_map(|group| &group.topics).map(|topic| &topic.topic).collect()
    }

    fn group(&mut self, name: String) -> &mut Group {
        self.groups.entry(Arc::from(name)).or_default()
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Group)) {
        if let Some(group) = self.groups.get_mut(name) {
            change(group);
            if group.is_blank() {
                self.groups.remove(name);
            }
        }
    }
}

impl Group {
    fn is_blank(&self) -> bool {
        self.record.is_none() && self.topics.is_empty()
    }

    fn commit(&mut self, topic: TopicName, at: Timestamp, kept: Vec<Kept>) {
        if kept.is_empty() {
            return;
        }
        let place = match self.topics.binary_search_by(|entry| entry.topic.cmp(&topic)) {
            Ok(place) => place,
            Err(place) => {
                self.topics.insert(place, TopicOffsets { topic, offsets: Vec::new() });
                place
            }
        };
        let offsets = &mut self.topics[place].offsets;
        for Kept { index, offset, leader_epoch, metadata } in kept {
            let committed = CommittedOffset { offset, leader_epoch, metadata, committed_at: at };
            match offsets.binary_search_by_key(&index, |(index, _)| *index) {
                Ok(place) => offsets[place].1 = committed,
                Err(place) => offsets.insert(place, (index, committed)),
            }
        }
    }

    fn forget(&mut self, topic: &TopicName, gone: &[PartitionIndex]) {
        let Ok(place) = self.topics.binary_search_by(|entry| entry.topic.cmp(topic)) else {
            return;
        };
        let offsets = &mut self.topics[place].offsets;
        for index in gone {
            if let Ok(place) = offsets.binary_search_by_key(index, |(index, _)| *index) {
                offsets.remove(place);
            }
        }
        if offsets.is_empty() {
            self.topics.remove(place);
        }
    }
}

impl StateMachine for Offsets {
    type Command = OffsetsCommand;
    type Effect = ();

    fn encode(command: &OffsetsCommand, out: &mut Vec<u8>) {
        command.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<OffsetsCommand, Damage> {
        OffsetsCommand::decode(bytes)
    }

    fn apply(&mut self, command: OffsetsCommand) {
        match command {
            OffsetsCommand::Committed { group, at, topics } => {
                if topics.iter().all(|(_, kept)| kept.is_empty()) {
                    return;
                }
                let group = self.group(group);
                for (topic, kept) in topics {
                    group.commit(topic, at, kept);
                }
            }
            OffsetsCommand::Forgotten { group, topics } => self.change(&group, |group| {
                for (topic, gone) in &topics {
                    group.forget(topic, gone);
                }
            }),
            OffsetsCommand::GroupForgotten { group } => {
                self.change(&group, |group| group.topics.clear());
            }
            OffsetsCommand::TopicForgotten { topic } => self.groups.retain(|_, group| {
                group.topics.retain(|entry| entry.topic != topic);
                !group.is_blank()
            }),
            OffsetsCommand::RecordPut { group, record } => self.group(group).record = Some(record),
            OffsetsCommand::RecordDeleted { group } => {
                self.change(&group, |group| group.record = None);
            }
        }
    }

    fn snapshot(&self, out: &mut Vec<u8>) {
        super::snapshot::write(self, out);
    }

    fn restore(bytes: &[u8]) -> Result<Offsets, Damage> {
        super::snapshot::read(bytes)
    }
}
