//! Crashes at random moments, and the check that nothing acknowledged is lost by them.
//!
//! Idempotent producers write to a few partitions of the local engine over a [`FaultyDisk`] until the
//! power goes, at a moment that nobody chose; then the engine is opened again and every partition is
//! compared with what its producer knows. The producers send again what was not acknowledged, so in
//! the end each record must be there exactly once.
//!
//! [`run`] gives an error, and does not panic, when the log broke a promise: a disk that does not
//! sync must make it do so, or the check would prove nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use posthouse_types::{ByteSize, Clock, LeaderEpoch, ManualClock, Offset, Timestamp};

use super::{Dice, FaultyDisk, numbered, partition, read_records};
use crate::{Engine, LocalConfig, LocalEngine, Log, LogConfig, OpenError, Ticket};

/// Batches a producer has on their way, as many as a log remembers.
const IN_FLIGHT_MAX: usize = 5;
const PARTITIONS: u32 = 3;

/// How the run goes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What everything random is drawn from.
    pub seed: u64,
    /// How many times the power is cut, or the process killed.
    pub crashes: usize,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Crashes survived.
    pub crashes: usize,
    /// Records that were acknowledged, and were there after every crash.
    pub acknowledged: usize,
    /// Records that were not acknowledged, and were there all the same.
    pub unacknowledged_kept: usize,
    /// Records that were not acknowledged, and were lost and sent again.
    pub sent_again: usize,
    /// Files and directories that were synced.
    pub syncs: u64,
}

/// A promise that was broken, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Broken(String);

impl Broken {
    pub(super) fn new(what: String) -> Broken {
        Broken(what)
    }
}

/// Runs a plan on `disk`.
///
/// # Errors
/// [`Broken`] when records are missing, repeated or out of order, when what a reader saw is gone, when
/// an epoch or a log start went back, or when the log does not open.
pub async fn run(plan: Plan, disk: &FaultyDisk) -> Result<Outcome, Broken> {
    let mut world = World {
        dice: Dice::new(plan.seed),
        disk: disk.clone(),
        clock: ManualClock::new(Timestamp::from_ms(1_700_000_000_000)),
        producers: (0..PARTITIONS).map(Producer::new).collect(),
        outcome: Outcome::default(),
    };
    for _ in 0..plan.crashes {
        world.live_and_crash().await?;
        world.outcome.crashes += 1;
    }
    world.outcome.syncs = disk.syncs();
    world.outcome.acknowledged = world.producers.iter().map(|producer| producer.acknowledged).sum();
    Ok(world.outcome)
}

struct World {
    dice: Dice,
    disk: FaultyDisk,
    clock: ManualClock,
    producers: Vec<Producer>,
    outcome: Outcome,
}

/// One partition's producer, and what it knows of the partition.
struct Producer {
    index: u32,
    /// Records in each batch it ever sent; the sequence of its first record is the sum before it.
    batches: Vec<usize>,
    /// How many of the batches were acknowledged.
    acknowledged_batches: usize,
    acknowledged: usize,
    /// The furthest durable end that anyone was shown.
    seen_end: Offset,
    /// The furthest log start that was promised, and the furthest that was asked for.
    log_start: Offset,
    log_start_asked: Offset,
    epoch: LeaderEpoch,
}

impl World {
    async fn live_and_crash(&mut self) -> Result<(), Broken> {
        // The power may go while the engine opens, so this may take several attempts.
        if self.dice.once_in(4) {
            self.disk.cut_power_after(self.dice.below(12));
        }
        let (engine, logs) = match self.open().await {
            Ok(opened) => opened,
            Err(_) if self.disk.is_off() => {
                self.disk.power_on();
                self.open().await.map_err(|error| Broken(format!("does not open: {error}")))?
            }
            Err(error) => return Err(Broken(format!("does not open: {error}"))),
        };
        for (producer, log) in self.producers.iter_mut().zip(&logs) {
            producer.check(&**log, &mut self.outcome).await?;
        }
        self.disk.cut_power_after(self.dice.below(150));
        while !self.disk.is_off() && !self.dice.once_in(60) {
            let index = self.dice.below(logs.len());
            self.step(index, &*logs[index]).await?;
        }
        self.end(engine, logs).await
    }

