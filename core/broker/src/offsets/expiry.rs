//! Which committed offsets nobody will ask for again.

use std::time::Duration;

use posthouse_types::Timestamp;

use super::command::OffsetsCommand;
use super::machine::{Group, Offsets};
use crate::groups::OffsetExpiry;

impl Offsets {
    /// The commands that forget every offset past `retention`, which counts from what `rule` says
    /// for each group.
    pub(crate) fn expired(
        &self,
        now: Timestamp,
        retention: Duration,
        rule: impl Fn(&str) -> OffsetExpiry,
    ) -> Vec<OffsetsCommand> {
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let latest = Timestamp::from_ms(now.as_ms().saturating_sub(retention_ms));
        let of_group = |(name, group): (&std::sync::Arc<str>, &Group)| {
            if group.topics.is_empty() {
                return None;
            }
            group.expired(name, latest, rule(name))
        };
        self.groups.iter().filter_map(of_group).collect()
    }
}

impl Group {
    fn expired(&self, name: &str, latest: Timestamp, rule: OffsetExpiry) -> Option<OffsetsCommand> {
        let except = match rule {
            OffsetExpiry::Never => return None,
            OffsetExpiry::AfterEmpty { since } if since > latest => return None,
            OffsetExpiry::AfterEmpty { .. } => {
                return Some(OffsetsCommand::GroupForgotten { group: name.to_owned() });
            }
            OffsetExpiry::AfterCommit { except } => except,
        };
        let mut topics = Vec::new();
        for topic in self.topics.iter().filter(|topic| !except.includes(&topic.topic)) {
            let old = topic.offsets.iter().filter(|(_, offset)| offset.committed_at <= latest);
            let old: Vec<_> = old.map(|(index, _)| *index).collect();
            if !old.is_empty() {
                topics.push((topic.topic.clone(), old));
            }
        }
        (!topics.is_empty()).then(|| OffsetsCommand::Forgotten { group: name.to_owned(), topics })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use posthouse_types::{Offset, PartitionIndex, TopicName};

    use super::super::command::Kept;
    use super::*;
    use crate::groups::SubscribedTopics;
    use crate::state::StateMachine;

    const RETENTION: Duration = Duration::from_millis(100);

    fn topic(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    /// One group with an offset in `old`, committed at 1000, and one in `new`, committed at 1050.
    fn offsets() -> Offsets {
        let mut offsets = Offsets::default();
        for (name, at) in [("old", 1000), ("new", 1050)] {
            let kept = Kept {
                index: PartitionIndex::ZERO,
                offset: Offset::ZERO,
                leader_epoch: None,
                metadata: String::new(),
            };
            offsets.apply(OffsetsCommand::Committed {
                group: "g".to_owned(),
                at: Timestamp::from_ms(at),
                topics: vec![(topic(name), vec![kept])],
            });
        }
        offsets
    }

    /// The topics that still have an offset.
    fn left(now_ms: i64, rule: &OffsetExpiry) -> Vec<String> {
        let mut offsets = offsets();
        let expired = offsets.expired(Timestamp::from_ms(now_ms), RETENTION, |_| rule.clone());
        expired.into_iter().for_each(|command| offsets.apply(command));
        offsets.topics().into_iter().map(TopicName::to_string).collect()
    }

    fn after_commit(except: &[&str]) -> OffsetExpiry {
        let except = except.iter().map(|name| topic(name)).collect::<BTreeSet<_>>();
        OffsetExpiry::AfterCommit { except: SubscribedTopics::Known(except) }
    }

    #[test]
    fn offsets_in_use_never_expire() {
        assert_eq!(left(i64::MAX, &OffsetExpiry::Never), ["new", "old"]);
    }

    #[test]
    fn each_offset_expires_by_its_own_commit() {
        assert_eq!(left(1099, &after_commit(&[])), ["new", "old"]);
        assert_eq!(left(1100, &after_commit(&[])), ["new"]);
        assert_eq!(left(1150, &after_commit(&[])), Vec::<String>::new());
    }

    #[test]
    fn topics_subscribed_to_are_spared() {
        assert_eq!(left(1150, &after_commit(&["old"])), ["old"]);
    }

    #[test]
    fn an_empty_group_expires_whole() {
        let rule = OffsetExpiry::AfterEmpty { since: Timestamp::from_ms(2000) };
        assert_eq!(left(2099, &rule), ["new", "old"]);
        assert_eq!(left(2100, &rule), Vec::<String>::new());
    }
}
