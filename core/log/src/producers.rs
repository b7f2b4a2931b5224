//! What a log knows of its idempotent producers: a state machine without I/O, one for each log.
//!
//! Owns which numbered batch may come next, and which was there before. It is changed by batches
//! alone, so a log that reads its batches again, from any earlier state, arrives at the same state.
//!
//! # Invariants
//! - The last five batches of a producer's current epoch are remembered with their offsets.
//! - An epoch never goes back.
//!
//! # Source
//! Kafka's idempotent producer (KIP-98, KIP-360): a producer that the log does not know may start
//! at any sequence, one with a new epoch must start at 0. Kafka ages producers by record time; here
//! it is the time of the append, so that old records do not make a live producer look idle.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use posthouse_record::BatchHeader;
use posthouse_types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::retention::is_older;
use crate::{AppendError, ProducerState};

/// Kafka's clients keep up to this many batches in flight, so that many may be sent again.
pub(crate) const BATCHES_REMEMBERED: usize = 5;

/// LIMIT: producers remembered for one log; above it the one idle for longest is forgotten.
pub(crate) const PRODUCERS_MAX: usize = 100_000;

/// The producers of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers(HashMap<ProducerId, Producer>);

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) epoch: ProducerEpoch,
    /// The newest timestamp in its last batch.
    pub(crate) last_timestamp: Timestamp,
    /// When it last wrote, by the log's clock.
    pub(crate) seen: Timestamp,
    /// Its last numbered batches under `epoch`, oldest first.
    pub(crate) sent: VecDeque<Sent>,
}

/// A numbered batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) first: Sequence,
    pub(crate) last: Sequence,
    pub(crate) base_offset: Offset,
    pub(crate) last_offset: Offset,
    /// The largest timestamp in the batch, as it was stored.
    pub(crate) timestamp: Timestamp,
}

/// What is to be done with a batch that may be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    New,
    /// It was written before.
    Duplicate(Sent),
}

impl Producers {
    /// Whether a batch may be appended now. Changes nothing.
    ///
    /// # Errors
    /// [`AppendError::FencedProducer`], [`AppendError::OutOfOrderSequence`] and
    /// [`AppendError::DuplicateSequence`].
    pub(crate) fn check(&self, batch: &BatchHeader) -> Result<Standing, AppendError> {
        let Some((id, epoch, first)) = batch.producer else { return Ok(Standing::New) };
        let Some(known) = self.0.get(&id) else { return Ok(Standing::New) };
        if epoch < known.epoch {
            return Err(AppendError::FencedProducer { producer: id, epoch, current: known.epoch });
        }
        let Some(last) = batch.last_sequence() else { return Ok(Standing::New) };
        if epoch > known.epoch {
            return in_order(id, first, Sequence(0));
        }
        if let Some(sent) = known.find(first, last) {
            return Ok(Standing::Duplicate(sent));
        }
        let Some(newest) = known.sent.back() else { return Ok(Standing::New) };
        if is_before(first, newest.last) {
            return Err(AppendError::DuplicateSequence { producer: id, sequence: first });
        }
        in_order(id, first, newest.last.plus(1))
    }

    /// Notes a batch that has its place in the log, at the append or when it is read again.
    pub(crate) fn record(&mut self, batch: &BatchHeader, now: Timestamp) {
        let Some((id, epoch, first)) = batch.producer else { return };
        if self.0.len() >= PRODUCERS_MAX && !self.0.contains_key(&id) {
            self.forget_idlest();
        }
        let producer = self.0.entry(id).or_insert_with(|| Producer {
            epoch,
            last_timestamp: batch.max_timestamp,
            seen: now,
            sent: VecDeque::with_capacity(BATCHES_REMEMBERED),
        });
        if epoch != producer.epoch {
            producer.epoch = epoch;
            producer.sent.clear();
        }
        producer.last_timestamp = batch.max_timestamp;
        producer.seen = now;
        if let Some(last) = batch.last_sequence() {
            if producer.sent.len() == BATCHES_REMEMBERED {
                producer.sent.pop_front();
            }
            producer.sent.push_back(Sent {
                first,
                last,
                base_offset: batch.base_offset,
                last_offset: batch.last_offset(),
                timestamp: batch.max_timestamp,
            });
        }
    }

    /// Forgets producers that have written nothing for longer than `age`.
    pub(crate) fn expire(&mut self, now: Timestamp, age: Duration) {
        self.0.retain(|_, producer| !is_older(producer.seen, age, now));
    }

    /// Whether the batch is the last of a producer, so that compaction must keep its header.
    pub(crate) fn is_last_of_its_producer(&self, batch: &BatchHeader) -> bool {
        batch.producer.and_then(|(id, _, _)| self.0.get(&id)).is_some_and(|producer| {
            producer.sent.back().is_some_and(|sent| sent.last_offset == batch.last_offset())
        })
    }

