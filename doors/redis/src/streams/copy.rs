//! A stream again under another name, with its groups and what they are owed (`COPY`).

use std::collections::BTreeSet;

use bytes::Bytes;
use posthouse_broker::{
    DeliveryCount, PendingQuery, PendingState, QueueRef, QueueStart, RecordId, TopicRef, Transfer,
};
use posthouse_keyspace::{DatabaseIndex, ExpireCondition, TimeToLive};
use posthouse_types::{Offset, PartitionIndex, Timestamp};

use super::{Stream, StreamId};
use crate::access::Asker;
use crate::errors::CommandError;

/// Entries read and written at a time.
const ENTRIES_PER_STEP: usize = 500;

/// A key that a stream is copied from, or to.
#[derive(Clone, Debug)]
pub(crate) struct StreamKey {
    pub(crate) db: DatabaseIndex,
    pub(crate) key: Bytes,
}

/// Copies a stream; `false` when there is none, or when the other key is there and is not replaced.
///
/// The copy is of one moment only if nobody writes meanwhile.
pub(crate) async fn copy_stream(
    server: &Asker,
    from: &StreamKey,
    to: &StreamKey,
    replaces: bool,
) -> Result<bool, CommandError> {
    let Some(source) = server.followed(from.db, &from.key).await? else { return Ok(false) };
    let topic = server.create_stream_topic(to.db, &to.key).await?;
    let copied = copy_into(server, &source, topic.id).await;
    let held = match &copied {
        Ok(()) => hold(server, from, to, topic.id, replaces).await?,
        Err(_) => false,
    };
    if !held {
        server.delete_topic(topic.id).await?;
    }
    copied.map(|()| held)
}

async fn copy_into(
    server: &Asker,
    source: &Stream,
    id: posthouse_types::TopicId,
) -> Result<(), CommandError> {
    let target = server.open_stream(id).await?.ok_or(CommandError::NoSuchKey)?;
    let groups = Groups::read(server, source).await?;
    let there = source.ids(StreamId::MIN..=StreamId::MAX, usize::MAX, false);
    // What a group is owed may have been removed; its place is needed all the same.
    let mut ids: BTreeSet<StreamId> = there.iter().copied().collect();
    ids.extend(groups.owed());
    let gone: Vec<StreamId> =
        ids.iter().filter(|id| there.binary_search(id).is_err()).copied().collect();
    let ids: Vec<StreamId> = ids.into_iter().collect();
    for step in ids.chunks(ENTRIES_PER_STEP) {
        let entries = source.read(step).await?;
        target.restate(server, &entries)?.durable().await?;
    }
    target.follow().await?;
    target.delete(server, &gone)?;
    let summary = source.summary();
    target
        .set_id(server, summary.last, Some(summary.added), Some(summary.deleted))?
        .durable()
        .await?;
    target.follow().await?;
    groups.write(server, &target).await
}

/// Makes the key hold the copy, with the expiry of the other.
async fn hold(
    server: &Asker,
    from: &StreamKey,
    to: &StreamKey,
    id: posthouse_types::TopicId,
    replaces: bool,
) -> Result<bool, CommandError> {
    let lives = server.keys.with(|keys| {
        if replaces {
            keys.database(to.db).delete(&to.key);
        }
        keys.database(from.db).time_to_live(&from.key)
    });
    let held = server.hold(to.db, &to.key, id).await?;
    if let TimeToLive::Until(at) = lives
        && held
    {
        server
            .keys
            .with(|keys| keys.database(to.db).expire(&to.key, at, ExpireCondition::default()));
    }
    Ok(held)
}

/// The groups of a stream.
struct Groups(Vec<Group>);

struct Group {
    name: Bytes,
    config: posthouse_broker::QueueConfig,
    /// The first entry that nobody was given; `None` when all were.
    next: Option<StreamId>,
    owners: Vec<Bytes>,
    owed: Vec<Owed>,
    /// Entries read, as far as that is known.
    read: Option<u64>,
}

struct Owed {
    id: StreamId,
    owner: Bytes,
    since: Timestamp,
    deliveries: u32,
}

impl Groups {
    async fn read(server: &Asker, stream: &Stream) -> Result<Groups, CommandError> {
        let (broker, principal) = (&server.broker, &server.principal);
        let mut groups = Vec::new();
        for summary in broker.queue_list(principal, Some(&stream.topic)).await? {
            let queue = QueueRef::new(stream.topic.clone(), summary.group.clone());
            let described = broker.queue_describe(principal, &queue).await?;
            let next = described.partitions.first().map_or(Offset::ZERO, |first| first.next);
            let owners = broker.queue_owners(principal, &queue).await?;
            let now = broker.clock().wall();
            let pending = broker.queue_pending(principal, &queue, &PendingQuery::default()).await?;
            let owed = pending.into_iter().filter_map(|pending| match pending.state {
                PendingState::Acquired { owner, .. } => {
                    let idle = i64::try_from(pending.idle.as_millis()).unwrap_or(i64::MAX);
                    Some(Owed {
                        id: stream.id_of(pending.id.offset),
                        owner,
                        since: Timestamp::from_ms(now.as_ms().saturating_sub(idle)),
                        deliveries: pending.delivery_count,
                    })
                }
                PendingState::Available | PendingState::Rejected => None,
            });
            let (read, _) = stream.progress(&summary.group, stream.last_below(next));
            groups.push(Group {
                read,
                name: summary.group,
                config: described.config,
                next: stream.first_from(next),
                owners: owners.into_iter().map(|owner| owner.owner).collect(),
                owed: owed.collect(),
            });
        }
        Ok(Groups(groups))
    }

    /// What consumers were given and have not acknowledged.
    fn owed(&self) -> impl Iterator<Item = StreamId> {
        self.0.iter().flat_map(|group| group.owed.iter().map(|owed| owed.id))
    }

    async fn write(self, server: &Asker, stream: &Stream) -> Result<(), CommandError> {
        let (broker, principal) = (&server.broker, &server.principal);
        for group in self.0 {
            let topic: TopicRef = stream.topic.clone();
            let queue = QueueRef::new(topic, group.name);
            let next = match group.next {
                Some(id) => stream.offset(id),
                None => Some(stream.offset_after(StreamId::MAX)),
            };
            let start = QueueStart::Offset(next.unwrap_or(Offset::ZERO));
            broker.queue_create(principal, &queue, start, group.config).await?;
            stream.set_progress(&queue.group, group.read);
            for owner in &group.owners {
                broker.queue_owner_create(principal, &queue, owner).await?;
            }
            for owed in group.owed {
                let Some(offset) = stream.offset(owed.id) else { continue };
                let record = RecordId { partition: PartitionIndex::ZERO, offset };
                let mut transfer = Transfer::new(vec![record], owed.owner);
                transfer.delivered_at = Some(owed.since);
                transfer.deliveries = DeliveryCount::Set(owed.deliveries);
                transfer.force = true;
                broker.queue_transfer(principal, &queue, &transfer).await?;
            }
        }
        Ok(())
    }
}
