//! How far a sink has come: which records are in its file, and how long the file was with them.
//!
//! One JSON object in a hidden file beside the log file, replaced as a whole: written under another
//! name, made durable, renamed.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};

use posthouse_types::{Offset, PartitionIndex, Timestamp, TopicId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::place::{Place, SinkError, open_plain};

/// LIMIT: bytes of a checkpoint; 100,000 partitions have room.
const BYTES_MAX: u64 = 4 << 20;

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Which file it was, whatever it is called now.
    pub(super) inode: u64,
    /// How long it was.
    pub(super) length: u64,
    /// When its first line was written.
    pub(super) begun: Timestamp,
}

/// How far a sink has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// Of which declaration.
    pub(super) sink: Uuid,
    /// Of which topic; none of channels.
    pub(super) topic: Option<TopicId>,
    /// The next record of each partition.
    pub(super) positions: BTreeMap<PartitionIndex, Offset>,
    /// The file that holds those before.
    pub(super) mark: Mark,
}

impl Checkpoint {
    /// The last one; `None` when there is none.
    pub(super) fn load(place: &Place) -> Result<Option<Checkpoint>, SinkError> {
        let path = place.checkpoint();
        let mut text = Vec::new();
        let read = open_plain(&path, OpenOptions::new().read(true))
            .and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SinkError::new("read", &path, error)),
        }
        let checkpoint = serde_json::from_slice(&text);
        checkpoint.map(Some).map_err(|error| SinkError::new("understand", &path, error.into()))
    }

    /// Durable when it returns.
    pub(super) fn save(&self, place: &Place) -> Result<(), SinkError> {
        let (path, draft) = (place.checkpoint(), place.checkpoint_draft());
        let text = serde_json::to_vec(self).expect("its keys are numbers");
        let mut options = OpenOptions::new();
        let written = open_plain(&draft, options.write(true).create(true).truncate(true))
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_data()))
            .and_then(|()| fs::rename(&draft, &path));
        written.map_err(|error| SinkError::new("write", &path, error))?;
        place.sync_names()
    }
}
