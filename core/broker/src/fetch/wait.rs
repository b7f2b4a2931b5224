//! Waiting for any of many partitions to move.
//!
//! # Invariants
//! - A partition is waited for from the ends that the last pass saw, so a move between that pass
//!   and the wait ends the wait at once.

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use posthouse_log::LogEnds;

use super::poll::{Source, visible_end};
use crate::{Fetch, FetchError};

/// The partitions of a fetch that are waited for.
pub(super) struct Waits {
    moves: FuturesUnordered<BoxFuture<'static, usize>>,
    moved: Vec<usize>,
}

impl Waits {
    /// Waits for every partition to move on from what was seen.
    pub(super) fn new(
        fetch: &Fetch,
        sources: &[Result<Source, FetchError>],
        seen: &[Option<LogEnds>],
    ) -> Waits {
        let moved = (0..sources.len()).collect();
        let mut waits = Waits { moves: FuturesUnordered::new(), moved };
        waits.rearm(fetch, sources, seen);
        waits
    }

    /// Waits again for those that moved.
    pub(super) fn rearm(
        &mut self,
        fetch: &Fetch,
        sources: &[Result<Source, FetchError>],
        seen: &[Option<LogEnds>],
    ) {
        for index in self.moved.drain(..) {
            let (Ok(source), Some(seen)) = (&sources[index], seen[index]) else { continue };
            let isolation = fetch.isolation;
            let offset = fetch.partitions[index].offset;
            let end = visible_end(&seen, isolation);
            let mut ends = source.watch();
            let moved = async move {
                let more =
                    |now: &LogEnds| visible_end(now, isolation) > end || now.log_start > offset;
                // A log that tells nothing more is closed; the fetch ends for another reason.
                if ends.wait_for(more).await.is_err() {
                    std::future::pending::<()>().await;
                }
                index
            };
            self.moves.push(moved.boxed());
        }
    }

    /// Waits for one to move, and notes all that have.
    ///
    /// # Cancellation
    /// Safe to drop; what moved is noted.
    pub(super) async fn any(&mut self) {
        match self.moves.next().await {
            Some(index) => self.moved.push(index),
            None => std::future::pending().await,
        }
        while let Some(Some(index)) = self.moves.next().now_or_never() {
            self.moved.push(index);
        }
    }
}
