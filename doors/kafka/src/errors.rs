//! Posthouse's errors as Kafka's error codes.
//!
//! The only place that chooses a code. Each function is one exhaustive match; a golden table in the
//! tests pins the choices. A code that Kafka's clients retry is chosen only where a retry can help.

use std::error::Error;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::{
    AccessError, AlterTopicError, AppendFailure, CommitError, CreateTopicError, DeleteGroupError,
    Denied, FetchError, GroupError, JoinError, LookupError, ProducerIdError,
};
use posthouse_log::{
    AppendError, DeleteError, DurabilityError, OpenError, ReadError, StorageError, TruncateError,
};
use posthouse_record::BatchError;
use posthouse_types::NameError;

/// Kafka's "no error".
pub(crate) const NONE: i16 = 0;

/// A refusal: the code and the words for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Refusal {
        Refusal { code, text: text.into() }
    }

    /// The text as a response carries it.
    pub(crate) fn message(&self) -> StrBytes {
        StrBytes::from_string(self.text.clone())
    }
}

/// An error with its code, in words that include what caused it.
///
/// What is not allowed is told in words that name nothing: who asks by a topic's id may not know its
/// name.
pub(crate) fn refusal(code: Code, error: &dyn Error) -> Refusal {
    if let Some(text) = not_allowed(code) {
        return Refusal::new(code, text);
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    Refusal { code, text }
}

fn not_allowed(code: Code) -> Option<&'static str> {
    match code {
        Code::TopicAuthorizationFailed => Some("not allowed on this topic"),
        Code::GroupAuthorizationFailed => Some("not allowed on this group"),
        Code::ClusterAuthorizationFailed => Some("not allowed on the cluster"),
        _ => None,
    }
}

macro_rules! refusals {
    ($($name:ident => $code:ident),* $(,)?) => {
        $(impl From<&$name> for Refusal {
            fn from(error: &$name) -> Refusal {
                refusal($code(error), error)
            }
        })*
    };
}

refusals! {
    LookupError => lookup,
    AppendFailure => append_failure,
    FetchError => fetch,
    GroupError => group,
    JoinError => join,
    CommitError => commit,
    DeleteGroupError => delete_group,
    CreateTopicError => create_topic,
    AlterTopicError => alter_topic,
    ProducerIdError => producer_id,
    AccessError => access,
    Denied => cluster,
}

pub(crate) fn lookup(error: &LookupError) -> Code {
    match error {
        LookupError::UnknownTopic(_) | LookupError::UnknownPartition { .. } => {
            Code::UnknownTopicOrPartition
        }
        LookupError::UnknownTopicId(_) => Code::UnknownTopicId,
        LookupError::Opening { .. } => Code::NotLeaderOrFollower,
        LookupError::Failed { .. } => Code::KafkaStorageError,
        LookupError::Denied(_) => Code::TopicAuthorizationFailed,
    }
}

pub(crate) fn append_failure(error: &AppendFailure) -> Code {
    match error {
        AppendFailure::Lookup(error) => lookup(error),
        AppendFailure::Batch(error) => batch(error),
        AppendFailure::Internal(_) => Code::InvalidTopicException,
        AppendFailure::Create { source, .. } => create_topic(source),
        AppendFailure::Append(error) => append(error),
        AppendFailure::Durability(error) => durability(error),
    }
}

fn append(error: &AppendError) -> Code {
    match error {
        AppendError::Batch(error) => batch(error),
        AppendError::TooLarge { .. } => Code::MessageTooLarge,
        AppendError::KeyMissing => Code::InvalidRecord,
        AppendError::OutOfOrderSequence { .. } => Code::OutOfOrderSequenceNumber,
        AppendError::DuplicateSequence { .. } => Code::DuplicateSequenceNumber,
        AppendError::FencedProducer { .. } => Code::InvalidProducerEpoch,
        AppendError::Fenced { .. } | AppendError::Closed => Code::NotLeaderOrFollower,
        AppendError::Failed(error) => storage(error),
    }
}

