//! Which segments are due to go, or to be closed. Pure decisions; the engines carry them out.
//!
//! # Source
//! Kafka's `retention.ms`, `retention.bytes`, `segment.bytes` and `segment.ms`. Kafka counts the
//! age of a segment for `segment.ms` between record timestamps; here it is counted from the append
//! of its first record, so that loading old records does not close a segment for every batch.

use std::time::Duration;

use posthouse_types::{Offset, Timestamp};

use crate::LogConfig;

/// What decisions about a segment need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentFacts {
    /// The offset it is named after; every record in it is at or above.
    pub(crate) base: Offset,
    /// One above its last offset.
    pub(crate) next: Offset,
    pub(crate) bytes: u64,
    /// The largest record timestamp; [`Timestamp::NONE`] when there is none.
    pub(crate) max_timestamp: Timestamp,
    /// When its first record was appended.
    pub(crate) begun: Timestamp,
}

impl SegmentFacts {
    /// A segment in which there is nothing yet.
    pub(crate) fn empty(base: Offset, begun: Timestamp) -> SegmentFacts {
        SegmentFacts { base, next: base, bytes: 0, max_timestamp: Timestamp::NONE, begun }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether a batch of `size` bytes must go into a new segment.
    pub(crate) fn is_full_for(&self, size: u64, config: &LogConfig) -> bool {
        !self.is_empty() && self.bytes.saturating_add(size) > config.segment_bytes.0
    }

    /// Whether `segment.ms` has passed.
    pub(crate) fn is_due_to_roll(&self, config: &LogConfig, now: Timestamp) -> bool {
        !self.is_empty() && is_older(self.begun, config.segment_age, now)
    }
}

/// How many of the oldest `segments` are to be deleted; the last one is the active segment.
///
/// A segment below `log_start` always goes; the others by age and size where the topic deletes.
pub(crate) fn deletable_count(
    segments: &[SegmentFacts],
    log_start: Offset,
    config: &LogConfig,
    now: Timestamp,
) -> usize {
    let filled = segments.iter().take_while(|segment| !segment.is_empty());
    let below_start = filled.clone().take_while(|segment| segment.next <= log_start).count();
    if !config.cleanup.delete {
        return below_start;
    }
    let by_age = config.retention_age.map_or(0, |age| {
        filled.clone().take_while(|segment| is_older(segment.max_timestamp, age, now)).count()
    });
    let by_size = config.retention_bytes.map_or(0, |limit| {
        let mut rest: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let sealed = segments.len().saturating_sub(1);
        filled
            .take(sealed)
            .take_while(|segment| {
                rest = rest.saturating_sub(segment.bytes);
                rest >= limit.0
            })
            .count()
    });
    below_start.max(by_age).max(by_size)
}

/// Whether more than `age` has passed since `since`. A time that is not known never passes.
pub(crate) fn is_older(since: Timestamp, age: Duration, now: Timestamp) -> bool {
    let passed_ms = now.as_ms().saturating_sub(since.as_ms());
    since.as_ms() >= 0
        && i128::from(passed_ms) > i128::try_from(age.as_millis()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use posthouse_types::ByteSize;

    use super::*;
    use crate::CleanupPolicy;

    const NOW_MS: i64 = 1_000_000;

    /// Three segments of 100 bytes and ten records, of ages 900, 500 and 0 seconds.
    fn three() -> Vec<SegmentFacts> {
        [100_000, 500_000, 1_000_000]
            .iter()
            .zip([0, 10, 20])
            .map(|(&at_ms, base)| SegmentFacts {
                base: Offset::new(base).unwrap(),
                next: Offset::new(base + 10).unwrap(),
                bytes: 100,
                max_timestamp: Timestamp::from_ms(at_ms),
                begun: Timestamp::from_ms(at_ms),
            })
            .collect()
    }

    fn check(change: impl FnOnce(&mut LogConfig), log_start: i64, expected: usize) {
        let mut config = LogConfig { retention_age: None, ..LogConfig::default() };
        change(&mut config);
        let log_start = Offset::new(log_start).unwrap();
        assert_eq!(
            deletable_count(&three(), log_start, &config, Timestamp::from_ms(NOW_MS)),
            expected
        );
    }

    #[test]
    fn nothing_goes_without_a_limit() {
        check(|_| {}, 0, 0);
    }

    #[test]
    fn segments_go_when_their_newest_record_is_too_old() {
        check(|config| config.retention_age = Some(Duration::from_secs(600)), 0, 1);
        check(|config| config.retention_age = Some(Duration::from_secs(400)), 0, 2);
    }

    #[test]
    fn segments_go_while_the_rest_holds_the_size() {
        check(|config| config.retention_bytes = Some(ByteSize(100)), 0, 2);
        check(|config| config.retention_bytes = Some(ByteSize(150)), 0, 1);
        check(|config| config.retention_bytes = Some(ByteSize(0)), 0, 2);
    }

    #[test]
    fn a_compacted_topic_deletes_only_below_the_log_start() {
        let compact = |config: &mut LogConfig| {
            config.cleanup = CleanupPolicy::COMPACT;
            config.retention_age = Some(Duration::from_secs(1));
        };
        check(compact, 0, 0);
        check(compact, 10, 1);
        check(compact, 19, 1);
    }
}
