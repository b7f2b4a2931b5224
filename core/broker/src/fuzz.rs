//! The decoders of stored state and of members' metadata, for the fuzz targets alone.
//!
//! Each takes anything and says whether it could be read. It panics only when something that was read
//! does not read back the same after it was written again.

use bytes::Bytes;

use crate::catalog::Catalog;
use crate::groups::{GroupRecord, subscribed_topics};
use crate::offsets::Offsets;
use crate::queues::Queues;
use crate::state::{Frame, StateMachine};

/// A command of the catalog.
pub fn catalog_command(input: &[u8]) -> bool {
    let Ok(command) = Catalog::decode(input) else { return false };
    let mut written = Vec::new();
    Catalog::encode(&command, &mut written);
    assert_eq!(Catalog::decode(&written).expect("it was just written"), command);
    Catalog::default().apply(command);
    true
}

/// A snapshot of the catalog.
pub fn catalog_snapshot(input: &[u8]) -> bool {
    let Ok(catalog) = Catalog::restore(input) else { return false };
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    catalog.snapshot(&mut once);
    Catalog::restore(&once).expect("it was just written").snapshot(&mut twice);
    assert_eq!(once, twice);
    true
}

/// A command of the groups' offsets.
pub fn offsets_command(input: &[u8]) -> bool {
    let Ok(command) = Offsets::decode(input) else { return false };
    let mut written = Vec::new();
    Offsets::encode(&command, &mut written);
    assert_eq!(Offsets::decode(&written).expect("it was just written"), command);
    let mut offsets = Offsets::default();
    offsets.apply(command);
    check_restored(&offsets);
    true
}

/// A snapshot of the groups' offsets.
pub fn offsets_snapshot(input: &[u8]) -> bool {
    let Ok(offsets) = Offsets::restore(input) else { return false };
    check_restored(&offsets);
    true
}

/// A command of the queues.
pub fn queues_command(input: &[u8]) -> bool {
    let Ok(command) = Queues::decode(input) else { return false };
    let mut written = Vec::new();
    Queues::encode(&command, &mut written);
    assert_eq!(Queues::decode(&written).expect("it was just written"), command);
    let mut queues = Queues::default();
    queues.apply(command);
    check_restored_queues(&queues);
    true
}

/// A snapshot of the queues.
pub fn queues_snapshot(input: &[u8]) -> bool {
    let Ok(queues) = Queues::restore(input) else { return false };
    check_restored_queues(&queues);
    true
}

/// A record of a state's log: the key, up to the first zero byte, and the value after it.
pub fn state_record(input: &[u8]) -> bool {
    let key_len = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let key = Bytes::copy_from_slice(&input[..key_len]);
    let value = input.get(key_len + 1..).map(Bytes::copy_from_slice);
    let Ok(frame) = Frame::decode(Some(key), value) else { return false };
    let (key, value) = frame.encode();
    let again = Frame::decode(Some(Bytes::from_static(key)), Some(value));
    assert_eq!(again.expect("it was just written"), frame);
    true
}

/// A stored consumer group.
pub fn group_record(input: &[u8]) -> bool {
    let Ok(record) = GroupRecord::decode(input) else { return false };
    assert_eq!(GroupRecord::decode(&record.encode()).expect("it was just written"), record);
    true
}

/// What a member of a consumer group says it subscribes to.
pub fn subscription(input: &[u8]) -> bool {
    let Some(topics) = subscribed_topics(input) else { return false };
    assert!(topics.len() <= input.len() / 2, "a topic takes its length at least");
    true
}

fn check_restored(offsets: &Offsets) {
    let mut snapshot = Vec::new();
    offsets.snapshot(&mut snapshot);
    assert_eq!(&Offsets::restore(&snapshot).expect("it was just written"), offsets);
}

fn check_restored_queues(queues: &Queues) {
    let mut snapshot = Vec::new();
    queues.snapshot(&mut snapshot);
    assert_eq!(&Queues::restore(&snapshot).expect("it was just written"), queues);
}