/// The batch may be there all the same; Kafka's producers retry these, and an idempotent one cannot
/// write it twice.
fn durability(error: &DurabilityError) -> Code {
    match error {
        DurabilityError::Fenced { .. } | DurabilityError::Closed => Code::NotLeaderOrFollower,
        DurabilityError::Failed(error) => storage(error),
    }
}

pub(crate) fn batch(error: &BatchError) -> Code {
    match error {
        BatchError::Truncated { .. }
        | BatchError::Checksum { .. }
        | BatchError::Decompress { .. } => Code::CorruptMessage,
        BatchError::TrailingBytes(_)
        | BatchError::Magic(_)
        | BatchError::Field { .. }
        | BatchError::ExpandsTooFar { .. }
        | BatchError::Record { .. } => Code::InvalidRecord,
        BatchError::UnknownCompression(_) => Code::UnsupportedCompressionType,
    }
}

/// A full disk and a broken one look the same to Kafka's clients, which retry until their timeout.
fn storage(_error: &StorageError) -> Code {
    Code::KafkaStorageError
}

pub(crate) fn fetch(error: &FetchError) -> Code {
    match error {
        FetchError::Lookup(error) => lookup(error),
        FetchError::FencedEpoch { .. } => Code::FencedLeaderEpoch,
        FetchError::UnknownEpoch { .. } => Code::UnknownLeaderEpoch,
        FetchError::Read(error) => read(error),
    }
}

fn read(error: &ReadError) -> Code {
    match error {
        ReadError::OutOfRange { .. } => Code::OffsetOutOfRange,
        ReadError::Storage(error) => storage(error),
        ReadError::Damaged { .. } => Code::CorruptMessage,
        ReadError::Closed => Code::NotLeaderOrFollower,
    }
}

pub(crate) fn group(error: &GroupError) -> Code {
    match error {
        GroupError::InvalidGroup(_) => Code::InvalidGroupId,
        GroupError::Loading(_) => Code::CoordinatorLoadInProgress,
        GroupError::UnknownMember { .. } => Code::UnknownMemberId,
        GroupError::IllegalGeneration { .. } => Code::IllegalGeneration,
        GroupError::Rebalancing(_) => Code::RebalanceInProgress,
        GroupError::FencedInstance { .. } => Code::FencedInstanceId,
        GroupError::InconsistentProtocol { .. } => Code::InconsistentGroupProtocol,
        GroupError::Unavailable(_) => Code::CoordinatorNotAvailable,
        GroupError::Limit { .. } => Code::PolicyViolation,
        GroupError::Denied(_) => Code::GroupAuthorizationFailed,
    }
}

pub(crate) fn join(error: &JoinError) -> Code {
    match error {
        JoinError::Group(error) => group(error),
        JoinError::MemberIdRequired(_) => Code::MemberIdRequired,
        JoinError::SessionTimeout { .. } => Code::InvalidSessionTimeout,
        JoinError::Full { .. } => Code::GroupMaxSizeReached,
    }
}

/// A commit is told that its coordinator is gone when it could not be kept, because that is what
/// Kafka's consumers retry.
pub(crate) fn commit(error: &CommitError) -> Code {
    match error {
        CommitError::Group(error) => group(error),
        CommitError::Lookup(error) => lookup(error),
        CommitError::MetadataTooLarge { .. } => Code::OffsetMetadataTooLarge,
        CommitError::Storage(_) => Code::CoordinatorNotAvailable,
    }
}

pub(crate) fn delete_group(error: &DeleteGroupError) -> Code {
    match error {
        DeleteGroupError::NotFound(_) => Code::GroupIdNotFound,
        DeleteGroupError::NotEmpty(_) => Code::NonEmptyGroup,
        DeleteGroupError::Subscribed { .. } => Code::GroupSubscribedToTopic,
        DeleteGroupError::Group(error) => group(error),
        DeleteGroupError::Storage(_) => Code::CoordinatorNotAvailable,
    }
}

