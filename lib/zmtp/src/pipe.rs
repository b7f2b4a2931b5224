//! The queue between a socket and one connection, in one direction.
//!
//! One side pushes, the other takes everything there is at once, so that a lock is held for moments
//! and one wake-up serves a whole batch. The high-water mark bounds what was pushed and not yet
//! credited; credit comes back in halves of it, so that a blocked sender wakes to a worthwhile batch.
//!
//! # Invariants
//! - With a mark of `n` at most `n` entries are outstanding, unless they were forced.
//! - After a refused push, the credit that makes room says so exactly once.

use std::collections::VecDeque;
use std::task::Waker;

use parking_lot::Mutex;

/// How many entries a pipe holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capacity {
    /// As many as come; zero is no limit, as in libzmq.
    Mark(usize),
    /// Only the last one.
    Conflate,
}

/// A refused push gives back what was pushed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused<T> {
    Full(T),
    Closed(T),
}

/// What happened to a reader that found nothing before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It is still at work, or has been woken.
    Noticed,
    /// It had found the pipe empty and must be told.
    WasIdle,
}

#[derive(Debug)]
pub(crate) struct Pipe<T> {
    capacity: Capacity,
    inner: Mutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    queue: VecDeque<T>,
    outstanding: usize,
    /// The reader found nothing, and wants to know.
    idle: bool,
    reader: Option<Waker>,
    /// The writer was refused, and wants to know.
    blocked: bool,
    writer: Option<Waker>,
    closed: bool,
}

impl<T> Pipe<T> {
    pub(crate) fn new(capacity: Capacity) -> Pipe<T> {
        let inner = Inner {
            queue: VecDeque::new(),
            outstanding: 0,
            idle: true,
            reader: None,
            blocked: false,
            writer: None,
            closed: false,
        };
        Pipe { capacity, inner: Mutex::new(inner) }
    }

    /// How much is to be taken before it is credited.
    pub(crate) fn credit_batch(&self) -> usize {
        match self.capacity {
            Capacity::Mark(mark) => mark.div_ceil(2).max(1),
            Capacity::Conflate => 1,
        }
    }

