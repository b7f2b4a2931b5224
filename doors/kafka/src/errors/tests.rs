//! The golden table: every error with the code that Kafka's clients see.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use posthouse_broker::Denied;
use posthouse_types::{
    LeaderEpoch, Offset, PartitionId, PartitionIndex, Principal, ProducerEpoch, ProducerId,
    Sequence, TopicId, TopicName,
};
use uuid::Uuid;

use super::*;

fn topic() -> TopicName {
    TopicName::new("orders").unwrap()
}

fn disk() -> StorageError {
    let source = Arc::new(io::Error::from(io::ErrorKind::StorageFull));
    StorageError { action: "write", path: PathBuf::from("/data"), source }
}

fn denied() -> Denied {
    Denied {
        principal: Principal::anonymous(),
        operation: "read".to_string(),
        resource: "topic orders".to_string(),
    }
}

fn lookups() -> Vec<(LookupError, i16)> {
    let index = PartitionIndex::new(9);
    vec![
        (LookupError::UnknownTopic(topic()), 3),
        (LookupError::UnknownTopicId(TopicId(Uuid::nil())), 100),
        (LookupError::UnknownPartition { topic: topic(), index, partitions: 4 }, 3),
        (LookupError::Opening { topic: topic(), index }, 6),
        (LookupError::Failed { topic: topic(), index, source: OpenError::Storage(disk()) }, 56),
        (LookupError::Denied(denied()), 29),
    ]
}

#[test]
fn lookups_have_their_codes() {
    for (error, code) in lookups() {
        assert_eq!(lookup(&error).code(), code, "{error:?}");
        assert_eq!(append_failure(&AppendFailure::Lookup(error.clone())).code(), code);
        assert_eq!(fetch(&FetchError::Lookup(error)).code(), code);
    }
}

#[test]
fn appends_have_their_codes() {
    let producer = ProducerId(7);
    let table = [
        (AppendError::Batch(BatchError::Checksum { stored: 1, computed: 2 }), 2),
        (AppendError::Batch(BatchError::Truncated { len: 1, needed: 2 }), 2),
        (AppendError::Batch(BatchError::Decompress { codec: "gzip", reason: String::new() }), 2),
        (AppendError::Batch(BatchError::TrailingBytes(1)), 87),
        (AppendError::Batch(BatchError::Magic(1)), 87),
        (AppendError::Batch(BatchError::Field { field: "count", value: -1 }), 87),
        (AppendError::Batch(BatchError::ExpandsTooFar { max: 1 }), 87),
        (AppendError::Batch(BatchError::Record { index: 0, reason: "short" }), 87),
        (AppendError::Batch(BatchError::UnknownCompression(6)), 76),
        (AppendError::TooLarge { size: 2, max: 1 }, 10),
        (AppendError::KeyMissing, 87),
        (
            AppendError::OutOfOrderSequence {
                producer,
                sequence: Sequence(5),
                expected: Sequence(3),
            },
            45,
        ),
        (AppendError::DuplicateSequence { producer, sequence: Sequence(1) }, 46),
        (
            AppendError::FencedProducer {
                producer,
                epoch: ProducerEpoch(0),
                current: ProducerEpoch(1),
            },
            47,
        ),
        (AppendError::Fenced { epoch: LeaderEpoch(1) }, 6),
        (AppendError::Failed(disk()), 56),
        (AppendError::Closed, 6),
    ];
    for (error, code) in table {
        assert_eq!(append_failure(&AppendFailure::Append(error.clone())).code(), code, "{error:?}");
    }
    let table = [
        (DurabilityError::Fenced { epoch: LeaderEpoch(1) }, 6),
        (DurabilityError::Failed(disk()), 56),
        (DurabilityError::Closed, 6),
    ];
    for (error, code) in table {
        assert_eq!(append_failure(&AppendFailure::Durability(error)).code(), code);
    }
    assert_eq!(append_failure(&AppendFailure::Internal(topic())).code(), 17);
    let exists = Box::new(CreateTopicError::Exists(topic()));
    assert_eq!(append_failure(&AppendFailure::Create { name: topic(), source: exists }).code(), 36);
}