    /// As Kafka's DescribeProducers shows them.
    pub(crate) fn states(&self) -> Vec<ProducerState> {
        self.0
            .iter()
            .map(|(&id, producer)| ProducerState {
                id,
                epoch: producer.epoch,
                last_sequence: producer.sent.back().map_or(Sequence(-1), |sent| sent.last),
                last_timestamp: producer.last_timestamp,
            })
            .collect()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (ProducerId, &Producer)> {
        self.0.iter().map(|(&id, producer)| (id, producer))
    }

    /// Puts back what a snapshot holds.
    pub(crate) fn restore(&mut self, id: ProducerId, producer: Producer) {
        self.0.insert(id, producer);
    }

    fn forget_idlest(&mut self) {
        let idlest = self.0.iter().min_by_key(|(_, producer)| producer.seen).map(|(&id, _)| id);
        if let Some(id) = idlest {
            self.0.remove(&id);
        }
    }
}

impl Producer {
    fn find(&self, first: Sequence, last: Sequence) -> Option<Sent> {
        self.sent.iter().find(|sent| sent.first == first && sent.last == last).copied()
    }
}

fn in_order(
    producer: ProducerId,
    sequence: Sequence,
    expected: Sequence,
) -> Result<Standing, AppendError> {
    if sequence == expected {
        Ok(Standing::New)
    } else {
        Err(AppendError::OutOfOrderSequence { producer, sequence, expected })
    }
}

/// Whether `sequence` is `reference` or one of the half circle of numbers before it.
fn is_before(sequence: Sequence, reference: Sequence) -> bool {
    let circle = i64::from(i32::MAX) + 1;
    (i64::from(reference.0) - i64::from(sequence.0)).rem_euclid(circle) < circle / 2
}

#[cfg(test)]
mod tests {
    use posthouse_record::{BatchBuilder, Compression};
    use posthouse_types::LeaderEpoch;
    use proptest::prelude::*;

    use super::*;

    const ID: ProducerId = ProducerId(7);
    const NOW_MS: i64 = 0;

    /// A batch of `count` records from sequence `first`, placed at `offset`.
    fn batch(epoch: i16, first: i32, count: u32, offset: i64) -> BatchHeader {
        let mut builder = BatchBuilder::new(Compression::None).producer(
            ID,
            ProducerEpoch(epoch),
            Sequence(first),
        );
        for _ in 0..count {
            builder.push(Timestamp::from_ms(offset), None, None, &[]);
        }
        *builder.build().unwrap().place(Offset::new(offset).unwrap(), LeaderEpoch(0)).header()
    }

    fn after(batches: &[BatchHeader]) -> Producers {
        let mut producers = Producers::default();
        for batch in batches {
            producers.check(batch).expect("the batch is in order");
            producers.record(batch, Timestamp::from_ms(NOW_MS));
        }
        producers
    }

    #[test]
    fn a_batch_sent_again_has_its_first_offsets() {
        let producers = after(&[batch(0, 0, 2, 10), batch(0, 2, 3, 12)]);
        let Ok(Standing::Duplicate(sent)) = producers.check(&batch(0, 0, 2, 99)) else {
            panic!("not seen as a duplicate")
        };
        assert_eq!((sent.base_offset.value(), sent.last_offset.value()), (10, 11));
    }

    #[test]
    fn a_gap_is_out_of_order() {
        let refused = after(&[batch(0, 0, 2, 0)]).check(&batch(0, 3, 1, 2)).unwrap_err();
        assert!(matches!(
            refused,
            AppendError::OutOfOrderSequence { expected: Sequence(2), sequence: Sequence(3), .. }
        ));
    }

    #[test]
    fn a_sixth_last_batch_is_an_old_duplicate() {
        let sent: Vec<_> = (0..6).map(|index| batch(0, index, 1, i64::from(index))).collect();
        let refused = after(&sent).check(&sent[0]).unwrap_err();
        assert!(matches!(refused, AppendError::DuplicateSequence { .. }));
    }

    #[test]
    fn sequences_wrap() {
        let producers = after(&[batch(0, i32::MAX - 1, 2, 0)]);
        assert_eq!(producers.check(&batch(0, 0, 1, 2)).unwrap(), Standing::New);
        assert!(producers.check(&batch(0, 1, 1, 2)).is_err());
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_fences_the_old() {
        let producers = after(&[batch(0, 0, 2, 0)]);
        assert!(producers.check(&batch(1, 2, 1, 2)).is_err());
        assert_eq!(producers.check(&batch(1, 0, 1, 2)).unwrap(), Standing::New);
        let producers = after(&[batch(0, 0, 2, 0), batch(1, 0, 1, 2)]);
        let refused = producers.check(&batch(0, 2, 1, 3)).unwrap_err();
        assert!(matches!(refused, AppendError::FencedProducer { .. }));
    }

    #[test]
    fn a_producer_that_is_not_known_starts_anywhere() {
        assert_eq!(Producers::default().check(&batch(3, 500, 1, 0)).unwrap(), Standing::New);
    }

    #[test]
    fn an_idle_producer_is_forgotten() {
        let mut producers = after(&[batch(0, 0, 2, 0)]);
        producers.expire(Timestamp::from_ms(1_000), Duration::from_secs(1));
        assert_eq!(producers.states().len(), 1);
        producers.expire(Timestamp::from_ms(1_001), Duration::from_secs(1));
        assert!(producers.states().is_empty());
    }

    proptest! {
        /// Whatever is sent, repeated or skipped: what is accepted is each record once, in order.
        #[test]
        fn accepted_batches_are_a_sequence_without_gaps(
            start in prop_oneof![Just(0), i32::MAX - 40..=i32::MAX],
            choices in prop::collection::vec((0_u32..12, 1_u32..4), 1..60),
        ) {
            let mut producers = Producers::default();
            let (mut accepted, mut offset) = (Vec::new(), 0);
            for (back, count) in choices {
                let ahead = u32::try_from(accepted.len()).unwrap() + 2;
                let first = Sequence(start).plus(ahead.saturating_sub(back));
                let candidate = batch(0, first.0, count, offset);
                if let Ok(Standing::New) = producers.check(&candidate) {
                    producers.record(&candidate, Timestamp::from_ms(NOW_MS));
                    offset += i64::from(count);
                    accepted.extend((0..count).map(|index| first.plus(index)));
                }
            }
            prop_assert!(accepted.windows(2).all(|pair| pair[1] == pair[0].plus(1)));
        }
    }
}
