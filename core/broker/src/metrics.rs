//! The broker's metrics.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// A batch was accepted.
pub(crate) fn batch_appended(bytes: usize, records: u32) {
    counter!("posthouse_broker_append_bytes_total").increment(wide(bytes));
    counter!("posthouse_broker_append_records_total").increment(u64::from(records));
}

/// A batch was refused.
pub(crate) fn batch_refused() {
    counter!("posthouse_broker_append_refused_total").increment(1);
}

/// An append waited because too many bytes were accepted and not yet durable.
pub(crate) fn append_waited() {
    counter!("posthouse_broker_append_memory_waits_total").increment(1);
}

/// Somebody logged in, or was refused.
pub(crate) fn login(door: &'static str, succeeded: bool) {
    let outcome = if succeeded { "succeeded" } else { "refused" };
    counter!("posthouse_broker_logins_total", "door" => door, "outcome" => outcome).increment(1);
}

/// A login waited because others had failed.
pub(crate) fn login_delayed(door: &'static str) {
    counter!("posthouse_broker_logins_delayed_total", "door" => door).increment(1);
}

/// A connection was closed because its user had too many.
pub(crate) fn user_connection_refused() {
    counter!("posthouse_broker_user_connections_refused_total").increment(1);
}

/// Somebody waited for having moved more than its rate.
pub(crate) fn rate_exceeded(of: &'static str, wait: Duration) {
    histogram!("posthouse_broker_rate_wait_seconds", "direction" => of).record(wait.as_secs_f64());
}

/// What belongs into the audit log was not written there.
pub(crate) fn audit_dropped() {
    counter!("posthouse_broker_audit_dropped_total").increment(1);
}

/// A fetch was answered.
pub(crate) fn fetched(bytes: usize) {
    counter!("posthouse_broker_fetch_bytes_total").increment(wide(bytes));
}

/// What the node holds.
pub(crate) fn inventory(topics: usize, partitions: usize, stored_bytes: u64) {
    gauge!("posthouse_broker_topics_count").set(approximate(wide(topics)));
    gauge!("posthouse_broker_partitions_count").set(approximate(wide(partitions)));
    gauge!("posthouse_broker_stored_bytes").set(approximate(stored_bytes));
}

/// Groups known.
pub(crate) fn groups(count: usize) {
    gauge!("posthouse_broker_groups_count").set(approximate(wide(count)));
}

/// Bytes accepted and not yet seen to be durable.
pub(crate) fn in_flight(bytes: usize) {
    gauge!("posthouse_broker_in_flight_bytes").set(approximate(wide(bytes)));
}

/// A partition could not be opened, or could not be maintained.
pub(crate) fn partition_failed(stage: &'static str) {
    counter!("posthouse_broker_partition_failures_total", "stage" => stage).increment(1);
}

/// Retention and compaction went over every partition.
pub(crate) fn maintained(seconds: f64, freed_bytes: u64) {
    histogram!("posthouse_broker_maintenance_duration_seconds").record(seconds);
    counter!("posthouse_broker_maintenance_freed_bytes_total").increment(freed_bytes);
}

/// A snapshot of internal state was written.
pub(crate) fn snapshot_written(bytes: usize) {
    counter!("posthouse_broker_snapshot_bytes_total").increment(wide(bytes));
}

/// Offsets were committed.
pub(crate) fn offsets_committed(count: usize) {
    counter!("posthouse_broker_offset_commits_total").increment(wide(count));
}

/// Groups lost offsets that were past their retention.
pub(crate) fn offsets_expired(groups: usize) {
    counter!("posthouse_broker_groups_expired_total").increment(wide(groups));
}

/// A group began a rebalance.
pub(crate) fn group_rebalanced() {
    counter!("posthouse_broker_group_rebalances_total").increment(1);
}

/// A member was removed because it was silent, or did not join or sync in time.
pub(crate) fn group_member_expired() {
    counter!("posthouse_broker_group_members_expired_total").increment(1);
}

/// What a group came to could not be kept.
pub(crate) fn group_write_failed() {
    counter!("posthouse_broker_group_write_failures_total").increment(1);
}

