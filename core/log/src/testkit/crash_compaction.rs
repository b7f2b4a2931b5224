//! Crashes while a compacted topic is written and compacted.
//!
//! Keys are written over and over, now and then deleted, and compaction runs in between; the power
//! goes at any moment. After each crash the newest acknowledged value of each key must be there, or
//! one that was sent later, and no key may have gone back to an older value.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use posthouse_record::Record;
use posthouse_types::{ByteSize, Clock, ManualClock, Offset, Timestamp};

use super::crash::{Broken, Plan};
use super::{Dice, FaultyDisk, keyed, partition, read_records, tombstone};
use crate::{CleanupPolicy, Engine, LocalConfig, LocalEngine, Log, LogConfig, OpenError};

const KEYS: usize = 12;
/// More than the power ever lasts for.
const STEPS_MAX: usize = 1_000;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Crashes survived.
    pub crashes: usize,
    /// Crashes at which a compaction was under way, so that recovery had to tell old from new.
    pub amid_compaction: usize,
    /// Values acknowledged.
    pub acknowledged: usize,
    /// Records that compaction removed.
    pub compacted: u64,
}

/// Runs a plan on `disk`.
///
/// # Errors
/// [`Broken`], as in [`super::crash::run`].
pub async fn run(plan: Plan, disk: &FaultyDisk) -> Result<Outcome, Broken> {
    let mut world = World {
        dice: Dice::new(plan.seed),
        disk: disk.clone(),
        clock: ManualClock::new(Timestamp::from_ms(1_700_000_000_000)),
        keys: HashMap::new(),
        sent: 0,
        outcome: Outcome::default(),
    };
    for _ in 0..plan.crashes {
        world.live_and_crash().await?;
        world.outcome.crashes += 1;
    }
    Ok(world.outcome)
}

struct World {
    dice: Dice,
    disk: FaultyDisk,
    clock: ManualClock,
    keys: HashMap<String, Key>,
    /// Values sent so far; each value is its number.
    sent: usize,
    outcome: Outcome,
}

/// What the writer knows of one key.
#[derive(Clone, Debug, Default)]
struct Key {
    /// The newest acknowledged number, and whether it deleted the key.
    acknowledged: usize,
    /// Numbers sent since, with whether each deletes. A tombstone's number is not stored.
    sent_since: Vec<(usize, bool)>,
    acknowledged_deletes: bool,
}

impl World {
    async fn live_and_crash(&mut self) -> Result<(), Broken> {
        let (engine, log) =
            self.open().await.map_err(|error| broken(format!("does not open: {error}")))?;
        let records =
            read_records(&*log).await.map_err(|error| broken(format!("reading: {error}")))?;
        self.check(&records)?;
        self.disk.cut_power_after(self.dice.below(200));
        for _ in 0..STEPS_MAX {
            if self.disk.is_off() {
                break;
            }
            self.step(&*log).await;
        }
        let is_marked = |path: &PathBuf| path.ends_with("compacting");
        let amid = self.disk.files().iter().any(|(path, _)| is_marked(path));
        self.outcome.amid_compaction += usize::from(amid);
        if self.dice.once_in(4) {
            self.disk.kill_process()
        } else {
            self.disk.power_on()
        }
        drop((log, engine));
        Ok(())
    }

    async fn open(&self) -> Result<(Arc<LocalEngine>, Arc<dyn Log>), OpenError> {
        let config = LocalConfig {
            tail_cache: ByteSize(0),
            commit_threads: 1,
            open_files_max: 2,
            disk: Arc::new(self.disk.mount()),
            ..LocalConfig::new(PathBuf::from("/data"))
        };
        let engine = LocalEngine::open(config, Arc::new(self.clock.clone()))?;
        let log = engine.open(partition(0), log_config()).await?;
        Ok((engine, log))
    }

    async fn step(&mut self, log: &dyn Log) {
        if self.dice.once_in(8) {
            self.clock.advance(Duration::from_secs(1));
            if let Ok(maintained) = log.maintain(self.clock.wall()).await {
                self.outcome.compacted += maintained.records_compacted;
            }
            return;
        }
        let name = format!("key-{}", self.dice.below(KEYS));
        let deletes = self.dice.once_in(6);
        self.sent += 1;
        let number = self.sent;
        let batch = if deletes { tombstone(&name) } else { keyed(&[(&name, &number.to_string())]) };
        let key = self.keys.entry(name).or_default();
        let Ok(appended) = log.append(batch) else { return };
        key.sent_since.push((number, deletes));
        if appended.ticket.durable().await.is_ok() {
            (key.acknowledged, key.acknowledged_deletes) = (number, deletes);
            key.sent_since.clear();
            self.outcome.acknowledged += 1;
        }
    }

    /// Compares what is stored with what is known, and takes it for known from now on.
    fn check(&mut self, records: &[Record]) -> Result<(), Broken> {
        let mut newest: HashMap<String, Option<usize>> = HashMap::new();
        let mut last_offset: Option<Offset> = None;
        for record in records {
            if last_offset.is_some_and(|last| record.offset <= last) {
                return Err(broken(format!("offset {} is there twice", record.offset)));
            }
            last_offset = Some(record.offset);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let name = text(record.key.as_deref().unwrap_or_default());
            let value = record.value.as_deref().and_then(|value| text(value).parse().ok());
            let before = newest.insert(name.clone(), value).flatten();
            if value.is_some() && value < before {
                return Err(broken(format!("{name}: {value:?} after {before:?}")));
            }
        }
        for (name, key) in &mut self.keys {
            key.check(name, newest.get(name).copied().flatten())?;
        }
        Ok(())
    }
}

impl Key {
    fn check(&mut self, name: &str, found: Option<usize>) -> Result<(), Broken> {
        let is_acknowledged = if self.acknowledged_deletes || self.acknowledged == 0 {
            found.is_none()
        } else {
            found == Some(self.acknowledged)
        };
        let later = self.sent_since.iter().find(|&&(number, deletes)| {
            if deletes { found.is_none() } else { found == Some(number) }
        });
        match (is_acknowledged, later) {
            (true, _) => {}
            (false, Some(&(number, deletes))) => {
                (self.acknowledged, self.acknowledged_deletes) = (number, deletes);
            }
            (false, None) => return Err(broken(format!("{name} is {found:?}, known: {self:?}"))),
        }
        self.sent_since.clear();
        Ok(())
    }
}

fn log_config() -> LogConfig {
    LogConfig {
        cleanup: CleanupPolicy::COMPACT,
        segment_bytes: ByteSize(1_000),
        tombstone_age: Duration::from_secs(3),
        dirty_ratio_permille: 1,
        ..LogConfig::default()
    }
}

fn broken(what: String) -> Broken {
    Broken::new(what)
}