#[test]
fn reads_have_their_codes() {
    let (asked, current) = (LeaderEpoch(1), LeaderEpoch(2));
    let out_of_range = ReadError::OutOfRange {
        offset: Offset::ZERO,
        log_start: Offset::ZERO,
        durable_end: Offset::ZERO,
    };
    let source = BatchError::Magic(0);
    let table = [
        (FetchError::FencedEpoch { asked, current }, 74),
        (FetchError::UnknownEpoch { asked, current }, 75),
        (FetchError::Read(out_of_range), 1),
        (FetchError::Read(ReadError::Storage(disk())), 56),
        (FetchError::Read(ReadError::Damaged { offset: Offset::ZERO, source }), 2),
        (FetchError::Read(ReadError::Closed), 6),
    ];
    for (error, code) in table {
        assert_eq!(fetch(&error).code(), code, "{error:?}");
    }
}

#[test]
fn groups_have_their_codes() {
    let group_name = || "g".to_string();
    let table = [
        (GroupError::InvalidGroup(String::new()), 24),
        (GroupError::Loading(group_name()), 14),
        (GroupError::UnknownMember { group: group_name(), member: String::new() }, 25),
        (GroupError::IllegalGeneration { group: group_name(), asked: 1, current: 2 }, 22),
        (GroupError::Rebalancing(group_name()), 27),
        (GroupError::FencedInstance { instance: String::new() }, 82),
        (GroupError::InconsistentProtocol { group: group_name(), asked: String::new() }, 23),
        (GroupError::Unavailable(group_name()), 15),
        (GroupError::Limit { group: group_name(), what: "members", max: 1 }, 44),
        (GroupError::Denied(denied()), 30),
    ];
    for (error, code) in table {
        assert_eq!(group(&error).code(), code, "{error:?}");
        assert_eq!(join(&JoinError::Group(error.clone())).code(), code);
        assert_eq!(commit(&CommitError::Group(error.clone())).code(), code);
        assert_eq!(delete_group(&DeleteGroupError::Group(error)).code(), code);
    }
    let failure = || AppendFailure::Append(AppendError::Closed);
    assert_eq!(join(&JoinError::MemberIdRequired(String::new())).code(), 79);
    let timeout = JoinError::SessionTimeout { asked_ms: 1, min_ms: 2, max_ms: 3 };
    assert_eq!(join(&timeout).code(), 26);
    assert_eq!(join(&JoinError::Full { group: group_name(), max: 1 }).code(), 81);
    assert_eq!(commit(&CommitError::MetadataTooLarge { size: 2, max: 1 }).code(), 12);
    assert_eq!(commit(&CommitError::Storage(failure())).code(), 15);
    assert_eq!(commit(&CommitError::Lookup(LookupError::UnknownTopic(topic()))).code(), 3);
    assert_eq!(delete_group(&DeleteGroupError::NotFound(group_name())).code(), 69);
    assert_eq!(delete_group(&DeleteGroupError::NotEmpty(group_name())).code(), 68);
    let subscribed = DeleteGroupError::Subscribed { group: group_name(), topic: topic() };
    assert_eq!(delete_group(&subscribed).code(), 86);
    assert_eq!(delete_group(&DeleteGroupError::Storage(failure())).code(), 15);
}

