//! What the local engine reads back from its files, for the fuzz targets alone.
//!
//! Each takes anything and says whether it could be read. It panics only when a promise is broken:
//! what was read and written again reads back the same, and recovery finds the same twice.

mod disk;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use posthouse_record::{BATCH_HEADER_BYTES, Batch};
use posthouse_types::{Offset, PartitionId, PartitionIndex, Timestamp, TopicId};
use uuid::Uuid;

use self::disk::MemoryDisk;
use crate::disk::Disk;
use crate::local::checkpoint::Checkpoint;
use crate::local::index::SparseIndex;
use crate::local::recover::{Found, recover};
use crate::local::{incarnation, paths};
use crate::{LogConfig, ReadLimit};

const DIRECTORY: &str = "partition";
const NOW_MS: i64 = 1_700_000_000_000;

/// A checkpoint but for its checksum, which is added.
pub fn checkpoint(input: &[u8]) -> bool {
    let Some(checkpoint) = Checkpoint::decode(sealed(input)) else { return false };
    assert_eq!(Checkpoint::decode(checkpoint.encode()).expect("it was just written"), checkpoint);
    true
}

/// A segment's index but for its checksum, which is added; the segment has the size it names.
pub fn index(input: &[u8]) -> bool {
    const SIZE_AT: usize = 4;
    let Some(size) = input.get(SIZE_AT..).and_then(<[u8]>::first_chunk::<8>) else { return false };
    let size = u64::from_be_bytes(*size);
    let Some(index) = SparseIndex::decode(sealed(input), size) else { return false };
    let again = SparseIndex::decode(index.encode(size), size);
    assert_eq!(again.expect("it was just written"), index);
    for at in [0, 1, i64::MAX / 2, i64::MAX] {
        let offset = Offset::new(at).expect("it is not negative");
        assert!(index.floor(offset) <= index.floor(Offset::new(i64::MAX).expect("nor is this")));
        let _ = index.floor_time(Timestamp::from_ms(at));
        let _ = index.floor_position(at.unsigned_abs());
    }
    true
}

/// The file that names the format.
pub fn format(input: &[u8]) -> bool {
    incarnation::parse(input).is_some()
}

/// A partition's files: two bytes that say how long the checkpoint is, the checkpoint without its
/// checksum, and a segment. Checksums of whole batches are made right.
pub fn partition(input: &[u8]) -> bool {
    let Some((len, rest)) = input.split_first_chunk::<2>() else { return false };
    let Some((checkpoint, segment)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
    else {
        return false;
    };
    let directory = Path::new(DIRECTORY);
    let disk = MemoryDisk::default();
    disk.put(&paths::segment(directory, Offset::ZERO), repaired(segment));
    if !checkpoint.is_empty() {
        disk.put(&directory.join(paths::CHECKPOINT), sealed(checkpoint).to_vec());
    }
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let Some(first) = recovered(&disk) else { return false };
    let second = recovered(&disk).expect("it opened a moment ago");
    assert_eq!(first.next, second.next);
    assert_eq!(first.known, second.known);
    assert!(first.next >= first.known.log_start);
    read_back(&first) > 0
}

fn recovered(disk: &Arc<dyn Disk>) -> Option<Found> {
    let id = PartitionId { topic: TopicId(Uuid::nil()), index: PartitionIndex::ZERO };
    recover(disk, Path::new(DIRECTORY), id, &LogConfig::default(), Timestamp::from_ms(NOW_MS)).ok()
}

/// Reads every segment as a reader would; gives how many batches there are.
fn read_back(found: &Found) -> usize {
    let mut count = 0;
    for segment in &found.segments {
        let facts = segment.facts();
        let limit = ReadLimit { bytes: usize::MAX, until: facts.next };
        let Ok(Some(read)) = segment.read(facts.base, limit, true) else { continue };
        let mut chunk = read.chunk.load().expect("memory can be read");
        // A checkpoint that lies about its segment is found out here at the latest.
        while let Ok(Some(batch)) = Batch::next(&mut chunk) {
            assert!(batch.header().base_offset >= facts.base);
            count += 1;
        }
    }
    count
}

fn sealed(input: &[u8]) -> Bytes {
    let mut bytes = input.to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(input).to_be_bytes());
    Bytes::from(bytes)
}

/// The segment with the magic and checksum of every batch that is there whole made right.
fn repaired(segment: &[u8]) -> Vec<u8> {
    const LENGTH_AT: usize = 8;
    const MAGIC_AT: usize = 16;
    const CRC_AT: usize = 17;
    const ATTRIBUTES_AT: usize = 21;
    let mut bytes = segment.to_vec();
    let mut rest = bytes.as_mut_slice();
    while let Some(length) = rest.get(LENGTH_AT..).and_then(<[u8]>::first_chunk::<4>) {
        let size = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0).saturating_add(12);
        if size < BATCH_HEADER_BYTES || size > rest.len() {
            break;
        }
        let (batch, after) = std::mem::take(&mut rest).split_at_mut(size);
        batch[MAGIC_AT] = 2;
        let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
        batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        rest = after;
    }
    bytes
}
