//! Offsets, as far as the group decides: who may commit them, who may delete them, when they expire.

use std::collections::BTreeSet;

use posthouse_types::{Timestamp, TopicName};

use super::group::{Group, Phase};
use super::output::Context;
use super::subscription::subscribed_topics;
use crate::{DeleteGroupError, GroupError};

/// The protocol type of consumers, whose metadata says what they subscribe to.
const CONSUMER: &str = "consumer";

/// When a group's committed offsets expire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OffsetExpiry {
    /// Not now: members use them, or may.
    Never,
    /// The retention counts from each offset's commit, except for topics subscribed to.
    AfterCommit {
        /// Topics whose offsets stay.
        except: SubscribedTopics,
    },
    /// The retention counts from when the group lost its last member.
    AfterEmpty {
        /// When that was.
        since: Timestamp,
    },
}

/// What a group's members subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SubscribedTopics {
    /// These.
    Known(BTreeSet<TopicName>),
    /// A member did not say it in a way that can be read: perhaps all.
    Unknown,
}

impl SubscribedTopics {
    /// A topic is, or may be, among them.
    pub(crate) fn includes(&self, topic: &TopicName) -> bool {
        match self {
            SubscribedTopics::Known(topics) => topics.contains(topic),
            SubscribedTopics::Unknown => true,
        }
    }
}

impl Group {
    /// Whether a commit may be kept. Shows that the member is alive.
    ///
    /// A member may still commit while the group gathers for the next rebalance, with the
    /// generation that ends; between its join and its assignment it may not.
    pub(super) fn check_commit(
        &mut self,
        cx: &Context<'_>,
        generation: i32,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        let is_empty = matches!(self.phase, Phase::Empty);
        if generation < 0 && is_empty {
            self.is_simple = true;
            return Ok(());
        }
        if generation < 0 && member_id.is_empty() && instance_id.is_none() {
            let (group, member) = (self.name.to_string(), String::new());
            return Err(GroupError::UnknownMember { group, member });
        }
        self.members.check(&self.name, member_id, instance_id)?;
        self.check_generation(generation)?;
        if matches!(self.phase, Phase::Completing(_)) {
            return Err(GroupError::Rebalancing(self.name.to_string()));
        }
        self.refresh_session(cx, member_id);
        Ok(())
    }

    /// The topics whose offsets may not be deleted.
    pub(super) fn check_offset_deletion(&self) -> Result<SubscribedTopics, DeleteGroupError> {
        if self.members.is_empty() || self.is_consumer() {
            return Ok(self.subscribed_topics());
        }
        Err(DeleteGroupError::NotEmpty(self.name.to_string()))
    }

    pub(super) fn offset_expiry(&self) -> OffsetExpiry {
        match (&self.protocol_type, &self.phase) {
            (None, _) => OffsetExpiry::AfterCommit { except: self.subscribed_topics() },
            (Some(_), Phase::Empty) => OffsetExpiry::AfterEmpty { since: self.since },
            (Some(_), Phase::Stable(_)) if self.is_consumer() => match self.subscribed_topics() {
                SubscribedTopics::Unknown => OffsetExpiry::Never,
                except => OffsetExpiry::AfterCommit { except },
            },
            (Some(_), _) => OffsetExpiry::Never,
        }
    }

    fn is_consumer(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// By the assignor agreed on last; a member that does not offer it says nothing readable.
    fn subscribed_topics(&self) -> SubscribedTopics {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let topics =
            self.members.iter().map(|member| subscribed_topics(&member.metadata(protocol)));
        match topics.collect::<Option<Vec<_>>>() {
            Some(sets) => SubscribedTopics::Known(sets.into_iter().flatten().collect()),
            None => SubscribedTopics::Unknown,
        }
    }
}