    /// Adds an entry unless the mark is reached.
    pub(crate) fn push(&self, entry: T) -> Result<Pushed, Refused<T>> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(Refused::Closed(entry));
        }
        if let Capacity::Mark(mark) = self.capacity
            && mark != 0
            && inner.outstanding >= mark
        {
            inner.blocked = true;
            return Err(Refused::Full(entry));
        }
        let (pushed, waker) = self.add(&mut inner, entry);
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(pushed)
    }

    /// Adds an entry whatever the mark says: for what is bounded by other means.
    pub(crate) fn force(&self, entry: T) -> Pushed {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Pushed::Noticed;
        }
        let (pushed, waker) = self.add(&mut inner, entry);
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        pushed
    }

    /// Moves as many entries in as the mark lets. When some are left, `waker` is woken once there is
    /// room again.
    pub(crate) fn push_batch(&self, entries: &mut VecDeque<T>, waker: &Waker) -> Pushed {
        let mut inner = self.inner.lock();
        let room = match self.capacity {
            Capacity::Mark(mark) if mark != 0 => mark.saturating_sub(inner.outstanding),
            _ => entries.len(),
        };
        let mut pushed = Pushed::Noticed;
        let mut wake = None;
        for entry in entries.drain(..room.min(entries.len())) {
            let (noticed, waker) = self.add(&mut inner, entry);
            if noticed == Pushed::WasIdle {
                pushed = Pushed::WasIdle;
            }
            wake = wake.or(waker);
        }
        if !entries.is_empty() {
            inner.blocked = true;
            inner.writer = Some(waker.clone());
        }
        drop(inner);
        if let Some(waker) = wake {
            waker.wake();
        }
        pushed
    }

    fn add(&self, inner: &mut Inner<T>, entry: T) -> (Pushed, Option<Waker>) {
        if self.capacity == Capacity::Conflate {
            inner.queue.clear();
            inner.outstanding = 0;
        }
        inner.queue.push_back(entry);
        inner.outstanding += 1;
        let waker = inner.reader.take();
        let was_idle = std::mem::take(&mut inner.idle) && waker.is_none();
        (if was_idle { Pushed::WasIdle } else { Pushed::Noticed }, waker)
    }

    /// Takes all entries into the empty `into`; false when there are none. Without entries the pipe
    /// notes that the reader is idle, and keeps `waker` to wake it.
    pub(crate) fn take(&self, into: &mut VecDeque<T>, waker: Option<&Waker>) -> bool {
        let mut inner = self.inner.lock();
        if inner.queue.is_empty() {
            inner.idle = true;
            match waker {
                Some(waker) if inner.reader.as_ref().is_some_and(|own| own.will_wake(waker)) => {}
                waker => inner.reader = waker.cloned(),
            }
            return false;
        }
        std::mem::swap(&mut inner.queue, into);
        true
    }

    /// Gives back the places of `count` entries that were taken; true when a writer was refused and
    /// has no waker, so that the caller must tell it.
    pub(crate) fn credit(&self, count: usize) -> bool {
        let mut inner = self.inner.lock();
        inner.outstanding = inner.outstanding.saturating_sub(count);
        if !std::mem::take(&mut inner.blocked) {
            return false;
        }
        let Some(waker) = inner.writer.take() else { return true };
        drop(inner);
        waker.wake();
        false
    }

    /// Ends the pipe: what is in it can still be taken, nothing can be added.
    pub(crate) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        let wakers = [inner.reader.take(), inner.writer.take()];
        drop(inner);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.inner.lock().closed
    }

    /// Whether nothing waits to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.inner.lock().queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe(mark: usize) -> Pipe<u32> {
        Pipe::new(Capacity::Mark(mark))
    }

    #[test]
    fn a_full_pipe_refuses_until_half_of_it_is_credited() {
        let pipe = pipe(4);
        (0..4).for_each(|entry| assert!(pipe.push(entry).is_ok()));
        assert_eq!(pipe.push(4), Err(Refused::Full(4)));
        let mut taken = VecDeque::new();
        assert!(pipe.take(&mut taken, None));
        assert_eq!(pipe.push(4), Err(Refused::Full(4)), "taken is not yet done with");
        assert!(pipe.credit(pipe.credit_batch()), "the refused writer is to be told");
        assert!(!pipe.credit(1), "and only once");
        assert!(pipe.push(4).is_ok());
    }

    #[test]
    fn only_the_first_push_after_an_empty_take_says_so() {
        let pipe = pipe(0);
        assert_eq!(pipe.push(1), Ok(Pushed::WasIdle));
        assert_eq!(pipe.push(2), Ok(Pushed::Noticed));
        let mut taken = VecDeque::new();
        assert!(pipe.take(&mut taken, None));
        taken.clear();
        assert_eq!(pipe.push(3), Ok(Pushed::Noticed), "the reader will look again");
        assert!(pipe.take(&mut taken, None));
        taken.clear();
        assert!(!pipe.take(&mut taken, None));
        assert_eq!(pipe.push(4), Ok(Pushed::WasIdle));
    }

    #[test]
    fn a_conflating_pipe_keeps_the_last() {
        let pipe = Pipe::new(Capacity::Conflate);
        (0..9).for_each(|entry| assert!(pipe.push(entry).is_ok()));
        let mut taken = VecDeque::new();
        assert!(pipe.take(&mut taken, None));
        assert_eq!(taken, [8]);
    }

    #[test]
    fn a_closed_pipe_gives_what_it_has_and_takes_nothing() {
        let pipe = pipe(0);
        assert!(pipe.push(1).is_ok());
        pipe.close();
        assert_eq!(pipe.push(2), Err(Refused::Closed(2)));
        let mut taken = VecDeque::new();
        assert!(pipe.take(&mut taken, None));
        assert_eq!(taken, [1]);
    }

    #[test]
    fn a_batch_goes_in_as_far_as_there_is_room() {
        let pipe = pipe(3);
        let mut batch: VecDeque<u32> = (0..5).collect();
        assert_eq!(pipe.push_batch(&mut batch, Waker::noop()), Pushed::WasIdle);
        assert_eq!(batch, [3, 4]);
        assert!(!pipe.credit(2), "the waker was told");
        assert_eq!(pipe.push_batch(&mut batch, Waker::noop()), Pushed::Noticed);
        assert!(batch.is_empty());
    }
}
