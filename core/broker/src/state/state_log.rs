//! A state machine together with the log of its commands.
//!
//! Owns the order: a command takes its place in the log and changes the state in one step, under
//! the caller's lock, so that the log replays to the same state. Does not wait for durability;
//! whoever answers a caller does, with the ticket, or with [`StateLog::settled`] when it only read.

use std::sync::Arc;

use bytes::Bytes;
use posthouse_log::{AppendError, DurabilityError, Log, Ticket};
use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{Offset, Timestamp, TopicName};

use super::frame::Frame;
use super::snapshot::PendingSnapshot;
use super::{StateMachine, recovery};
use crate::OpenBrokerError;
use crate::partition::decision;

/// LIMIT: a snapshot is not worth taking for fewer bytes of commands.
const SUFFIX_BYTES_MIN: usize = 1 << 20;

/// LIMIT: commands of one batch; a longer list goes into several.
const BATCH_BYTES_MAX: usize = 512 * 1024;

/// A state and its log. The caller serialises access.
pub(crate) struct StateLog<M> {
    topic: TopicName,
    log: Arc<dyn Log>,
    machine: M,
    /// One above the last command in `machine`.
    applied: Offset,
    /// Bytes of commands since the last snapshot.
    suffix_bytes: usize,
    /// Bytes of the last snapshot.
    snapshot_bytes: usize,
    snapshot_running: bool,
}

impl<M: StateMachine> StateLog<M> {
    /// Reads the state back from its log: the newest whole snapshot, then the commands after it.
    pub(crate) async fn recover(
        topic: TopicName,
        log: Arc<dyn Log>,
    ) -> Result<StateLog<M>, OpenBrokerError> {
        let recovered = recovery::recover(&topic, log.as_ref()).await?;
        Ok(StateLog {
            topic,
            log,
            machine: recovered.machine,
            applied: recovered.applied,
            suffix_bytes: recovered.suffix_bytes,
            snapshot_bytes: recovered.snapshot_bytes,
            snapshot_running: false,
        })
    }

    /// The state now, which may hold commands that are not durable yet.
    pub(crate) fn machine(&self) -> &M {
        &self.machine
    }

    /// Appends a command and makes its change. The effect is to be carried out once the ticket
    /// says that it is durable.
    pub(crate) fn commit(
        &mut self,
        command: M::Command,
        now: Timestamp,
    ) -> Result<(M::Effect, Ticket), AppendError> {
        let frame = encode::<M>(&command);
        let size = frame.len();
        let ticket = self.append(vec![frame], size, now)?;
        Ok((self.machine.apply(command), ticket))
    }

    /// As [`StateLog::commit`] for several commands, whose effects are not wanted. `None` when
    /// there are no commands; otherwise the ticket covers all of them.
    pub(crate) fn commit_all(
        &mut self,
        commands: Vec<M::Command>,
        now: Timestamp,
    ) -> Result<Option<Ticket>, AppendError> {
        let mut last = None;
        let mut pending = Vec::new();
        let (mut frames, mut size) = (Vec::new(), 0);
        for command in commands {
            let frame = encode::<M>(&command);
            size += frame.len();
            frames.push(frame);
            pending.push(command);
            if size >= BATCH_BYTES_MAX {
                last = Some(self.append(std::mem::take(&mut frames), size, now)?);
                self.apply_all(&mut pending);
                size = 0;
            }
        }
        if !frames.is_empty() {
            last = Some(self.append(frames, size, now)?);
            self.apply_all(&mut pending);
        }
        Ok(last)
    }

    /// Waits, outside the caller's lock, until everything in the state now is durable: whatever
    /// has been shown to anyone must survive.
    pub(crate) fn settled(&self) -> Settled {
        Settled { log: Arc::clone(&self.log), until: self.applied }
    }

    /// Whether the commands since the last snapshot outweigh it.
    pub(crate) fn snapshot_due(&self) -> bool {
        !self.snapshot_running && self.suffix_bytes >= SUFFIX_BYTES_MIN.max(self.snapshot_bytes / 2)
    }

    /// Encodes the state, to be written by [`PendingSnapshot::write`] outside the caller's lock;
    /// then call [`StateLog::end_snapshot`].
    pub(crate) fn begin_snapshot(&mut self) -> PendingSnapshot {
        let mut bytes = Vec::with_capacity(self.snapshot_bytes);
        self.machine.snapshot(&mut bytes);
        self.snapshot_running = true;
        self.snapshot_bytes = bytes.len();
        self.suffix_bytes = 0;
        let (topic, log) = (self.topic.clone(), Arc::clone(&self.log));
        PendingSnapshot::new(topic, log, self.applied, bytes)
    }

    /// Allows the next snapshot.
    pub(crate) fn end_snapshot(&mut self) {
        self.snapshot_running = false;
    }

    fn append(
        &mut self,
        frames: Vec<Bytes>,
        size: usize,
        now: Timestamp,
    ) -> Result<Ticket, AppendError> {
        let mut batch = BatchBuilder::new(Compression::None);
        for frame in frames {
            let (key, value) = Frame::Command(frame).encode();
            batch.push(now, Some(key), Some(&value), &[]);
        }
        let appended = self.log.append(batch.build()?)?;
        self.applied = appended.last_offset.plus(1);
        self.suffix_bytes += size;
        Ok(appended.ticket)
    }

    fn apply_all(&mut self, commands: &mut Vec<M::Command>) {
        for command in commands.drain(..) {
            self.machine.apply(command);
        }
    }
}

/// See [`StateLog::settled`].
pub(crate) struct Settled {
    log: Arc<dyn Log>,
    until: Offset,
}

impl Settled {
    /// Waits.
    pub(crate) async fn wait(self) -> Result<(), DurabilityError> {
        if decision(self.log.as_ref(), self.until).await {
            Ok(())
        } else {
            Err(DurabilityError::Closed)
        }
    }
}

fn encode<M: StateMachine>(command: &M::Command) -> Bytes {
    let mut out = Vec::new();
    M::encode(command, &mut out);
    out.into()
}
