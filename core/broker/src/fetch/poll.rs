//! Long-poll reads over many partitions.
//!
//! A fetch passes over its partitions, and if that did not give enough, waits for any of their ends
//! to move and passes again. What is at its end costs a look at the log's ends, not a read.

use std::sync::Arc;

use posthouse_log::{Chunk, LogEnds, ReadLimit};
use posthouse_types::{LeaderEpoch, Principal, TopicId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::wait::Waits;
use crate::access::{Direction, Paced};
use crate::partition::OpenPartition;
use crate::{
    Broker, Fetch, FetchError, FetchPartition, Fetched, FetchedPartition, Isolation, Operation,
    metrics,
};

impl Broker {
    /// Reads; waits up to `wait_max` for `bytes_min`, and then for the principal's rate.
    ///
    /// # Cancellation
    /// Safe to drop at any await.
    pub async fn fetch(&self, principal: &Principal, fetch: Fetch) -> Fetched {
        let Paced { done, pause } = self.fetch_paced(principal, fetch).await;
        if !pause.is_zero() {
            sleep(pause).await;
        }
        done
    }

    /// As [`Broker::fetch`], but above the principal's rate it is the caller who holds it back.
    ///
    /// # Cancellation
    /// Safe to drop at any await.
    pub async fn fetch_paced(&self, principal: &Principal, mut fetch: Fetch) -> Paced<Fetched> {
        if let Some(window) = self.pay_off(principal, Direction::Read).await {
            fetch.bytes_max = fetch.bytes_max.min(window);
            fetch.bytes_min = fetch.bytes_min.min(window);
        }
        let deadline = Instant::now() + fetch.wait_max;
        let mut topics = self.topic_table().watch();
        let (fetched, bytes) = loop {
            // Looked at before the topics themselves, so that no change is missed.
            topics.mark_unchanged();
            let revision = self.gate().revision();
            let sources = self.sources(principal, &fetch);
            if let Some(enough) = self.poll(&fetch, &sources, &mut topics, deadline).await
                // What was allowed when it began to wait may not be any more.
                && revision == self.gate().revision()
            {
                break enough;
            }
        };
        metrics::fetched(bytes);
        let pause = self.count_bytes(principal, Direction::Read, bytes);
        Paced { done: fetched, pause }
    }

    /// Finds every partition asked for.
    fn sources(&self, principal: &Principal, fetch: &Fetch) -> Vec<Result<Source, FetchError>> {
        let source = |asked: &FetchPartition| {
            let open = self.find_topic(principal, Operation::Read, &asked.topic)?;
            let partition = Arc::clone(open.partition(asked.index)?);
            check_epoch(asked.leader_epoch, partition.log().epoch())?;
            Ok(Source { topic: open.topic.id, partition })
        };
        fetch.partitions.iter().map(source).collect()
    }

    /// Passes until there is enough or the time is up; `None` when topics changed meanwhile.
    async fn poll(
        &self,
        fetch: &Fetch,
        sources: &[Result<Source, FetchError>],
        topics: &mut watch::Receiver<u64>,
        deadline: Instant,
    ) -> Option<(Fetched, usize)> {
        let mut waits: Option<Waits> = None;
        loop {
            let pass = Pass::run(fetch, sources).await;
            if pass.failed || pass.bytes >= fetch.bytes_min || Instant::now() >= deadline {
                return Some(pass.finish());
            }
            let waits = match &mut waits {
                Some(waits) => {
                    waits.rearm(fetch, sources, &pass.seen);
                    waits
                }
                none => none.insert(Waits::new(fetch, sources, &pass.seen)),
            };
            tokio::select! {
                () = waits.any() => {}
                _ = topics.changed() => return None,
                () = tokio::time::sleep_until(deadline) => return Some(pass.finish()),
                () = self.stopping().cancelled() => return Some(pass.finish()),
            }
        }
    }
}

/// Where one partition of a fetch is read.
pub(super) struct Source {
    topic: TopicId,
    partition: Arc<OpenPartition>,
}

impl Source {
    /// Tells of every move of the partition's ends.
    pub(super) fn watch(&self) -> watch::Receiver<LogEnds> {
        self.partition.log().watch()
    }
}

/// What a reader at this isolation may see the end of.
pub(super) fn visible_end(ends: &LogEnds, isolation: Isolation) -> posthouse_types::Offset {
    match isolation {
        Isolation::ReadUncommitted => ends.durable_end,
        Isolation::ReadCommitted => ends.last_stable,
    }
}

/// Refuses a reader that believes in another epoch than the current one.
pub(super) fn check_epoch(
    asked: Option<LeaderEpoch>,
    current: LeaderEpoch,
) -> Result<(), FetchError> {
    match asked {
        Some(asked) if asked < current => Err(FetchError::FencedEpoch { asked, current }),
        Some(asked) if asked > current => Err(FetchError::UnknownEpoch { asked, current }),
        _ => Ok(()),
    }
}

/// One look at every partition.
struct Pass {
    partitions: Vec<Result<FetchedPartition, FetchError>>,
    /// The ends of each partition as they were read; `None` where the look-up failed.
    seen: Vec<Option<LogEnds>>,
    bytes: usize,
    failed: bool,
}

impl Pass {
    async fn run(fetch: &Fetch, sources: &[Result<Source, FetchError>]) -> Pass {
        let mut pass = Pass {
            partitions: Vec::with_capacity(sources.len()),
            seen: Vec::with_capacity(sources.len()),
            bytes: 0,
            failed: false,
        };
        for (asked, source) in fetch.partitions.iter().zip(sources) {
            let (read, seen) = match source {
                Ok(source) => {
                    let ends = source.partition.log().ends();
                    (pass.read(fetch, asked, source, ends).await, Some(ends))
                }
                Err(error) => (Err(error.clone()), None),
            };
            pass.failed |= read.is_err();
            pass.partitions.push(read);
            pass.seen.push(seen);
        }
        pass
    }

    async fn read(
        &mut self,
        fetch: &Fetch,
        asked: &FetchPartition,
        source: &Source,
        ends: LogEnds,
    ) -> Result<FetchedPartition, FetchError> {
        let mut fetched = FetchedPartition {
            topic: source.topic,
            chunks: Vec::new(),
            durable_end: ends.durable_end,
            last_stable: ends.last_stable,
            log_start: ends.log_start,
        };
        let until = visible_end(&ends, fetch.isolation);
        let at_end = (until..=ends.durable_end).contains(&asked.offset);
        let left = fetch.bytes_max.saturating_sub(self.bytes);
        if at_end || (left == 0 && self.bytes > 0) {
            return Ok(fetched);
        }
        let limit = ReadLimit { bytes: asked.bytes_max.min(left), until };
        let chunks = source.partition.log().read(asked.offset, limit).await?;
        let size: usize = chunks.iter().map(Chunk::len).sum();
        // A log gives its first batch whole whatever the limit; only the fetch's first may exceed it.
        if size <= left || self.bytes == 0 {
            self.bytes += size;
            fetched.chunks = chunks;
        }
        Ok(fetched)
    }

    fn finish(self) -> (Fetched, usize) {
        (Fetched { partitions: self.partitions }, self.bytes)
    }
}
