//! Finding a queue on behalf of a principal: the one authorisation point of every queue call.

use std::sync::Arc;

use bytes::Bytes;
use posthouse_types::Principal;

use crate::queues::limits::NAME_BYTES_MAX;
use crate::queues::machine::{QueueKey, QueueNumber, Queues};
use crate::queues::{QueueError, QueueRef, QueueShard};
use crate::topics::OpenTopic;
use crate::{Broker, Operation, Resource};

/// Where a queue is, whether it exists or not.
pub(super) struct Place<'a> {
    pub(super) open: Arc<OpenTopic>,
    pub(super) key: QueueKey,
    pub(super) shard: &'a Arc<QueueShard>,
}

impl Broker {
    /// Finds the place of a queue.
    pub(super) fn queue_place(
        &self,
        principal: &Principal,
        operation: Operation,
        queue: &QueueRef,
    ) -> Result<Place<'_>, QueueError> {
        check_name("the group's name", &queue.group)?;
        // Whoever takes from a queue reads its topic, whatever else is done to the queue.
        let on_topic = match operation {
            Operation::Describe => Operation::Describe,
            _ => Operation::Read,
        };
        let open = self.find_topic(principal, on_topic, &queue.topic)?;
        let resource = Resource::Queue { topic: &open.topic.name, group: &queue.group };
        self.authorize(principal, operation, resource)?;
        let key = QueueKey { topic: open.topic.id, group: queue.group.clone() };
        let shard = self.queue_shard(&key);
        Ok(Place { open, key, shard })
    }

    fn queue_shard(&self, key: &QueueKey) -> &Arc<QueueShard> {
        let shards = self.queue_shards();
        let count = u32::try_from(shards.len()).expect("there are a handful of shards");
        let hash = crc32c::crc32c_append(crc32c::crc32c(key.topic.0.as_bytes()), &key.group);
        &shards[usize::try_from(hash % count).expect("an index fits")]
    }
}

impl Place<'_> {
    /// The queue's number, under the shard's lock.
    pub(super) fn number(&self, queues: &Queues) -> Result<QueueNumber, QueueError> {
        queues.find(&self.key).ok_or_else(|| self.not_found())
    }

    pub(super) fn not_found(&self) -> QueueError {
        QueueError::NotFound { topic: self.open.topic.name.clone(), group: text(&self.key.group) }
    }

    pub(super) fn exists(&self) -> QueueError {
        QueueError::Exists { topic: self.open.topic.name.clone(), group: text(&self.key.group) }
    }

    pub(super) fn unknown_owner(&self, owner: &Bytes) -> QueueError {
        QueueError::UnknownOwner {
            topic: self.open.topic.name.clone(),
            group: text(&self.key.group),
            owner: text(owner),
        }
    }
}

/// Refuses a name that is empty or too long.
pub(super) fn check_name(what: &'static str, name: &Bytes) -> Result<(), QueueError> {
    if (1..=NAME_BYTES_MAX).contains(&name.len()) {
        return Ok(());
    }
    Err(QueueError::Name { what, len: name.len(), max: NAME_BYTES_MAX })
}

fn text(name: &Bytes) -> String {
    String::from_utf8_lossy(name).into_owned()
}