    async fn open(&self) -> Result<(Arc<LocalEngine>, Vec<Arc<dyn Log>>), OpenError> {
        let config = LocalConfig {
            tail_cache: ByteSize(if self.producers[0].batches.len().is_multiple_of(2) {
                0
            } else {
                1 << 20
            }),
            commit_threads: 2,
            open_files_max: 2,
            disk: Arc::new(self.disk.mount()),
            ..LocalConfig::new(PathBuf::from("/data"))
        };
        let engine = LocalEngine::open(config, Arc::new(self.clock.clone()))?;
        let mut logs = Vec::new();
        for index in 0..PARTITIONS {
            logs.push(engine.open(partition(index), log_config()).await?);
        }
        Ok((engine, logs))
    }

    /// Sends a few batches and waits for some of them; now and then something else.
    async fn step(&mut self, index: usize, log: &dyn Log) -> Result<(), Broken> {
        let producer = &mut self.producers[index];
        match self.dice.below(12) {
            0 => {
                // A failure here is the power's, which the loop around this notices.
                let _ = log.maintain(self.clock.wall()).await;
            }
            1 => {
                let end = log.ends().durable_end;
                let ahead = end.since(producer.log_start);
                let to = producer.log_start.plus(self.dice.roll() % (ahead + 1));
                producer.log_start_asked = producer.log_start_asked.max(to);
                if let Ok(start) = log.truncate_head(to).await {
                    producer.log_start = producer.log_start.max(start);
                }
            }
            2 => {
                self.clock.advance(Duration::from_secs(1));
            }
            _ => {
                let count = 1 + self.dice.below(IN_FLIGHT_MAX);
                producer.send(log, count, &mut self.dice).await?;
            }
        }
        producer.look(log);
        Ok(())
    }

    async fn end(
        &mut self,
        engine: Arc<LocalEngine>,
        logs: Vec<Arc<dyn Log>>,
    ) -> Result<(), Broken> {
        match self.dice.below(8) {
            0 if !self.disk.is_off() => {
                self.disk.cut_power_after(usize::MAX);
                let closed = engine.shutdown().await;
                closed.map_err(|error| Broken(format!("does not shut down: {error}")))?;
                self.disk.kill_process();
            }
            // Also amid whatever was under way when, it seemed, the power went.
            1..3 => self.disk.kill_process(),
            _ => self.disk.power_on(),
        }
        drop(logs);
        drop(engine);
        Ok(())
    }
}

/// Small segments, so that there are many of them.
fn log_config() -> LogConfig {
    LogConfig { segment_bytes: ByteSize(2_000), retention_age: None, ..LogConfig::default() }
}

impl Producer {
    fn new(index: u32) -> Producer {
        Producer {
            index,
            batches: Vec::new(),
            acknowledged_batches: 0,
            acknowledged: 0,
            seen_end: Offset::ZERO,
            log_start: Offset::ZERO,
            log_start_asked: Offset::ZERO,
            epoch: LeaderEpoch(-1),
        }
    }

    /// Sends batches one after the other, then waits for all of them or for a failure.
    async fn send(&mut self, log: &dyn Log, count: usize, dice: &mut Dice) -> Result<(), Broken> {
        let mut tickets: Vec<(usize, Ticket)> = Vec::new();
        for _ in 0..count {
            if self.batches.len() - self.acknowledged_batches >= IN_FLIGHT_MAX {
                break;
            }
            let records = 1 + dice.below(6);
            let first = self.sequence(self.batches.len());
            let Ok(appended) = log.append(self.batch(first, records)) else { break };
            if appended.base_offset.value() != i64::from(first) || appended.duplicate {
                return Err(self.broken(&format!("batch {first} went to {appended:?}")));
            }
            self.batches.push(records);
            tickets.push((self.batches.len(), appended.ticket));
            // A reader may be shown what is durable at any moment.
            self.look(log);
        }
        for (batches, ticket) in tickets {
            if ticket.durable().await.is_err() {
                break;
            }
            self.acknowledge(batches);
        }
        Ok(())
    }

