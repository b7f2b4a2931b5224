//! Channels that are topics: which subscriptions follow which partitions.
//!
//! # Invariants
//! - A subscription follows a partition once. Subscribing and the coming of a topic both look for
//!   matches, under one lock, and the first to find one decides where it begins: a topic that comes
//!   after the subscription is read from its first record.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use posthouse_log::{Log, ReadError};
use posthouse_types::{Offset, PartitionIndex, TopicId};
use tokio_util::sync::CancellationToken;

use super::feed::Feed;
use super::routes::Subscription;
use super::{Glob, Pattern, SubscribeFrom};
use crate::topics::OpenTopic;
use crate::{Broker, LookupError, TopicRef};

/// The topics that are followed.
#[derive(Default)]
pub(super) struct Feeds(Mutex<HashMap<TopicId, TopicFeeds>>);

struct TopicFeeds {
    life: CancellationToken,
    partitions: HashMap<PartitionIndex, Followed>,
}

/// A partition that is followed.
#[derive(Default)]
struct Followed {
    /// None until the partition is open.
    feed: Option<Arc<Feed>>,
    /// By address, which is their own for as long as they are held here.
    followers: HashMap<usize, Arc<Subscription>>,
}

impl Broker {
    /// Has a new subscription follow the topics that it matches.
    pub(super) fn follow_matching(&self, subscription: &Arc<Subscription>) {
        if let Pattern::Exact(channel) = subscription.pattern() {
            if let Some(open) = self.topic_table().find_bytes(channel) {
                self.follow(&open, &[Arc::clone(subscription)], None);
            }
            return;
        }
        let glob = match subscription.pattern() {
            Pattern::Glob(bytes) => Some(Glob::new(bytes)),
            Pattern::Exact(_) | Pattern::Prefix(_) => None,
        };
        for open in self.topic_table().all() {
            let name = open.topic.name.as_bytes();
            let matches = match &glob {
                Some(glob) => glob.matches(name),
                None => name.starts_with(subscription.pattern().as_bytes()),
            };
            if matches {
                self.follow(&open, &[Arc::clone(subscription)], None);
            }
        }
    }

    /// A topic has new partitions, or is new as a whole: whoever matches its name reads them from
    /// their first record.
    pub(crate) fn partitions_appeared(&self, open: &OpenTopic, first_new: u32) {
        if first_new == open.topic.partitions {
            return;
        }
        let matching = self.channels().matching(open.topic.name.as_bytes());
        if !matching.is_empty() {
            self.follow(open, &matching, Some(first_new));
        }
    }

    /// A topic is gone: its name is a channel like any other.
    pub(crate) fn topic_disappeared(&self, topic: TopicId) {
        if let Some(feeds) = self.channels().feeds().0.lock().remove(&topic) {
            feeds.life.cancel();
        }
    }

    /// `first_new` says that the partitions from there on did not exist before.
    fn follow(
        &self,
        open: &OpenTopic,
        subscriptions: &[Arc<Subscription>],
        first_new: Option<u32>,
    ) {
        if open.topic.internal {
            return;
        }
        let name = &open.topic.name;
        let allowed = |one: &&Arc<Subscription>| self.may_follow(one, name);
        let mut feeds = self.channels().feeds().0.lock();
        let topic = feeds.entry(open.topic.id).or_insert_with(|| TopicFeeds {
            life: self.stopping().child_token(),
            partitions: HashMap::new(),
        });
        for index in (first_new.unwrap_or(0)..open.topic.partitions).map(PartitionIndex::new) {
            let life = topic.life.clone();
            let followed = topic.partitions.entry(index).or_default();
            for subscription in subscriptions.iter().filter(allowed) {
                if !followed.add(subscription) {
                    continue;
                }
                match self.feed(open, index, &mut followed.feed, &life) {
                    Some(feed) => self.begin(feed, subscription, first_new.is_some()),
                    None => self.begin_when_open(open.topic.id, index, subscription, &life),
                }
            }
        }
    }

