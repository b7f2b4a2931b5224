//! Files that are cut and changed behind the engine's back, at random.
//!
//! Whatever was done to them: no panic, nothing that was never written is read, a torn tail is cut, and
//! damage anywhere else is reported by the opening, by the read, or by the checksum that every reader
//! of a batch can verify.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use posthouse_record::Batch;
use posthouse_types::{ByteSize, ManualClock, Offset, Timestamp};

use crate::testkit::{Dice, FaultyDisk, append, numbered, partition, read_records, sized};
use crate::{Engine, LocalConfig, LocalEngine, LogConfig, OpenError, ReadError};

const RECORDS: i64 = 60;

/// Five segments or so of a few batches each.
fn log_config() -> LogConfig {
    LogConfig { segment_bytes: ByteSize(500), retention_age: None, ..LogConfig::default() }
}

fn start(disk: &FaultyDisk) -> Arc<LocalEngine> {
    let disk = Arc::new(disk.mount());
    let clock = Arc::new(ManualClock::new(Timestamp::from_ms(1_700_000_000_000)));
    let config = LocalConfig { disk, commit_threads: 1, ..LocalConfig::new("/data") };
    LocalEngine::open(config, clock).expect("the data directory itself is not damaged")
}

/// A disk with one partition of records that say their own offset; closed cleanly, or killed.
async fn written(seed: u64, cleanly: bool) -> FaultyDisk {
    let disk = FaultyDisk::new(seed);
    let engine = start(&disk);
    let log = engine.open(partition(0), log_config()).await.unwrap();
    for first in (0..RECORDS).step_by(3) {
        let first = i32::try_from(first).unwrap();
        append(&*log, numbered(1, 0, first, 3)).ticket.durable().await.unwrap();
    }
    if cleanly {
        engine.shutdown().await.unwrap();
    }
    disk.kill_process();
    disk
}

/// What came of opening and reading a log.
#[derive(Debug)]
enum Found {
    /// This many records, each where it belongs, from the first on.
    Records(i64),
    /// All records, this many of them under offsets that are not theirs.
    Misplaced(usize),
    Reported,
}

async fn open_and_read(disk: &FaultyDisk) -> Found {
    let engine = start(disk);
    let log = match engine.open(partition(0), log_config()).await {
        Ok(log) => log,
        Err(OpenError::Damaged { .. }) => return Found::Reported,
        Err(other) => panic!("neither opened nor reported as damaged: {other}"),
    };
    let end = log.ends().durable_end;
    match read_records(&*log).await {
        Ok(records) => {
            let mut misplaced = 0;
            for (expected, record) in (0..).zip(&records) {
                assert_eq!(record.timestamp.as_ms(), expected, "a record is missing or no one's");
                misplaced += usize::from(record.offset.value() != expected);
            }
            if misplaced > 0 {
                return Found::Misplaced(misplaced);
            }
            assert_eq!(records.len() as i64, end.value(), "the log says that there is more");
            // What is there can be written to.
            let ticket = append(&*log, sized(100)).ticket;
            ticket.durable().await.unwrap();
            Found::Records(end.value())
        }
        Err(ReadError::Damaged { .. }) => Found::Reported,
        Err(other) => panic!("neither read nor reported as damaged: {other}"),
    }
}

fn segments(disk: &FaultyDisk) -> Vec<(PathBuf, u64)> {
    let mut files = disk.files();
    files.retain(|(path, _)| path.extension().is_some_and(|extension| extension == "log"));
    files
}

fn change_one_bit(disk: &FaultyDisk, path: &Path, at: usize, dice: &mut Dice) {
    let bit = dice.below(8);
    disk.tamper(path, |bytes| bytes[at] ^= 1 << bit);
}

/// Where in its batch a byte of a segment is.
fn position_in_batch(disk: &FaultyDisk, path: &Path, at: usize) -> usize {
    let mut rest = crate::Disk::read(disk, path).unwrap();
    let mut start = 0;
    loop {
        let batch = Batch::next(&mut rest).unwrap().expect("the byte is within the segment");
        let end = start + batch.bytes().len();
        if at < end {
            return at - start;
        }
        start = end;
    }
}

#[tokio::test]
async fn a_changed_bit_is_reported_wherever_it_is() {
    let (mut reported, mut epochs, mut gaps) = (0, 0, 0);
    for seed in 0..300 {
        let disk = written(seed, true).await;
        let mut dice = Dice::new(seed);
        let files = segments(&disk);
        let (path, len) = &files[dice.below(files.len())];
        let at = dice.below(usize::try_from(*len).unwrap());
        let field = position_in_batch(&disk, path, at);
        change_one_bit(&disk, path, at, &mut dice);
        match open_and_read(&disk).await {
            Found::Reported => reported += 1,
            // SPEC: Kafka's checksum leaves out the leader epoch, bytes 12 to 15 of a batch.
            Found::Records(count) if (12..16).contains(&field) => {
                assert_eq!(count, RECORDS);
                epochs += 1;
            }
            // Nor does it cover the base offset, bytes 0 to 7. One that cannot be is reported; one
            // that could be shows as a gap.
            Found::Misplaced(3) if field < 8 => gaps += 1,
            found => {
                panic!("seed {seed}: byte {field} of a batch in {path:?} unnoticed: {found:?}")
            }
        }
    }
    println!(
        "damage test: 300 bits changed, {reported} reported, {gaps} seen as a gap, {epochs} in a \
         leader epoch"
    );
}

