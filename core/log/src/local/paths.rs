//! The names of everything in a data directory. The one place that knows them.
//!
//! ```text
//! LOCK                          held while a node runs; its process id
//! clean                         there while no node runs and the last one closed everything
//! format                        the version of this layout, and the incarnation of the engine
//! logs/<topic uuid>/<index>/    one partition
//!   checkpoint                  what is known of the partition up to a position; see checkpoint.rs
//!   compacting                  there while sealed segments may differ from the checkpoint's word
//!   <base offset>.log           a segment: record batches, one after the other
//!   <base offset>.index         its sparse index, written when it is sealed; can be rebuilt
//! gone/<topic uuid>-<index>-<n> a deleted partition on its way out
//! ```

use std::path::{Path, PathBuf};

use posthouse_types::{Offset, PartitionId, PartitionIndex, TopicId};

use crate::StorageError;
use crate::disk::{Disk, storage};

/// SPEC: Kafka names segments by their base offset in twenty digits, so that names sort as numbers.
const OFFSET_DIGITS: usize = 20;

pub(crate) const LOCK: &str = "LOCK";
pub(crate) const CLEAN: &str = "clean";
pub(crate) const FORMAT: &str = "format";
pub(crate) const LOGS: &str = "logs";
pub(crate) const GONE: &str = "gone";
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const COMPACTING: &str = "compacting";

/// Where a partition lies.
pub(crate) fn partition(root: &Path, partition: PartitionId) -> PathBuf {
    topic(root, partition.topic).join(partition.index.to_string())
}

/// Where a topic's partitions lie.
pub(crate) fn topic(root: &Path, topic: TopicId) -> PathBuf {
    root.join(LOGS).join(topic.to_string())
}

/// The partitions that have a directory in a data directory.
///
/// # Errors
/// The disk's.
pub(crate) fn partitions_in(
    disk: &dyn Disk,
    root: &Path,
) -> Result<Vec<PartitionId>, StorageError> {
    let logs = root.join(LOGS);
    let mut found = Vec::new();
    for topic in disk.list(&logs).map_err(storage("list", &logs))? {
        let directory = logs.join(&topic);
        for index in disk.list(&directory).map_err(storage("list", &directory))? {
            found.extend(parse_partition(&topic, &index));
        }
    }
    Ok(found)
}

/// The partition that a topic's directory and one within it stand for.
fn parse_partition(topic: &str, index: &str) -> Option<PartitionId> {
    let topic = TopicId(topic.parse().ok()?);
    Some(PartitionId { topic, index: PartitionIndex::new(index.parse().ok()?) })
}

/// A segment's file.
pub(crate) fn segment(partition: &Path, base: Offset) -> PathBuf {
    partition.join(format!("{:0OFFSET_DIGITS$}.log", base.value()))
}

/// A segment's sparse index.
pub(crate) fn index(partition: &Path, base: Offset) -> PathBuf {
    partition.join(format!("{:0OFFSET_DIGITS$}.index", base.value()))
}

/// The base offset of a segment's file, by its name.
pub(crate) fn parse_segment(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(".log")?;
    if digits.len() != OFFSET_DIGITS {
        return None;
    }
    Offset::new(digits.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_found_by_the_name_it_was_given() {
        let base = Offset::new(1_234_567).unwrap();
        let path = segment(Path::new("x"), base);
        assert_eq!(path, Path::new("x/00000000000001234567.log"));
        assert_eq!(parse_segment(path.file_name().unwrap().to_str().unwrap()), Some(base));
        assert_eq!(parse_segment("00000000000001234567.index"), None);
        assert_eq!(parse_segment("17.log"), None);
    }
}
