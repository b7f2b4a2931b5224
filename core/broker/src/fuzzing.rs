//! The decoders of stored state and of members' metadata, for the fuzz targets alone.
//!
//! Each takes anything, and panics only when something that was read does not read back the same
//! after it was written again.

use bytes::Bytes;

use crate::catalog::Catalog;
use crate::groups::{GroupRecord, subscribed_topics};
use crate::state::{Frame, StateMachine};

/// A command of the catalog.
pub fn catalog_command(input: &[u8]) {
    let Ok(command) = Catalog::decode(input) else { return };
    let mut written = Vec::new();
    Catalog::encode(&command, &mut written);
    assert_eq!(Catalog::decode(&written).expect("it was just written"), command);
    Catalog::default().apply(command);
}

/// A snapshot of the catalog.
pub fn catalog_snapshot(input: &[u8]) {
    let Ok(catalog) = Catalog::restore(input) else { return };
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    catalog.snapshot(&mut once);
    Catalog::restore(&once).expect("it was just written").snapshot(&mut twice);
    assert_eq!(once, twice);
}

/// A record of a state's log: the key, up to the first zero byte, and the value after it.
pub fn state_record(input: &[u8]) {
    let key_len = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let key = Bytes::copy_from_slice(&input[..key_len]);
    let value = input.get(key_len + 1..).map(Bytes::copy_from_slice);
    let Ok(frame) = Frame::decode(Some(key), value) else { return };
    let (key, value) = frame.encode();
    let again = Frame::decode(Some(Bytes::from_static(key)), Some(value));
    assert_eq!(again.expect("it was just written"), frame);
}

/// A stored consumer group.
pub fn group_record(input: &[u8]) {
    let Ok(record) = GroupRecord::decode(input) else { return };
    assert_eq!(GroupRecord::decode(&record.encode()).expect("it was just written"), record);
}

/// What a member of a consumer group says it subscribes to.
pub fn subscription(input: &[u8]) {
    if let Some(topics) = subscribed_topics(input) {
        assert!(topics.len() <= input.len() / 2, "a topic takes its length at least");
    }
}
