//! A group as it is stored.
//!
//! Owns the layout. Everything is big-endian; a string or a value is its length as `u32` and its
//! bytes; an optional string is one byte, 0 or 1, and the string after 1.
//!
//! ```text
//! version u8 = 1 · group · generation i32 · protocol type? · protocol? · leader? · since i64
//! members u32, each: id · instance? · client id · client host · session ms u64 · rebalance ms u64
//!                    · protocols u32, each: name · metadata · assignment
//! ```
//!
//! # Invariants
//! - A record is written whole; bytes after its end are damage.
//! - All protocols of a member are kept, not only the one agreed on, so that a member that joins
//!   again after a restart is known to be unchanged and disturbs nobody.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use posthouse_types::Timestamp;

use super::limits::TIMEOUT_MAX;
use super::reader::Reader;

const VERSION: u8 = 1;

/// Bytes of the smallest member, to refuse a count that the record cannot hold.
const MEMBER_BYTES_MIN: usize = 4 + 1 + 4 + 4 + 8 + 8 + 4 + 4;

/// A group as it is to be found after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupRecord {
    /// Its name.
    pub(crate) group: String,
    /// Its generation.
    pub(crate) generation: i32,
    /// What its members agreed to be.
    pub(crate) protocol_type: Option<String>,
    /// The assignor agreed on.
    pub(crate) protocol: Option<String>,
    /// The member that assigns.
    pub(crate) leader: Option<String>,
    /// When it came into its state.
    pub(crate) since: Timestamp,
    /// Its members; none for an empty group.
    pub(crate) members: Vec<MemberRecord>,
}

/// A member as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberRecord {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
}

/// Why a stored group cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GroupRecordError {
    /// Written by a later release.
    #[error("group record has version {found}; this release reads up to {VERSION}")]
    Version {
        /// What it says.
        found: u8,
    },
    /// Not what this module writes.
    #[error("group record of {size} bytes is damaged")]
    Damaged {
        /// Its size.
        size: usize,
    },
}

impl GroupRecord {
    /// The record's bytes.
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_u8(VERSION);
        put(&mut bytes, self.group.as_bytes());
        bytes.put_i32(self.generation);
        put_optional(&mut bytes, self.protocol_type.as_deref());
        put_optional(&mut bytes, self.protocol.as_deref());
        put_optional(&mut bytes, self.leader.as_deref());
        bytes.put_i64(self.since.as_ms());
        put_count(&mut bytes, self.members.len());
        for member in &self.members {
            member.encode(&mut bytes);
        }
        bytes.freeze()
    }

    /// Reads what [`GroupRecord::encode`] wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<GroupRecord, GroupRecordError> {
        let mut reader = Reader::new(bytes);
        let damaged = || GroupRecordError::Damaged { size: bytes.len() };
        match reader.u8().ok_or_else(damaged)? {
            VERSION => {}
            found => return Err(GroupRecordError::Version { found }),
        }
        let record = read_group(&mut reader).ok_or_else(damaged)?;
        if reader.remaining() == 0 { Ok(record) } else { Err(damaged()) }
    }
}

impl MemberRecord {
    fn encode(&self, bytes: &mut BytesMut) {
        put(bytes, self.id.as_bytes());
        put_optional(bytes, self.instance_id.as_deref());
        put(bytes, self.client_id.as_bytes());
        put(bytes, self.client_host.as_bytes());
        put_timeout(bytes, self.session_timeout);
        put_timeout(bytes, self.rebalance_timeout);
        put_count(bytes, self.protocols.len());
        for (name, metadata) in &self.protocols {
            put(bytes, name.as_bytes());
            put(bytes, metadata);
        }
        put(bytes, &self.assignment);
    }
}

fn put(bytes: &mut BytesMut, value: &[u8]) {
    put_count(bytes, value.len());
    bytes.put_slice(value);
}

fn put_optional(bytes: &mut BytesMut, value: Option<&str>) {
    bytes.put_u8(u8::from(value.is_some()));
    if let Some(value) = value {
        put(bytes, value.as_bytes());
    }
}

fn put_count(bytes: &mut BytesMut, count: usize) {
    bytes.put_u32(u32::try_from(count).expect("a group is limited to far fewer bytes"));
}