    /// The feed of a partition, made now if the partition is open.
    fn feed<'a>(
        &self,
        open: &OpenTopic,
        index: PartitionIndex,
        slot: &'a mut Option<Arc<Feed>>,
        life: &CancellationToken,
    ) -> Option<&'a Arc<Feed>> {
        if slot.is_none() {
            let log = Arc::clone(open.partition(index).ok()?.log());
            let channel = Bytes::copy_from_slice(open.topic.name.as_bytes());
            let (topic, life, tasks) = (open.topic.id, life.clone(), self.tasks().clone());
            *slot = Some(Feed::new(channel, topic, index, log, life, tasks));
        }
        slot.as_ref()
    }

    /// Finds where a subscription begins in a partition, and has it follow from there.
    fn begin(&self, feed: &Arc<Feed>, subscription: &Arc<Subscription>, is_new: bool) {
        let ends = feed.log().ends();
        let next = match subscription.from() {
            _ if is_new => Offset::ZERO,
            SubscribeFrom::Now => ends.last_stable,
            SubscribeFrom::Beginning => ends.log_start,
            SubscribeFrom::Positions(positions) => {
                let index = feed.log().partition().index;
                let named = positions.iter().find(|(named, _)| *named == index);
                named.map_or(ends.log_start, |(_, offset)| *offset)
            }
            SubscribeFrom::Timestamp(at) => {
                let (feed, subscription, at) = (Arc::clone(feed), Arc::clone(subscription), *at);
                let life = feed.life().clone();
                self.tasks().spawn(life.run_until_cancelled_owned(async move {
                    let log = feed.log();
                    match log.offset_for_timestamp(at).await {
                        Ok(found) => {
                            let end = log.ends().last_stable;
                            feed.follow(&subscription, found.map_or(end, |found| found.offset));
                        }
                        Err(error) => not_found(log.as_ref(), &error),
                    }
                }));
                return;
            }
        };
        feed.follow(subscription, next);
    }

    /// Waits in the background for a partition that is still opening.
    fn begin_when_open(
        &self,
        topic: TopicId,
        index: PartitionIndex,
        subscription: &Arc<Subscription>,
        life: &CancellationToken,
    ) {
        let (this, subscription) = (Weak::clone(self.this()), Arc::clone(subscription));
        let mut changes = self.topic_table().watch();
        self.tasks().spawn(life.clone().run_until_cancelled_owned(async move {
            loop {
                changes.mark_unchanged();
                let Some(broker) = this.upgrade() else { return };
                let Ok(open) = broker.topic_table().find(&TopicRef::Id(topic)) else { return };
                match open.partition(index) {
                    Ok(_) => return broker.begin_now(&open, index, &subscription),
                    Err(LookupError::Opening { .. }) => {}
                    Err(_) => return,
                }
                drop(broker);
                if changes.changed().await.is_err() {
                    return;
                }
            }
        }));
    }

    fn begin_now(&self, open: &OpenTopic, index: PartitionIndex, subscription: &Arc<Subscription>) {
        let mut feeds = self.channels().feeds().0.lock();
        let Some(topic) = feeds.get_mut(&open.topic.id) else { return };
        let life = topic.life.clone();
        let followed = topic.partitions.entry(index).or_default();
        if let Some(feed) = self.feed(open, index, &mut followed.feed, &life) {
            self.begin(feed, subscription, false);
        }
    }

    /// Has a subscription that has ended follow nothing any more.
    pub(super) fn unfollow(&self, subscription: &Arc<Subscription>) {
        let mut feeds = self.channels().feeds().0.lock();
        if let Pattern::Exact(channel) = subscription.pattern() {
            let Some(open) = self.topic_table().find_bytes(channel) else { return };
            let unused = feeds.get_mut(&open.topic.id).is_some_and(|topic| {
                topic.unfollow(subscription);
                topic.is_unused()
            });
            if unused {
                feeds.remove(&open.topic.id);
            }
            return;
        }
        feeds.retain(|_, topic| {
            topic.unfollow(subscription);
            !topic.is_unused()
        });
    }
}

impl Broker {
    /// Has subscriptions follow no topic that they may not read.
    pub(super) fn unfollow_refused(&self) {
        let mut feeds = self.channels().feeds().0.lock();
        for (id, topic) in feeds.iter_mut() {
            let Ok(open) = self.topic_table().find(&TopicRef::Id(*id)) else { continue };
            for subscription in topic.followers() {
                if !self.may_follow(&subscription, &open.topic.name) {
                    topic.unfollow(&subscription);
                }
            }
        }
        feeds.retain(|_, topic| !topic.is_unused());
    }
}

impl TopicFeeds {
    fn followers(&self) -> Vec<Arc<Subscription>> {
        let all = self.partitions.values().flat_map(|followed| followed.followers.values());
        all.cloned().collect()
    }

    fn unfollow(&mut self, subscription: &Arc<Subscription>) {
        for followed in self.partitions.values_mut() {
            followed.followers.remove(&Arc::as_ptr(subscription).addr());
            if let Some(feed) = &followed.feed {
                feed.leave(subscription);
            }
        }
    }

    fn is_unused(&self) -> bool {
        self.partitions.values().all(|followed| followed.followers.is_empty())
    }
}

impl Followed {
    /// Notes a follower; false when it is one already, or has ended.
    fn add(&mut self, subscription: &Arc<Subscription>) -> bool {
        let key = Arc::as_ptr(subscription).addr();
        subscription.is_active() && self.followers.insert(key, Arc::clone(subscription)).is_none()
    }
}

fn not_found(log: &dyn Log, error: &ReadError) {
    let error = error as &dyn std::error::Error;
    tracing::error!(partition = %log.partition(), error, "no place found for a live subscriber");
}
