//! Producer ids.
//!
//! # Invariants
//! - An id is given out only after the catalog, durably, has passed it; a restart skips what is
//!   left of the block.

use posthouse_types::{Principal, ProducerEpoch, ProducerId};
use tokio::sync::Mutex;

use crate::catalog::CatalogCommand;
use crate::{AppendFailure, Broker, Operation, ProducerIdError, Resource, ResourceKind};

/// Ids reserved with one write of the catalog.
const BLOCK: i64 = 1000;

/// The reserved ids that are left.
pub(crate) struct ProducerIds(Mutex<Block>);

struct Block {
    next: i64,
    end: i64,
}

impl ProducerIds {
    /// Nothing reserved yet; the next block begins at `next`.
    pub(crate) fn starting_at(next: ProducerId) -> ProducerIds {
        ProducerIds(Mutex::new(Block { next: next.0, end: next.0 }))
    }
}

impl Broker {
    /// A producer id never given out before.
    ///
    /// # Errors
    /// [`ProducerIdError`] when no more ids could be reserved.
    pub async fn init_producer_id(
        &self,
        principal: &Principal,
    ) -> Result<(ProducerId, ProducerEpoch), ProducerIdError> {
        // KIP-679: who may write to any topic may do so idempotently.
        if !self.shows(principal, Operation::IdempotentWrite, Resource::Cluster) {
            self.gate().authorize_any(principal, Operation::Write, ResourceKind::Topic)?;
        }
        let mut block = self.producer_ids().0.lock().await;
        if block.next == block.end {
            let end = block.end.saturating_add(BLOCK);
            self.reserve(ProducerId(end)).await.map_err(ProducerIdError::Storage)?;
            block.end = end;
        }
        let id = ProducerId(block.next);
        block.next += 1;
        Ok((id, ProducerEpoch(0)))
    }

    async fn reserve(&self, next: ProducerId) -> Result<(), AppendFailure> {
        let command = CatalogCommand::ProducerIdsReserved { next };
        let (_, ticket) = self.catalog().lock().commit(command, self.clock().wall())?;
        Ok(ticket.durable().await?)
    }
}
