//! Who may listen and who may publish: the authorisation point of channels.
//!
//! A channel that is a topic is the topic's to allow; any other is the channel's own. A pattern needs
//! every channel that it may match, and follows of the topics those that may be read.

use std::sync::Arc;

use posthouse_types::{Principal, TopicName};

use super::routes::Subscription;
use super::{Glob, Pattern, SubscriberEnded};
use crate::{Broker, Denied, Operation, Resource};

impl Broker {
    /// Whether it may listen to what a pattern matches.
    ///
    /// A refusal speaks of a channel in either case: it must not tell which of them are topics.
    pub(super) fn authorize_listening(
        &self,
        principal: &Principal,
        pattern: &Pattern,
    ) -> Result<(), Denied> {
        let may = self
            .with_resource_of(pattern, |resource| self.shows(principal, Operation::Read, resource));
        match pattern {
            _ if may => Ok(()),
            Pattern::Exact(name) => {
                self.refuse(principal, Operation::Read, Resource::Channel(name))
            }
            _ => self.with_resource_of(pattern, |resource| {
                self.refuse(principal, Operation::Read, resource)
            }),
        }
    }

    /// Whether it may publish on a channel that is this topic, if it is one.
    pub(super) fn authorize_publishing(
        &self,
        principal: &Principal,
        channel: &[u8],
        topic: Option<&TopicName>,
    ) -> Result<(), Denied> {
        let resource = topic.map_or(Resource::Channel(channel), Resource::Topic);
        if self.shows(principal, Operation::Write, resource) {
            return Ok(());
        }
        self.refuse(principal, Operation::Write, Resource::Channel(channel))
    }

    fn refuse(
        &self,
        principal: &Principal,
        operation: Operation,
        resource: Resource<'_>,
    ) -> Result<(), Denied> {
        Err(self.gate().deny(principal, operation, &resource.to_string()))
    }

    /// Ends subscribers that listen to what they may not any more, after permissions have changed:
    /// every other call asks each time, and a subscription has asked once.
    pub(crate) fn end_refused_subscriptions(&self) {
        if !self.gate().is_required() {
            return;
        }
        for subscription in self.channels().all() {
            let may = self.with_resource_of(subscription.pattern(), |resource| {
                self.gate().shows(subscription.principal(), Operation::Read, resource)
            });
            if !may {
                subscription.inbox().end(SubscriberEnded::Denied);
            }
        }
        self.unfollow_refused();
    }

    /// Whether a subscription may follow a topic.
    pub(super) fn may_follow(&self, subscription: &Arc<Subscription>, topic: &TopicName) -> bool {
        self.gate().shows(subscription.principal(), Operation::Read, Resource::Topic(topic))
    }

    fn with_resource_of<T>(&self, pattern: &Pattern, ask: impl FnOnce(Resource<'_>) -> T) -> T {
        match pattern {
            Pattern::Exact(name) => match self.topic_table().find_bytes(name) {
                Some(open) => ask(Resource::Topic(&open.topic.name)),
                None => ask(Resource::Channel(name)),
            },
            Pattern::Prefix(prefix) => ask(Resource::Channels { prefix }),
            Pattern::Glob(glob) => {
                ask(Resource::Channels { prefix: &Glob::new(glob).literal_prefix() })
            }
        }
    }
}
