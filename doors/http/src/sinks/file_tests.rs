//! A sink's file through rotations, crashes at any point, and hands of others.

use std::collections::BTreeMap;
use std::path::Path;

use posthouse_types::TopicId;
use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;

const NEVER: Rotation = Rotation { bytes: None, age: None, keep: 3 };
const NOW: Timestamp = Timestamp::NONE;

fn fresh() -> Checkpoint {
    Checkpoint {
        sink: Uuid::nil(),
        topic: Some(TopicId(Uuid::nil())),
        positions: BTreeMap::new(),
        mark: Mark { inode: 0, length: 0, begun: NOW },
    }
}

/// As a node that begins finds it.
fn open(directory: &TempDir, rotation: Rotation, resume: Resume) -> SinkFile {
    let place = Place::find(directory.path(), "x.log").unwrap();
    let checkpoint = Checkpoint::load(&place).unwrap().unwrap_or_else(fresh);
    SinkFile::open(place, rotation, checkpoint, resume).unwrap()
}

fn next(file: &SinkFile) -> i64 {
    file.checkpoint().positions.get(&PartitionIndex::ZERO).map_or(0, |offset| offset.value())
}

/// Writes record number `offset`, which is its own number.
fn push(file: &mut SinkFile, offset: i64, now: Timestamp) {
    let next = (PartitionIndex::ZERO, Offset::new(offset + 1).unwrap());
    file.push(format!("{offset}\n").as_bytes(), Some(next), now).unwrap();
}

/// Everything in the file and those rotated away, the oldest first.
fn lines(directory: &Path) -> Vec<i64> {
    let mut all = String::new();
    for number in (1..10).rev() {
        all += &fs::read_to_string(directory.join(format!("x.log.{number}"))).unwrap_or_default();
    }
    all += &fs::read_to_string(directory.join("x.log")).unwrap_or_default();
    all.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn what_was_not_committed_is_cut_off_and_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut file = open(&directory, NEVER, Resume::Cut);
    push(&mut file, 0, NOW);
    file.commit().unwrap();
    push(&mut file, 1, NOW);
    file.write().unwrap();
    assert_eq!(lines(directory.path()), [0, 1]);
    drop(file);
    let mut file = open(&directory, NEVER, Resume::Cut);
    assert_eq!((next(&file), lines(directory.path())), (1, vec![0]));
    push(&mut file, 1, NOW);
    file.commit().unwrap();
    assert_eq!(lines(directory.path()), [0, 1]);
}

#[test]
fn files_are_rotated_by_size_and_the_oldest_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let rotation = Rotation { bytes: Some(4), age: None, keep: 2 };
    let mut file = open(&directory, rotation, Resume::Cut);
    for offset in 0..10 {
        push(&mut file, offset, NOW);
    }
    file.commit().unwrap();
    assert_eq!(lines(directory.path()), [4, 5, 6, 7, 8, 9]);
    assert!(!directory.path().join("x.log.3").exists());
}

#[test]
fn a_line_longer_than_the_limit_has_a_file_to_itself() {
    let directory = tempfile::tempdir().unwrap();
    let mut file = open(&directory, Rotation { bytes: Some(1), ..NEVER }, Resume::Cut);
    for offset in 0..3 {
        push(&mut file, offset, NOW);
    }
    file.commit().unwrap();
    assert_eq!(fs::read_to_string(directory.path().join("x.log.2")).unwrap(), "0\n");
}

#[test]
fn files_are_rotated_by_the_age_of_their_first_line() {
    let directory = tempfile::tempdir().unwrap();
    let rotation = Rotation { age: Some(Duration::from_secs(1)), ..NEVER };
    let at = |ms| Timestamp::from_ms(ms);
    let mut file = open(&directory, rotation, Resume::Cut);
    file.rotate_before(0, at(9_000_000)).unwrap();
    push(&mut file, 0, at(9_000_000));
    file.rotate_before(0, at(9_000_999)).unwrap();
    assert!(!directory.path().join("x.log.1").exists());
    file.rotate_before(0, at(9_001_000)).unwrap();
    assert_eq!(lines(directory.path()), [0]);
    assert!(directory.path().join("x.log.1").exists());
}

#[test]
fn a_line_cut_short_is_ended_where_nothing_can_be_written_again() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("x.log"), "0\n1").unwrap();
    let mut file = open(&directory, NEVER, Resume::Keep);
    file.push(b"2\n", None, NOW).unwrap();
    file.commit().unwrap();
    assert_eq!(lines(directory.path()), [0, 1, 2]);
}

#[test]
fn a_file_that_somebody_else_put_there_is_not_cut() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.log");
    let mut file = open(&directory, NEVER, Resume::Cut);
    push(&mut file, 0, NOW);
    file.commit().unwrap();
    fs::rename(&path, directory.path().join("elsewhere")).unwrap();
    fs::write(&path, "7\n8\n9\n").unwrap();
    let mut file = open(&directory, NEVER, Resume::Cut);
    push(&mut file, 1, NOW);
    file.commit().unwrap();
    assert_eq!(lines(directory.path()), [7, 8, 9, 1]);
}

proptest! {
    // Each commit waits for the disk, twice.
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Any history of writing, committing, rotating and dying: every record is there once, in order.
    #[test]
    fn each_record_is_written_once_whenever_the_process_dies(
        steps in prop::collection::vec(0..5u8, 1..60),
        bytes in prop::option::of(4..20u64),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let rotation = Rotation { bytes, age: None, keep: 1000 };
        let mut file = open(&directory, rotation, Resume::Cut);
        for step in steps {
            match step {
                0 | 1 => {
                    let offset = next(&file);
                    push(&mut file, offset, NOW);
                }
                2 => file.write().unwrap(),
                3 => file.commit().unwrap(),
                _ => {
                    drop(file);
                    file = open(&directory, rotation, Resume::Cut);
                }
            }
        }
        file.commit().unwrap();
        let end = next(&file);
        let mut all = Vec::new();
        for number in (0..200).rev() {
            let name = if number == 0 { "x.log".to_owned() } else { format!("x.log.{number}") };
            all.push(fs::read_to_string(directory.path().join(name)).unwrap_or_default());
        }
        let found: Vec<i64> = all.concat().lines().map(|line| line.parse().unwrap()).collect();
        prop_assert_eq!(found, (0..end).collect::<Vec<_>>());
    }
}
