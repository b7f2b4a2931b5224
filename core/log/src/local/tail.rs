//! The newest batches of every log, kept in memory for readers that keep up.
//!
//! Owns one budget over all logs: what was cached first goes first, whichever log it belongs to.
//!
//! # Invariants
//! - A log's cached batches are consecutive and end at its durable end.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use posthouse_record::Batch;
use posthouse_types::{ByteSize, Offset};

use crate::{Chunk, ReadLimit, metrics};

/// What a cached batch costs beside its bytes: its header, its place in two queues.
const OVERHEAD_BYTES: usize = 256;

/// The newest batches of one log.
#[derive(Debug, Default)]
pub(crate) struct Tail(Mutex<VecDeque<Batch>>);

/// The budget that all tails share.
#[derive(Debug)]
pub(crate) struct TailBudget {
    limit: usize,
    state: Mutex<BudgetState>,
}

#[derive(Debug, Default)]
struct BudgetState {
    used: usize,
    /// Whose batch was cached, oldest first.
    order: VecDeque<(Weak<Tail>, usize)>,
}

impl Tail {
    /// Batches from the one that contains `from` on; `None` when that one is not cached.
    pub(crate) fn read(&self, from: Offset, limit: ReadLimit) -> Option<Vec<Chunk>> {
        let batches = self.0.lock();
        if batches.front()?.header().base_offset > from {
            return None;
        }
        let first = batches.partition_point(|batch| batch.header().last_offset() < from);
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        for batch in batches.range(first..) {
            let size = batch.bytes().len();
            let is_above = batch.header().base_offset >= limit.until;
            if is_above || (!chunks.is_empty() && bytes + size > limit.bytes) {
                break;
            }
            bytes += size;
            chunks.push(Chunk::Memory(batch.bytes().clone()));
        }
        metrics::read("tail", bytes as u64);
        Some(chunks)
    }

    /// Forgets everything, for a log whose stored batches changed or that is closed.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }

    fn drop_oldest(&self) {
        self.0.lock().pop_front();
    }
}

impl TailBudget {
    pub(crate) fn new(limit: ByteSize) -> TailBudget {
        TailBudget { limit: limit.as_usize(), state: Mutex::default() }
    }

    /// Keeps batches that have become durable, and lets the oldest of any log go for them.
    pub(crate) fn keep(&self, tail: &Arc<Tail>, batches: Vec<Batch>) {
        if self.limit == 0 {
            return;
        }
        let mut state = self.state.lock();
        {
            let mut cached = tail.0.lock();
            for batch in batches {
                let cost = batch.bytes().len() + OVERHEAD_BYTES;
                state.used += cost;
                state.order.push_back((Arc::downgrade(tail), cost));
                cached.push_back(batch);
            }
        }
        while state.used > self.limit {
            let Some((owner, cost)) = state.order.pop_front() else { break };
            state.used -= cost;
            if let Some(owner) = owner.upgrade() {
                owner.drop_oldest();
            }
        }
        metrics::tail_cache(state.used as u64);
    }
}

#[cfg(test)]
mod tests {
    use posthouse_record::{BatchBuilder, Compression};
    use posthouse_types::{LeaderEpoch, Timestamp};

    use super::*;

    fn batch(offset: i64) -> Batch {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(Timestamp::from_ms(0), None, Some(&[b'x'; 1000]), &[]);
        builder.build().unwrap().place(Offset::new(offset).unwrap(), LeaderEpoch(0))
    }

    fn limit(bytes: usize) -> ReadLimit {
        ReadLimit { bytes, until: Offset::new(i64::MAX).unwrap() }
    }

    #[test]
    fn the_oldest_batch_of_any_log_goes_first() {
        let cost = batch(0).bytes().len() + OVERHEAD_BYTES;
        let budget = TailBudget::new(ByteSize(3 * cost as u64));
        let (left, right) = (Arc::new(Tail::default()), Arc::new(Tail::default()));
        budget.keep(&left, vec![batch(0), batch(1)]);
        budget.keep(&right, vec![batch(0), batch(1)]);
        assert!(left.read(Offset::ZERO, limit(1)).is_none());
        assert_eq!(left.read(Offset::new(1).unwrap(), limit(1)).unwrap().len(), 1);
        assert_eq!(right.read(Offset::ZERO, limit(usize::MAX)).unwrap().len(), 2);
    }

    #[test]
    fn the_first_batch_is_given_whatever_the_limit() {
        let budget = TailBudget::new(ByteSize::mib(1));
        let tail = Arc::new(Tail::default());
        budget.keep(&tail, (0..5).map(batch).collect());
        assert_eq!(tail.read(Offset::ZERO, limit(1)).unwrap().len(), 1);
        let until = ReadLimit { bytes: usize::MAX, until: Offset::new(3).unwrap() };
        assert_eq!(tail.read(Offset::new(1).unwrap(), until).unwrap().len(), 2);
        assert!(tail.read(Offset::new(5).unwrap(), limit(9)).unwrap().is_empty());
    }
}
