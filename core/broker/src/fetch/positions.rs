//! Finding positions: by time, by epoch, at either end.

use posthouse_log::{EpochStart, Log, TimestampOffset};
use posthouse_types::{LeaderEpoch, Offset, PartitionIndex, Principal, Timestamp};

use super::poll::{check_epoch, visible_end};
use crate::{Broker, FetchError, Isolation, OffsetSpec, Operation, TopicRef};

impl Broker {
    /// Finds a position; `None` when no record fits. `leader_epoch` is checked as in a fetch.
    ///
    /// The epoch of the answer is the one that wrote the record there, not the current one.
    ///
    /// # Errors
    /// [`FetchError`], as for a fetch.
    pub async fn list_offset(
        &self,
        principal: &Principal,
        topic: &TopicRef,
        index: PartitionIndex,
        leader_epoch: Option<LeaderEpoch>,
        spec: OffsetSpec,
        isolation: Isolation,
    ) -> Result<Option<TimestampOffset>, FetchError> {
        let open = self.find_topic(principal, Operation::Describe, topic)?;
        let log = open.partition(index)?.log();
        check_epoch(leader_epoch, log.epoch())?;
        let ends = log.ends();
        let end = visible_end(&ends, isolation);
        let found = match spec {
            OffsetSpec::Earliest => return Ok(Some(edge(log.as_ref(), ends.log_start))),
            OffsetSpec::Latest => return Ok(Some(edge(log.as_ref(), end))),
            OffsetSpec::MaxTimestamp => log.max_timestamp().await?,
            OffsetSpec::AtOrAfter(at) => log.offset_for_timestamp(at).await?,
        };
        Ok(found.filter(|found| found.offset < end))
    }

    /// The end of the largest epoch at or below `asked`: Kafka's OffsetForLeaderEpoch. `start` of
    /// the answer is that end; `None` when `asked` is later than every epoch.
    ///
    /// # Errors
    /// [`FetchError`], as for a fetch.
    pub async fn epoch_end(
        &self,
        principal: &Principal,
        topic: &TopicRef,
        index: PartitionIndex,
        leader_epoch: Option<LeaderEpoch>,
        asked: LeaderEpoch,
    ) -> Result<Option<EpochStart>, FetchError> {
        let open = self.find_topic(principal, Operation::Describe, topic)?;
        let log = open.partition(index)?.log();
        check_epoch(leader_epoch, log.epoch())?;
        Ok(end_of_epoch(&log.epoch_history(), log.epoch(), log.ends().durable_end, asked))
    }
}

/// Either end of the log, with the epoch of what lies there.
fn edge(log: &dyn Log, offset: Offset) -> TimestampOffset {
    let history = log.epoch_history();
    let below = history.partition_point(|epoch| epoch.start <= offset);
    let epoch = below.checked_sub(1).map_or(log.epoch(), |last| history[last].epoch);
    TimestampOffset { timestamp: Timestamp::NONE, offset, epoch }
}

/// SPEC: Kafka's LeaderEpochFileCache.endOffsetFor, with the current epoch always known.
fn end_of_epoch(
    history: &[EpochStart],
    current: LeaderEpoch,
    durable_end: Offset,
    asked: LeaderEpoch,
) -> Option<EpochStart> {
    if asked == current {
        return Some(EpochStart { epoch: current, start: durable_end });
    }
    if asked > current {
        return None;
    }
    let later = history.partition_point(|epoch| epoch.epoch <= asked);
    let end = history.get(later).map_or(durable_end, |epoch| epoch.start);
    // Below every epoch still known: what was asked for ended where the first of them begins.
    let epoch = later.checked_sub(1).map_or(asked, |floor| history[floor].epoch);
    Some(EpochStart { epoch, start: end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(history: &[(i32, u64)]) -> Vec<EpochStart> {
        let start = |&(epoch, start)| EpochStart {
            epoch: LeaderEpoch(epoch),
            start: Offset::ZERO.plus(start),
        };
        history.iter().map(start).collect()
    }

    fn check(asked: i32, expected: Option<(i32, u64)>) {
        let history = starts(&[(2, 10), (4, 20), (7, 30)]);
        let end = end_of_epoch(&history, LeaderEpoch(7), Offset::ZERO.plus(35), LeaderEpoch(asked));
        assert_eq!(end, expected.map(|end| starts(&[end])[0]), "epoch {asked}");
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        check(2, Some((2, 20)));
        check(4, Some((4, 30)));
    }

    #[test]
    fn the_current_epoch_ends_at_the_durable_end() {
        check(7, Some((7, 35)));
    }

    #[test]
    fn an_epoch_that_wrote_nothing_gives_the_one_before() {
        check(3, Some((2, 20)));
        check(6, Some((4, 30)));
    }

    #[test]
    fn an_epoch_below_all_ends_where_the_first_begins() {
        check(1, Some((1, 10)));
    }

    #[test]
    fn an_epoch_above_all_is_unknown() {
        check(8, None);
    }
}