#[test]
fn administration_has_its_codes() {
    let text = String::new;
    let closed = || AppendFailure::Append(AppendError::Closed);
    let partition = PartitionId { topic: TopicId(Uuid::nil()), index: PartitionIndex::ZERO };
    let damaged = OpenError::Damaged { partition, offset: Offset::ZERO, reason: text() };
    let alias = CreateTopicError::AliasTaken { name: topic(), alias: text(), taken_by: topic() };
    let table = [
        (CreateTopicError::Exists(topic()), 36),
        (alias, 17),
        (CreateTopicError::Name(NameError::Empty), 17),
        (CreateTopicError::Partitions { count: 0, max: 1 }, 37),
        (CreateTopicError::Config { name: text(), value: text(), reason: text() }, 40),
        (CreateTopicError::Schema { name: text(), reason: text() }, 40),
        (CreateTopicError::Storage(OpenError::Storage(disk())), 56),
        (CreateTopicError::Storage(damaged), 56),
        (CreateTopicError::Storage(OpenError::Closed), 41),
        (CreateTopicError::Catalog(closed()), 41),
        (CreateTopicError::Denied(denied()), 29),
    ];
    for (error, code) in table {
        assert_eq!(create_topic(&error).code(), code, "{error:?}");
    }
    let beyond = TruncateError::OutOfRange { to: Offset::ZERO, durable_end: Offset::ZERO };
    let table = [
        (AlterTopicError::Lookup(LookupError::UnknownTopic(topic())), 3),
        (AlterTopicError::Partitions { topic: topic(), current: 1, asked: 1, max: 1 }, 37),
        (AlterTopicError::Config { name: text(), value: text(), reason: text() }, 40),
        (AlterTopicError::Schema { name: text(), reason: text() }, 40),
        (AlterTopicError::Internal(topic()), 17),
        (AlterTopicError::Open(OpenError::Closed), 41),
        (AlterTopicError::Delete(DeleteError::Storage(disk())), 56),
        (AlterTopicError::Delete(DeleteError::Closed), 41),
        (AlterTopicError::Truncate(beyond), 1),
        (AlterTopicError::Truncate(TruncateError::Storage(disk())), 56),
        (AlterTopicError::Truncate(TruncateError::Closed), 6),
        (AlterTopicError::Catalog(closed()), 41),
    ];
    for (error, code) in table {
        assert_eq!(alter_topic(&error).code(), code, "{error:?}");
    }
    assert_eq!(producer_id(&ProducerIdError::Storage(closed())).code(), 15);
    assert_eq!(producer_id(&ProducerIdError::Denied(denied())).code(), 31);
}

#[test]
fn the_text_includes_the_causes() {
    let error = AppendFailure::Append(AppendError::Failed(disk()));
    let text = Refusal::from(&error).text;
    assert!(text.starts_with("the log failed and takes no more records until restart: "), "{text}");
    assert!(text.contains("cannot write /data"), "{text}");
}

#[test]
fn changes_of_access_have_their_codes() {
    let user = || posthouse_access::UserName::new("alice").unwrap();
    let table = [
        (AccessError::UserExists(user()), 92),
        (AccessError::UnknownUser("alice".into()), 91),
        (AccessError::Name(posthouse_access::UserNameError::Empty), 93),
        (AccessError::Password(posthouse_access::VerifierError::Empty), 93),
        (AccessError::Taken { value: "CN=alice".into(), owner: user() }, 42),
        (AccessError::TooMany { what: "users", max: 1 }, 44),
        (AccessError::LastSuperuser(user()), 44),
        (AccessError::Catalog(AppendFailure::Append(AppendError::Closed)), 41),
        (AccessError::Superuser, 31),
        (AccessError::Denied(denied()), 31),
    ];
    for (error, code) in table {
        assert_eq!(access(&error).code(), code, "{error:?}");
    }
}

/// A topic may be asked for by its id: then the words must not give its name away.
#[test]
fn what_is_not_allowed_is_told_without_a_name() {
    let secret = || Denied {
        principal: Principal::user("alice"),
        operation: "Describe".into(),
        resource: "topic secret".into(),
    };
    let texts = [
        Refusal::from(&LookupError::Denied(secret())).text,
        Refusal::from(&GroupError::Denied(secret())).text,
        Refusal::from(&secret()).text,
    ];
    for text in texts {
        assert!(!text.contains("secret") && !text.is_empty(), "{text}");
    }
}
