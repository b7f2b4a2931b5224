//! One connection's share of the memory for large requests.
//!
//! # Invariants
//! - Memory is given out in the order in which connections ask for it.
//! - Whoever has memory for a request must send that request at a least speed, so that nobody can
//!   hold it for ever by sending nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::PollSemaphore;

/// LIMIT: how long a large request may take to arrive: this, and longer the larger it is.
const ARRIVAL_BASE: Duration = Duration::from_secs(30);
const ARRIVAL_BYTES_PER_SECOND: usize = 100_000;

/// See the module.
pub(crate) struct Grant {
    memory: PollSemaphore,
    held: Option<OwnedSemaphorePermit>,
    /// Until when the large request that is arriving must be here.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Grant {
    pub(crate) fn new(memory: Arc<Semaphore>) -> Grant {
        Grant { memory: PollSemaphore::new(memory), held: None, deadline: None }
    }

    /// Waits for the memory of a request of `size` bytes.
    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>, size: usize) -> Poll<()> {
        let count = u32::try_from(size).unwrap_or(u32::MAX);
        let Poll::Ready(permit) = self.memory.poll_acquire_many(cx, count) else {
            return Poll::Pending;
        };
        let permit = permit.expect("the semaphore is never closed");
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        let arrival = Duration::from_secs((size / ARRIVAL_BYTES_PER_SECOND) as u64);
        self.deadline = Some(Box::pin(sleep(ARRIVAL_BASE + arrival)));
        Poll::Ready(())
    }

    /// Gives back all but `used` bytes.
    pub(crate) fn keep(&mut self, used: usize) {
        let Some(held) = &mut self.held else { return };
        drop(held.split(held.num_permits().saturating_sub(used)));
        if used == 0 {
            self.held = None;
        }
    }

    /// Says that the large request is here.
    pub(crate) fn on_arrival(&mut self) {
        self.deadline = None;
    }

    /// Ready when a large request should have been here.
    pub(crate) fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.deadline {
            Some(deadline) => deadline.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn memory_is_shared_given_back_and_must_be_used_in_time() {
        let memory = Arc::new(Semaphore::new(1000));
        let mut cx = Context::from_waker(Waker::noop());
        let (mut first, mut second) =
            (Grant::new(Arc::clone(&memory)), Grant::new(Arc::clone(&memory)));
        assert!(first.poll_take(&mut cx, 300).is_ready());
        assert!(first.poll_take(&mut cx, 500).is_ready());
        assert!(second.poll_take(&mut cx, 400).is_pending());
        first.keep(500);
        assert!(second.poll_take(&mut cx, 400).is_ready());
        first.keep(0);
        drop(second);
        assert_eq!(memory.available_permits(), 1000);
        assert!(first.poll_late(&mut cx).is_pending());
        tokio::time::advance(ARRIVAL_BASE + Duration::from_secs(1)).await;
        assert!(first.poll_late(&mut cx).is_ready());
        first.on_arrival();
        assert!(first.poll_late(&mut cx).is_pending());
    }
}