#[tokio::test]
async fn a_log_cut_below_its_checkpoint_is_reported() {
    for seed in 0..100 {
        let disk = written(seed, true).await;
        let mut dice = Dice::new(seed);
        let files = segments(&disk);
        let (path, len) = &files[dice.below(files.len())];
        let cut = dice.below(usize::try_from(*len).unwrap());
        disk.tamper(path, |bytes| bytes.truncate(cut));
        let found = open_and_read(&disk).await;
        assert!(matches!(found, Found::Reported), "seed {seed}, {path:?} cut at {cut}: {found:?}");
    }
    println!("damage test: 100 segments cut below their checkpoint, all reported");
}

#[tokio::test]
async fn a_missing_segment_is_reported() {
    for cleanly in [true, false] {
        let count = segments(&written(1, cleanly).await).len();
        for index in 0..count - 1 {
            let disk = written(1, cleanly).await;
            let path = segments(&disk)[index].0.clone();
            crate::Disk::remove_file(&disk, &path).unwrap();
            let found = open_and_read(&disk).await;
            assert!(matches!(found, Found::Reported), "{path:?}: {found:?}");
        }
    }
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_nothing_before_it() {
    let mut cut_records = 0;
    for seed in 0..200 {
        let disk = written(seed, false).await;
        let mut dice = Dice::new(seed);
        let files = segments(&disk);
        let (path, len) = files.last().unwrap();
        let base: i64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        match dice.below(3) {
            0 => disk.tamper(path, |bytes| {
                bytes.truncate(dice.below(usize::try_from(*len).unwrap() + 1));
            }),
            1 => disk.tamper(path, |bytes| {
                bytes.extend((0..dice.below(2_000)).map(|_| dice.roll().to_le_bytes()[0]));
            }),
            _ => disk.tamper(path, |bytes| bytes.resize(bytes.len() + dice.below(5_000), 0)),
        }
        let Found::Records(count) = open_and_read(&disk).await else {
            panic!("seed {seed}: a torn tail is not damage")
        };
        assert!((base..=RECORDS).contains(&count), "seed {seed}: {count} records of {base}");
        cut_records += RECORDS - count;
        disk.kill_process();
    }
    println!("damage test: 200 torn tails, {cut_records} records cut");
    assert!(cut_records > 0);
}

#[tokio::test]
async fn more_than_one_write_of_garbage_is_not_a_torn_tail() {
    let disk = written(1, false).await;
    let path = segments(&disk).last().unwrap().0.clone();
    disk.tamper(&path, |bytes| bytes.resize(bytes.len() + (8 << 20), 0));
    assert!(matches!(open_and_read(&disk).await, Found::Reported));
}

#[tokio::test]
async fn damaged_indexes_and_checkpoints_are_made_again() {
    let mut checkpoints = 0;
    for seed in 0..200 {
        let disk = written(seed, true).await;
        let mut dice = Dice::new(seed);
        for (path, len) in disk.files() {
            let is_index = path.extension().is_some_and(|extension| extension == "index");
            let is_checkpoint = path.file_name().is_some_and(|name| name == "checkpoint");
            if !(is_index || is_checkpoint) || len == 0 || dice.once_in(2) {
                continue;
            }
            checkpoints += usize::from(is_checkpoint);
            if dice.once_in(2) {
                let at = dice.below(usize::try_from(len).unwrap());
                change_one_bit(&disk, &path, at, &mut dice);
            } else {
                let cut = dice.below(usize::try_from(len).unwrap());
                disk.tamper(&path, |bytes| bytes.truncate(cut));
            }
        }
        let found = open_and_read(&disk).await;
        assert!(matches!(found, Found::Records(RECORDS)), "seed {seed}: {found:?}");
    }
    println!(
        "damage test: 200 sets of indexes damaged, with {checkpoints} checkpoints; all opened"
    );
    assert!(checkpoints > 0);
}

#[tokio::test]
async fn searches_find_what_they_should_without_indexes() {
    let disk = written(3, true).await;
    for (path, _) in disk.files() {
        if path.extension().is_some_and(|extension| extension == "index") {
            crate::Disk::remove_file(&disk, &path).unwrap();
        }
    }
    let engine = start(&disk);
    let log = engine.open(partition(0), log_config()).await.unwrap();
    for at in 0..RECORDS {
        let found = log.offset_for_timestamp(Timestamp::from_ms(at)).await.unwrap().unwrap();
        assert_eq!(found.offset, Offset::new(at).unwrap());
    }
}
