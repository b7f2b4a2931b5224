//! The owners of a queue.

use bytes::Bytes;
use posthouse_types::Principal;

use super::place::check_name;
use super::settle::durable;
use crate::queues::limits::OWNERS_MAX;
use crate::queues::machine::QueuesCommand;
use crate::queues::{OwnerRemoval, QueueError, QueueOwner, QueueRef};
use crate::{Broker, Operation, metrics};

impl Broker {
    /// Everyone who has asked a queue for records, by name.
    ///
    /// # Errors
    /// [`QueueError::NotFound`] when there is no such queue.
    pub async fn queue_owners(
        &self,
        principal: &Principal,
        queue: &QueueRef,
    ) -> Result<Vec<QueueOwner>, QueueError> {
        let place = self.queue_place(principal, Operation::Describe, queue)?;
        let (number, mut owners) = place.shard.look(|queues, _| {
            let number = place.number(queues)?;
            Ok::<_, QueueError>((number, queues.owners(number)))
        })?;
        for owner in &mut owners {
            let heard = place.shard.last_heard(number, &owner.owner);
            owner.seen = heard.map_or(owner.seen, |heard| heard.max(owner.seen));
        }
        Ok(owners)
    }

    /// Makes an owner known before it asks for anything; `false` when it is already. Durable.
    ///
    /// # Errors
    /// [`QueueError::Limit`] when there are too many, each of which holds something.
    pub async fn queue_owner_create(
        &self,
        principal: &Principal,
        queue: &QueueRef,
        owner: &Bytes,
    ) -> Result<bool, QueueError> {
        check_name("the owner's name", owner)?;
        let place = self.queue_place(principal, Operation::Read, queue)?;
        let (new, ticket) = place.shard.change(|queues, now| {
            let commands = queues.welcome(place.number(queues)?, owner, now).ok_or_else(|| {
                metrics::queue_owner_refused();
                QueueError::Limit { what: "owners that hold records", max: OWNERS_MAX }
            })?;
            let new = !commands.is_empty();
            Ok::<_, QueueError>((commands, new))
        })?;
        durable(ticket).await?;
        Ok(new)
    }

    /// Forgets an owner; gives how many records it held, which are released or discarded. Durable.
    ///
    /// # Errors
    /// [`QueueError::UnknownOwner`] when it is not known.
    pub async fn queue_owner_delete(
        &self,
        principal: &Principal,
        queue: &QueueRef,
        owner: &Bytes,
        removal: OwnerRemoval,
    ) -> Result<usize, QueueError> {
        let place = self.queue_place(principal, Operation::Read, queue)?;
        let (held, ticket) = place.shard.change(|queues, _| {
            let number = place.number(queues)?;
            let known = queues.queue(number).and_then(|queue| queue.owners.get(owner));
            let held = known.ok_or_else(|| place.unknown_owner(owner))?.holds.len();
            let discard = removal == OwnerRemoval::Discard;
            let owner = owner.clone();
            let command = QueuesCommand::OwnerRemoved { number, owner, discard };
            Ok::<_, QueueError>((vec![command], held))
        })?;
        durable(ticket).await?;
        Ok(held)
    }
}