    fn acknowledge(&mut self, batches: usize) {
        self.acknowledged_batches = self.acknowledged_batches.max(batches);
        self.acknowledged = self.batches[..self.acknowledged_batches].iter().sum();
    }

    fn look(&mut self, log: &dyn Log) {
        self.seen_end = self.seen_end.max(log.ends().durable_end);
    }

    /// Compares a log that was opened again with what is known of it, and sends again what is not
    /// known to be there.
    async fn check(&mut self, log: &dyn Log, outcome: &mut Outcome) -> Result<(), Broken> {
        let ends = log.ends();
        if log.epoch() <= self.epoch {
            return Err(self.broken(&format!("epoch {} after {}", log.epoch(), self.epoch)));
        }
        self.epoch = log.epoch();
        if ends.durable_end < self.seen_end {
            return Err(self.broken(&format!("seen up to {}, now {ends:?}", self.seen_end)));
        }
        if ends.log_start < self.log_start || ends.log_start > self.log_start_asked {
            let (low, high) = (self.log_start, self.log_start_asked);
            return Err(self.broken(&format!("log start was {low} to {high}, now {ends:?}")));
        }
        self.log_start = ends.log_start;
        let kept = usize::try_from(ends.durable_end.value()).unwrap_or(usize::MAX);
        let sent: usize = self.batches.iter().sum();
        if kept < self.acknowledged || kept > sent {
            let acknowledged = self.acknowledged;
            return Err(self.broken(&format!("{kept} of {acknowledged} to {sent} records")));
        }
        outcome.unacknowledged_kept += kept - self.acknowledged;
        outcome.sent_again += sent - kept;
        self.check_records(log).await?;
        self.send_again(log, kept).await
    }

    /// Each record says its own number, which is its offset.
    async fn check_records(&self, log: &dyn Log) -> Result<(), Broken> {
        let records =
            read_records(log).await.map_err(|error| self.broken(&format!("reading: {error}")))?;
        let ends = log.ends();
        let mut expected = ends.log_start;
        for record in records {
            let number = record.timestamp.as_ms();
            if record.offset != expected || number != expected.value() {
                let found = record.offset;
                return Err(self.broken(&format!("record {number} at {found}, not {expected}")));
            }
            expected = expected.plus(1);
        }
        if expected != ends.durable_end {
            return Err(self.broken(&format!("records end at {expected}: {ends:?}")));
        }
        Ok(())
    }

    async fn send_again(&mut self, log: &dyn Log, kept: usize) -> Result<(), Broken> {
        let mut tickets = Vec::new();
        for batch in self.acknowledged_batches..self.batches.len() {
            let first = self.sequence(batch);
            let appended = log
                .append(self.batch(first, self.batches[batch]))
                .map_err(|error| self.broken(&format!("batch {first} sent again: {error}")))?;
            let was_there = usize::try_from(first).is_ok_and(|first| first < kept);
            if appended.base_offset.value() != i64::from(first) || appended.duplicate != was_there {
                return Err(self.broken(&format!("batch {first} sent again: {appended:?}")));
            }
            tickets.push((batch + 1, appended.ticket));
        }
        for (batches, ticket) in tickets {
            if ticket.durable().await.is_err() {
                break;
            }
            self.acknowledge(batches);
        }
        Ok(())
    }

    fn sequence(&self, batch: usize) -> i32 {
        let before: usize = self.batches[..batch].iter().sum();
        i32::try_from(before).expect("a test sends fewer than 2^31 records")
    }

    fn batch(&self, first: i32, records: usize) -> posthouse_record::UnplacedBatch {
        numbered(i64::from(self.index) + 1, 0, first, records)
    }

    fn broken(&self, what: &str) -> Broken {
        Broken(format!("partition {}: {what}", self.index))
    }
}