/// A live message was delivered to this many subscriptions.
pub(crate) fn live_published(receivers: u64) {
    counter!("posthouse_broker_live_published_total").increment(1);
    counter!("posthouse_broker_live_deliveries_total").increment(receivers);
}

/// A subscriber came (1) or went (-1).
pub(crate) fn live_subscribers(change: f64) {
    gauge!("posthouse_broker_live_subscribers_count").increment(change);
}

/// A full queue dropped a message, its newest or its oldest.
pub(crate) fn live_dropped(which: &'static str) {
    counter!("posthouse_broker_live_dropped_total", "which" => which).increment(1);
}

/// A subscriber was ended because its queue was full.
pub(crate) fn live_disconnected() {
    counter!("posthouse_broker_live_overflow_disconnects_total").increment(1);
}

/// Records of topics were handed to live subscribers.
pub(crate) fn live_records(count: usize) {
    counter!("posthouse_broker_live_records_total").increment(wide(count));
}

/// Records that a live subscriber was to begin with, or had not come to, were gone.
pub(crate) fn live_skipped(count: u64) {
    counter!("posthouse_broker_live_skipped_total").increment(count);
}

/// Queues known, and records delivered by them that are not settled.
pub(crate) fn queues(count: usize, pending: usize) {
    gauge!("posthouse_queue_queues_count").set(approximate(wide(count)));
    gauge!("posthouse_queue_pending_records").set(approximate(wide(pending)));
}

/// Records were given to an owner.
pub(crate) fn queue_records_acquired(count: usize) {
    counter!("posthouse_queue_acquired_records_total").increment(wide(count));
}

/// Records were accepted.
pub(crate) fn queue_records_accepted(count: usize) {
    counter!("posthouse_queue_accepted_records_total").increment(wide(count));
}

/// Records were given back by whoever held them.
pub(crate) fn queue_records_released(count: usize) {
    counter!("posthouse_queue_released_records_total").increment(wide(count));
}

/// Records were rejected by whoever held them.
pub(crate) fn queue_records_rejected(count: usize) {
    counter!("posthouse_queue_rejected_records_total").increment(wide(count));
}

/// Records were taken from owners whose locks had ended.
pub(crate) fn queue_locks_expired(count: usize) {
    counter!("posthouse_queue_expired_locks_total").increment(wide(count));
}

/// Retention, compaction or a deletion took records before a queue could deliver them.
pub(crate) fn queue_records_gone(count: usize) {
    counter!("posthouse_queue_gone_records_total").increment(wide(count));
}

/// Someone asked for records of a partition with as many pending as it may have.
pub(crate) fn queue_window_full() {
    counter!("posthouse_queue_window_full_total").increment(1);
}

/// An owner was refused because every owner there may be holds something.
pub(crate) fn queue_owner_refused() {
    counter!("posthouse_queue_refused_owners_total").increment(1);
}

/// A record is in its dead-letter topic.
pub(crate) fn queue_dead_letter_written() {
    counter!("posthouse_queue_dead_letters_total").increment(1);
}

/// A record could not be written to its dead-letter topic, and stays in its queue until it can.
pub(crate) fn queue_dead_letter_failed() {
    counter!("posthouse_queue_dead_letter_failures_total").increment(1);
}

/// A request to a service came to its end.
pub(crate) fn service_answered(outcome: &'static str) {
    counter!("posthouse_broker_service_requests_total", "outcome" => outcome).increment(1);
}

/// A request whose worker died was given to another one.
pub(crate) fn service_retried() {
    counter!("posthouse_broker_service_retries_total").increment(1);
}

/// A worker came (1) or went (-1).
pub(crate) fn service_workers(change: f64) {
    gauge!("posthouse_broker_service_workers_count").increment(change);
}

/// A third peer asked for a pair.
pub(crate) fn pair_refused() {
    counter!("posthouse_broker_pairs_refused_total").increment(1);
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).expect("a usize fits 64 bits")
}

/// Gauges are floating point; above 2^53 the last digits do not matter.
#[expect(clippy::cast_precision_loss, reason = "a gauge is an approximation")]
fn approximate(value: u64) -> f64 {
    value as f64
}