pub(crate) fn create_topic(error: &CreateTopicError) -> Code {
    match error {
        CreateTopicError::Exists(_) => Code::TopicAlreadyExists,
        CreateTopicError::AliasTaken { .. } | CreateTopicError::Name(_) => {
            Code::InvalidTopicException
        }
        CreateTopicError::Partitions { .. } => Code::InvalidPartitions,
        CreateTopicError::Config { .. } | CreateTopicError::Schema { .. } => Code::InvalidConfig,
        CreateTopicError::Storage(error) => open(error),
        CreateTopicError::Catalog(error) => catalog(error),
        CreateTopicError::Denied(_) => Code::TopicAuthorizationFailed,
    }
}

pub(crate) fn alter_topic(error: &AlterTopicError) -> Code {
    match error {
        AlterTopicError::Lookup(error) => lookup(error),
        AlterTopicError::Partitions { .. } => Code::InvalidPartitions,
        AlterTopicError::Config { .. } | AlterTopicError::Schema { .. } => Code::InvalidConfig,
        AlterTopicError::Internal(_) => Code::InvalidTopicException,
        AlterTopicError::Open(error) => open(error),
        AlterTopicError::Delete(error) => match error {
            DeleteError::Storage(error) => storage(error),
            DeleteError::Closed => Code::NotController,
        },
        AlterTopicError::Truncate(error) => match error {
            TruncateError::OutOfRange { .. } => Code::OffsetOutOfRange,
            TruncateError::Storage(error) => storage(error),
            TruncateError::Closed => Code::NotLeaderOrFollower,
        },
        AlterTopicError::Catalog(error) => catalog(error),
    }
}

fn open(error: &OpenError) -> Code {
    match error {
        OpenError::Storage(error) => storage(error),
        OpenError::Damaged { .. }
        | OpenError::DamagedFormat { .. }
        | OpenError::NewerFormat { .. }
        | OpenError::InUse { .. } => Code::KafkaStorageError,
        OpenError::Closed => Code::NotController,
    }
}

/// The catalog's own log failed or is closing; admin clients retry elsewhere or give up.
fn catalog(error: &AppendFailure) -> Code {
    match error {
        AppendFailure::Lookup(_)
        | AppendFailure::Batch(_)
        | AppendFailure::Internal(_)
        | AppendFailure::Create { .. } => Code::UnknownServerError,
        AppendFailure::Append(error) => match append(error) {
            Code::NotLeaderOrFollower => Code::NotController,
            code => code,
        },
        AppendFailure::Durability(error) => match durability(error) {
            Code::NotLeaderOrFollower => Code::NotController,
            code => code,
        },
    }
}

pub(crate) fn producer_id(error: &ProducerIdError) -> Code {
    match error {
        ProducerIdError::Storage(_) => Code::CoordinatorNotAvailable,
        ProducerIdError::Denied(_) => Code::ClusterAuthorizationFailed,
    }
}

/// A change of who may come in, or of what they may do.
pub(crate) fn access(error: &AccessError) -> Code {
    match error {
        AccessError::UserExists(_) => Code::DuplicateResource,
        AccessError::UnknownUser(_) | AccessError::UnknownToken(_) => Code::ResourceNotFound,
        AccessError::Name(_) | AccessError::Password(_) => Code::UnacceptableCredential,
        AccessError::Taken { .. }
        | AccessError::CurveKey { .. }
        | AccessError::TooLong { .. }
        | AccessError::Expired => Code::InvalidRequest,
        AccessError::TooMany { .. } | AccessError::LastSuperuser(_) => Code::PolicyViolation,
        AccessError::Catalog(error) => catalog(error),
        AccessError::Superuser | AccessError::Denied(_) => Code::ClusterAuthorizationFailed,
    }
}

/// What this door asks for by itself is asked of the cluster.
fn cluster(_denied: &Denied) -> Code {
    Code::ClusterAuthorizationFailed
}

/// A name that no topic can have.
pub(crate) fn name(_error: &NameError) -> Code {
    Code::InvalidTopicException
}

#[cfg(test)]
mod tests;
