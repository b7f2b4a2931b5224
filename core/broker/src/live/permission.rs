//! Who may listen and who may publish: the authorisation point of channels.
//!
//! A channel that is a topic is the topic's to allow; any other is the channel's own. A pattern needs
//! every channel that it may match, and follows of the topics those that may be read.

use std::sync::Arc;

use posthouse_types::Principal;

use super::routes::Subscription;
use super::{Glob, Pattern, SubscriberEnded};
use crate::{Broker, Denied, Operation, Resource};

impl Broker {
    /// Whether it may listen to what a pattern matches.
    pub(super) fn authorize_listening(
        &self,
        principal: &Principal,
        pattern: &Pattern,
    ) -> Result<(), Denied> {
        self.with_resource_of(pattern, |resource| {
            self.authorize(principal, Operation::Read, resource)
        })
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
    pub(super) fn may_follow(
        &self,
        subscription: &Arc<Subscription>,
        topic: &posthouse_types::TopicName,
    ) -> bool {
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
