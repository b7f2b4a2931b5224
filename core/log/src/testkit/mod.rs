//! What tests of the log need: the contract that every engine keeps, and records to keep it with.
//!
//! [`contract_suite!`](crate::contract_suite) makes one test for each claim of the contract, over
//! whatever [`Harness`] it is given.

pub mod contract;
pub mod crash;
pub mod crash_compaction;
mod dice;
mod faulty_disk;
mod records;

use std::sync::Arc;

use futures::future::BoxFuture;
use posthouse_types::{ManualClock, PartitionId, PartitionIndex, TopicId};
use uuid::Uuid;

pub use self::dice::Dice;
pub use self::faulty_disk::{Call, FaultyDisk};
pub use self::records::{
    Written, append, commit, keyed, numbered, read_batches, read_records, read_values, sized,
    timed, tombstone, values,
};

use crate::{Engine, Log, LogConfig};

/// An engine under test, with what the test needs to move it.
pub trait Harness: Send {
    /// The engine as it is now.
    fn engine(&self) -> Arc<dyn Engine>;

    /// The clock that the engine reads.
    fn clock(&self) -> &ManualClock;

    /// Lets what was appended become durable, where the engine waits to be told.
    fn flush(&self);

    /// Shuts the engine down and starts another over the same storage.
    fn restart(&mut self) -> BoxFuture<'_, ()>;
}

/// The partition `index` of the one topic that tests use.
pub fn partition(index: u32) -> PartitionId {
    let topic = TopicId(Uuid::from_u128(0x7e57));
    PartitionId { topic, index: PartitionIndex::new(index) }
}

/// Opens partition 0.
///
/// # Panics
/// When the engine refuses.
pub async fn open(harness: &dyn Harness, config: LogConfig) -> Arc<dyn Log> {
    harness.engine().open(partition(0), config).await.expect("the partition opens")
}

/// The tests of the contract over one engine: `contract_suite!(name, async { harness })`.
#[macro_export]
macro_rules! contract_suite {
    ($suite:ident, $harness:expr) => {
        $crate::contract_suite!(@tests $suite, $harness,
            appending: [
                offsets_follow_one_another
                nothing_is_readable_before_it_is_durable
                a_ticket_covers_the_records_before_it
                a_batch_above_the_limit_is_refused
                a_record_without_a_key_is_refused_in_a_compacted_topic
                log_append_time_is_written_into_the_batch
                watchers_are_told_of_durable_records
                appends_after_shutdown_are_refused
                what_was_appended_before_shutdown_is_durable
            ]
            reading: [
                a_read_returns_what_was_appended
                a_read_within_a_batch_returns_the_whole_batch
                a_batch_above_the_limit_is_returned_alone
                a_read_stops_at_its_limits
                a_read_at_the_end_is_empty
                a_read_outside_the_log_is_out_of_range
                reads_cross_segments
                records_are_found_by_their_timestamp
                the_largest_timestamp_is_found
            ]
            opening: [
                records_survive_a_restart
                every_open_raises_the_epoch
                a_later_open_fences_the_earlier
                epochs_that_wrote_stay_in_the_history
                only_partitions_with_records_are_stored
                the_partitions_of_a_topic_can_be_deleted_at_once
                a_deleted_partition_begins_again
                many_partitions_are_independent
            ]
            idempotence: [
                a_batch_sent_twice_is_written_once
                a_gap_in_the_sequence_is_refused
                an_older_producer_epoch_is_fenced
                sequences_wrap_to_zero
                producers_survive_a_restart
                idle_producers_are_forgotten
            ]
            cleaning: [
                truncating_the_head_hides_records
                a_truncated_head_survives_a_restart
                retention_by_size_deletes_the_oldest
                retention_by_age_can_empty_the_log
                compaction_keeps_the_last_record_of_each_key
                a_compacted_log_survives_a_restart
                tombstones_go_when_their_time_has_passed
                a_new_configuration_applies
            ]
        );
    };
    (@tests $suite:ident, $harness:expr, $($area:ident: [$($claim:ident)*])*) => {
        mod $suite {
            use super::*;
            $(mod $area {
                use super::*;
                $(#[tokio::test]
                async fn $claim() {
                    let mut harness = $harness.await;
                    $crate::testkit::contract::$area::$claim(&mut harness).await;
                })*
            })*
        }
    };
}