fn put_timeout(bytes: &mut BytesMut, timeout: Duration) {
    bytes.put_u64(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
}

fn read_group(reader: &mut Reader<'_>) -> Option<GroupRecord> {
    let group = read_string(reader)?;
    let generation = reader.i32().filter(|generation| *generation >= 0)?;
    let protocol_type = read_optional(reader)?;
    let protocol = read_optional(reader)?;
    let leader = read_optional(reader)?;
    let since = Timestamp::from_ms(reader.i64()?);
    let count = read_count(reader, MEMBER_BYTES_MIN)?;
    let members = (0..count).map(|_| read_member(reader)).collect::<Option<_>>()?;
    Some(GroupRecord { group, generation, protocol_type, protocol, leader, since, members })
}

fn read_member(reader: &mut Reader<'_>) -> Option<MemberRecord> {
    Some(MemberRecord {
        id: read_string(reader)?,
        instance_id: read_optional(reader)?,
        client_id: read_string(reader)?,
        client_host: read_string(reader)?,
        session_timeout: read_timeout(reader)?,
        rebalance_timeout: read_timeout(reader)?,
        protocols: {
            let count = read_count(reader, 8)?;
            (0..count)
                .map(|_| Some((read_string(reader)?, read_bytes(reader)?)))
                .collect::<Option<_>>()?
        },
        assignment: read_bytes(reader)?,
    })
}

/// A count of things that take at least `each_min` bytes, so that it can be trusted to allocate.
fn read_count(reader: &mut Reader<'_>, each_min: usize) -> Option<usize> {
    let count = usize::try_from(reader.u32()?).ok()?;
    (count <= reader.remaining() / each_min).then_some(count)
}

fn read_slice<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = usize::try_from(reader.u32()?).ok()?;
    reader.take(len)
}

fn read_bytes(reader: &mut Reader<'_>) -> Option<Bytes> {
    read_slice(reader).map(Bytes::copy_from_slice)
}

fn read_string(reader: &mut Reader<'_>) -> Option<String> {
    std::str::from_utf8(read_slice(reader)?).ok().map(str::to_owned)
}

fn read_optional(reader: &mut Reader<'_>) -> Option<Option<String>> {
    match reader.u8()? {
        0 => Some(None),
        1 => read_string(reader).map(Some),
        _ => None,
    }
}

fn read_timeout(reader: &mut Reader<'_>) -> Option<Duration> {
    let timeout = Duration::from_millis(reader.u64()?);
    (timeout <= TIMEOUT_MAX).then_some(timeout)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member() -> impl Strategy<Value = MemberRecord> {
        let protocol = ("[a-z]{1,8}", prop::collection::vec(any::<u8>(), 0..20));
        (
            ("[a-z0-9-]{1,12}", prop::option::of("[a-z]{1,5}"), ".{0,8}", ".{0,8}"),
            (0..1_000_000_u64, 0..1_000_000_u64),
            prop::collection::vec(protocol.prop_map(|(name, bytes)| (name, bytes.into())), 0..4),
            prop::collection::vec(any::<u8>(), 0..20),
        )
            .prop_map(|(ids, timeouts, protocols, assignment)| MemberRecord {
                id: ids.0,
                instance_id: ids.1,
                client_id: ids.2,
                client_host: ids.3,
                session_timeout: Duration::from_millis(timeouts.0),
                rebalance_timeout: Duration::from_millis(timeouts.1),
                protocols,
                assignment: assignment.into(),
            })
    }

    fn record() -> impl Strategy<Value = GroupRecord> {
        let text = || prop::option::of("[a-z]{0,8}");
        (
            ".{0,10}",
            0..i32::MAX,
            text(),
            text(),
            text(),
            any::<i64>(),
            prop::collection::vec(member(), 0..4),
        )
            .prop_map(
                |(group, generation, protocol_type, protocol, leader, since, members)| {
                    let since = Timestamp::from_ms(since);
                    GroupRecord {
                        group,
                        generation,
                        protocol_type,
                        protocol,
                        leader,
                        since,
                        members,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn a_record_reads_back_as_written(record in record()) {
            prop_assert_eq!(GroupRecord::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn every_truncation_is_refused(record in record()) {
            let bytes = record.encode();
            for end in 0..bytes.len() {
                prop_assert!(GroupRecord::decode(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = GroupRecord::decode(&[&[VERSION][..], &bytes].concat());
        }
    }

    #[test]
    fn a_later_version_is_named() {
        assert_eq!(GroupRecord::decode(&[2]), Err(GroupRecordError::Version { found: 2 }));
    }

    #[test]
    fn a_count_that_the_record_cannot_hold_is_refused() {
        let empty = GroupRecord {
            group: "g".into(),
            generation: 1,
            protocol_type: None,
            protocol: None,
            leader: None,
            since: Timestamp::NONE,
            members: vec![],
        };
        let mut bytes = empty.encode().to_vec();
        let count_at = bytes.len() - 4;
        bytes[count_at..].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(GroupRecord::decode(&bytes), Err(GroupRecordError::Damaged { .. })));
    }
}
