//! The file of a sink: appending, making durable, rotating, and finding its place after a crash.
//!
//! # Invariants
//! - A checkpoint is written after the lines that it counts are durable, and before the file that
//!   holds them gets another name; the new file's checkpoint, before anything is written into it.
//! - So, opened from a checkpoint, the file of its mark holds the lines counted and nothing else: what
//!   lies behind is cut off. A file that is not the mark's, or shorter, is left as it is.
//! - After any failure the value is of no more use; another one is opened. A failed sync is never
//!   tried again on the same lines.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use posthouse_types::{Offset, PartitionIndex, Timestamp};

use super::checkpoint::{Checkpoint, Mark};
use super::place::{Place, SinkError};
use crate::metrics;

/// LIMIT: bytes of lines held before they are written.
const BUFFER_BYTES_MAX: usize = 256 * 1024;

/// When a file is closed and another one begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rotation {
    /// Before it would be longer.
    pub(super) bytes: Option<u64>,
    /// When its first line is this old.
    pub(super) age: Option<Duration>,
    /// Closed files kept.
    pub(super) keep: u32,
}

/// What to do with lines that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// Cut off what lies behind the mark, because it will be written again.
    Cut,
    /// Keep them; one that was cut short is ended.
    Keep,
}

/// An open file.
#[derive(Debug)]
pub(super) struct SinkFile {
    place: Place,
    rotation: Rotation,
    file: File,
    buffer: Vec<u8>,
    /// Bytes written since the last checkpoint.
    uncommitted: u64,
    checkpoint: Checkpoint,
}

impl SinkFile {
    /// Opens the file where `checkpoint` left it.
    pub(super) fn open(
        place: Place,
        rotation: Rotation,
        checkpoint: Checkpoint,
        resume: Resume,
    ) -> Result<SinkFile, SinkError> {
        let mut file = place.open()?;
        let failed = |error| SinkError::new("look at", &place.file(), error);
        let known = file.metadata().map_err(failed)?;
        let (mut mark, mut length) = (checkpoint.mark, known.len());
        if mark.inode == known.ino() && resume == Resume::Cut && length > mark.length {
            file.set_len(mark.length).map_err(|e| SinkError::new("shorten", &place.file(), e))?;
            length = mark.length;
        }
        if mark.inode != known.ino() {
            let modified_ms = known.mtime() * 1000;
            mark = Mark { inode: known.ino(), length, begun: Timestamp::from_ms(modified_ms) };
        }
        mark.length = length;
        let buffer = if ends_in_a_line(&mut file, length).map_err(failed)? {
            Vec::new()
        } else {
            vec![b'\n']
        };
        let checkpoint = Checkpoint { mark, ..checkpoint };
        // Before anything is written, so that there is a length to cut back to.
        checkpoint.save(&place)?;
        Ok(SinkFile { place, rotation, file, buffer, uncommitted: 0, checkpoint })
    }

    /// How far it has come, with what is not durable yet.
    pub(super) fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Bytes written or held since the last commit.
    pub(super) fn uncommitted(&self) -> u64 {
        self.uncommitted + held(&self.buffer)
    }

    /// Adds lines, all of them into one file; with the next record of their partition, if they are
    /// of a topic.
    pub(super) fn push(
        &mut self,
        lines: &[u8],
        next: Option<(PartitionIndex, Offset)>,
        now: Timestamp,
    ) -> Result<(), SinkError> {
        self.rotate_before(lines.len(), now)?;
        if self.length() == 0 {
            self.checkpoint.mark.begun = now;
        }
        self.buffer.extend_from_slice(lines);
        self.checkpoint.positions.extend(next);
        if self.buffer.len() >= BUFFER_BYTES_MAX { self.write() } else { Ok(()) }
    }

    /// The next record of a partition, when those before it are no lines.
    pub(super) fn skip_to(&mut self, partition: PartitionIndex, next: Offset) {
        self.checkpoint.positions.insert(partition, next);
    }

    /// Hands what is held to the operating system.
    pub(super) fn write(&mut self) -> Result<(), SinkError> {
        let written = self.file.write_all(&self.buffer);
        written.map_err(|error| SinkError::new("write", &self.place.file(), error))?;
        let len = held(&self.buffer);
        self.checkpoint.mark.length += len;
        self.uncommitted += len;
        metrics::sink_bytes(len);
        self.buffer.clear();
        Ok(())
    }

    /// Makes everything durable, and notes it.
    pub(super) fn commit(&mut self) -> Result<(), SinkError> {
        self.write()?;
        let synced = self.file.sync_data();
        synced.map_err(|error| SinkError::new("sync", &self.place.file(), error))?;
        self.checkpoint.save(&self.place)?;
        self.uncommitted = 0;
        Ok(())
    }

    /// Begins another file if this one is too old, or would be too long with `more` bytes.
    pub(super) fn rotate_before(&mut self, more: usize, now: Timestamp) -> Result<(), SinkError> {
        let length = self.length();
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        let too_long = self.rotation.bytes.is_some_and(|max| length.saturating_add(more) > max);
        let age_ms = now.as_ms().saturating_sub(self.checkpoint.mark.begun.as_ms());
        let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
        let too_old = self.rotation.age.is_some_and(|max| age >= max);
        if length == 0 || !(too_long || too_old) {
            return Ok(());
        }
        self.commit()?;
        self.rename().map_err(|error| SinkError::new("rotate", &self.place.file(), error))?;
        self.file = self.place.open()?;
        let known = self.file.metadata();
        let known = known.map_err(|error| SinkError::new("open", &self.place.file(), error))?;
        self.checkpoint.mark = Mark { inode: known.ino(), length: 0, begun: now };
        self.checkpoint.save(&self.place)?;
        metrics::sink_rotated();
        Ok(())
    }

    /// Gives the file the number 1, and each numbered one the next number, up to the first gap: what
    /// a crash left half done is completed by the next rotation.
    fn rename(&self) -> std::io::Result<()> {
        let Rotation { keep, .. } = self.rotation;
        if keep == 0 {
            return fs::remove_file(self.place.file());
        }
        let gap = (1..keep).find(|number| !self.place.rotated(*number).exists()).unwrap_or(keep);
        for number in (1..gap).rev() {
            fs::rename(self.place.rotated(number), self.place.rotated(number + 1))?;
        }
        fs::rename(self.place.file(), self.place.rotated(1))
    }

    fn length(&self) -> u64 {
        self.checkpoint.mark.length + held(&self.buffer)
    }
}

fn held(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn ends_in_a_line(file: &mut File, length: u64) -> std::io::Result<bool> {
    let Some(last) = length.checked_sub(1) else { return Ok(true) };
    let mut byte = [0];
    file.seek(SeekFrom::Start(last))?;
    file.read_exact(&mut byte)?;
    Ok(byte == *b"\n")
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
