//! Errors, one enum per operation that fails differently.

use std::time::Duration;

use posthouse_log::{
    AppendError, DeleteError, DurabilityError, OpenError, ReadError, TruncateError,
};
use posthouse_record::BatchError;
use posthouse_types::{
    LeaderEpoch, NameError, Offset, PartitionIndex, Principal, TopicId, TopicName,
};

use crate::{AccessError, DeclarationKind, EndpointRefused, LiveMessage};

/// The authorisation point said no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{principal} may not {operation} {resource}")]
pub struct Denied {
    /// Who asked.
    pub principal: Principal,
    /// What for, in words.
    pub operation: String,
    /// On what.
    pub resource: String,
}

/// Why a topic or partition cannot be found or used.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum LookupError {
    #[error("topic {0} does not exist")]
    UnknownTopic(TopicName),
    #[error("no topic has id {0}")]
    UnknownTopicId(TopicId),
    #[error("topic {topic} has {partitions} partitions; there is no partition {index}")]
    UnknownPartition { topic: TopicName, index: PartitionIndex, partitions: u32 },
    #[error("partition {index} of topic {topic} is still opening")]
    Opening { topic: TopicName, index: PartitionIndex },
    #[error("partition {index} of topic {topic} failed and needs a restart")]
    Failed {
        topic: TopicName,
        index: PartitionIndex,
        #[source]
        source: OpenError,
    },
    #[error(transparent)]
    Denied(#[from] Denied),
}

/// Why the broker cannot start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum OpenBrokerError {
    #[error("cannot open the log")]
    Log(#[from] OpenError),
    #[error("internal topic {topic} has a damaged record at offset {offset}: {reason}")]
    DamagedState { topic: String, offset: Offset, reason: String },
    #[error("cannot read internal topic {topic}")]
    Read {
        topic: String,
        #[source]
        source: ReadError,
    },
    #[error("cannot write internal topic {topic}")]
    Write {
        topic: String,
        #[source]
        source: DurabilityError,
    },
    #[error("cannot prepare who may come in")]
    Access(#[from] AccessError),
    #[error("internal topic {topic} refused a record")]
    Append {
        topic: String,
        #[source]
        source: AppendError,
    },
}

/// Why a topic was not made.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CreateTopicError {
    #[error("topic {0} already exists")]
    Exists(TopicName),
    #[error("topic {name} would be {alias} to Kafka clients, which topic {taken_by} already is")]
    AliasTaken { name: TopicName, alias: String, taken_by: TopicName },
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("{count} partitions asked for; a topic has 1 to {max}")]
    Partitions { count: i64, max: u32 },
    #[error("setting {name} = {value:?} is refused: {reason}")]
    Config { name: String, value: String, reason: String },
    #[error("column {name} is refused: {reason}")]
    Schema { name: String, reason: String },
    #[error("cannot make the topic durable")]
    Storage(#[source] OpenError),
    #[error("cannot record the topic in the catalog")]
    Catalog(#[source] AppendFailure),
    #[error(transparent)]
    Denied(#[from] Denied),
}

/// Why a topic was not changed or deleted.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AlterTopicError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("topic {topic} has {current} partitions; {asked} is not an increase within {max}")]
    Partitions { topic: TopicName, current: u32, asked: i64, max: u32 },
    #[error("setting {name} = {value:?} is refused: {reason}")]
    Config { name: String, value: String, reason: String },
    #[error("column {name} is refused: {reason}")]
    Schema { name: String, reason: String },
    #[error("topic {0} is internal")]
    Internal(TopicName),
    #[error("cannot open the new partitions")]
    Open(#[source] OpenError),
    #[error("cannot delete the partitions")]
    Delete(#[source] DeleteError),
    #[error("cannot delete records")]
    Truncate(#[source] TruncateError),
    #[error("cannot record the change in the catalog")]
    Catalog(#[source] AppendFailure),
}

/// Why nothing was declared, or taken back.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum DeclareError {
    #[error("{kind} {name} exists already")]
    Exists { kind: DeclarationKind, name: String },
    #[error("there is no {kind} {name}")]
    Unknown { kind: DeclarationKind, name: String },
    #[error("{kind} name {name:?} is refused: it has 1 to {max} of A-Z a-z 0-9 . _ -")]
    Name { kind: DeclarationKind, name: String, max: usize },
    #[error("{kind} {name} is {size} bytes as JSON; {max} are allowed")]
    TooLarge { kind: DeclarationKind, name: String, size: usize, max: usize },
    #[error("there are {max} {kind}s already, which is as many as a node runs")]
    TooMany { kind: DeclarationKind, max: usize },
    #[error("cannot record it in the catalog")]
    Catalog(#[from] AppendFailure),
    #[error(transparent)]
    Denied(#[from] Denied),
}

/// Why nothing was done about an endpoint.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EndpointError {
    #[error(transparent)]
    Refused(#[from] EndpointRefused),
    #[error(transparent)]
    Declare(#[from] DeclareError),
    #[error("endpoint {0} is from the node's configuration")]
    Configured(String),
    #[error("the node runs no endpoints now: it is starting or stopping")]
    NoRunner,
}

/// Why records were not accepted.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AppendFailure {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("topic {0} is internal")]
    Internal(TopicName),
    #[error("cannot make topic {name}")]
    Create {
        name: TopicName,
        #[source]
        source: Box<CreateTopicError>,
    },
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Durability(#[from] DurabilityError),
}

/// Why a message was not published.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PublishError {
    /// The channel is a topic, and the topic did not take it.
    #[error(transparent)]
    Append(#[from] AppendFailure),
    #[error(transparent)]
    Denied(#[from] Denied),
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RequestError {
    #[error("the service has no worker")]
    NoWorker,
    #[error("{max} requests or too many bytes wait for the service already")]
    Busy { max: usize },
    #[error("no answer within {after:?}")]
    Deadline { after: Duration },
    #[error("the worker that had the request is gone, after {attempts} attempts")]
    WorkerLost { attempts: u32 },
    #[error("the worker could not do it: {reason}")]
    Failed { reason: String },
    #[error(transparent)]
    Denied(#[from] Denied),
}

impl RequestError {
    /// One word for the metrics.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            RequestError::NoWorker => "no_worker",
            RequestError::Busy { .. } => "busy",
            RequestError::Deadline { .. } => "deadline",
            RequestError::WorkerLost { .. } => "worker_lost",
            RequestError::Failed { .. } => "failed",
            RequestError::Denied(_) => "denied",
        }
    }
}

/// Why a peer has no seat.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PairError {
    #[error("pair {name:?} has two peers already")]
    Taken { name: String },
    #[error(transparent)]
    Denied(#[from] Denied),
}

/// Why a message was not sent to the other peer; the message is given back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PairSendError {
    #[error("there is no other peer")]
    Alone(Box<LiveMessage>),
    #[error("too much waits for the other peer")]
    Full(Box<LiveMessage>),
}

/// Why a subscriber does not receive what it asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SubscribeError {
    #[error("a pattern of {size} bytes is longer than {max}")]
    PatternTooLong { size: usize, max: usize },
    #[error("a subscriber has at most {max} subscriptions")]
    TooMany { max: usize },
    #[error("the node is stopping")]
    Stopped,
    #[error(transparent)]
    Denied(#[from] Denied),
}

/// Why a partition could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum FetchError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("leader epoch {asked} is older than the current {current}")]
    FencedEpoch { asked: LeaderEpoch, current: LeaderEpoch },
    #[error("leader epoch {asked} is newer than the current {current}")]
    UnknownEpoch { asked: LeaderEpoch, current: LeaderEpoch },
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why a group call failed; each variant is one of Kafka's codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum GroupError {
    #[error("group id {0:?} is not valid")]
    InvalidGroup(String),
    #[error("the coordinator of group {0} is still loading")]
    Loading(String),
    #[error("member {member} is not in group {group}")]
    UnknownMember { group: String, member: String },
    #[error("generation {asked} of group {group} is over; it is now {current}")]
    IllegalGeneration { group: String, asked: i32, current: i32 },
    #[error("group {0} is rebalancing")]
    Rebalancing(String),
    #[error("another member has taken over instance {instance}")]
    FencedInstance { instance: String },
    #[error("protocol {asked} is not what group {group} agreed on")]
    InconsistentProtocol { group: String, asked: String },
    /// Kafka's COORDINATOR_NOT_AVAILABLE: the client finds the coordinator and tries again.
    #[error("the state of group {0} cannot be kept now")]
    Unavailable(String),
    /// Kafka has no such limits; POLICY_VIOLATION ends the client with its text.
    #[error("group {group} would exceed {max} {what}")]
    Limit { group: String, what: &'static str, max: usize },
    #[error(transparent)]
    Denied(#[from] Denied),
}

/// Why a join failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum JoinError {
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error("join again as member {0}")]
    MemberIdRequired(String),
    #[error("session timeout {asked_ms} ms is outside {min_ms} to {max_ms} ms")]
    SessionTimeout { asked_ms: u128, min_ms: u128, max_ms: u128 },
    #[error("group {group} is full: {max} members")]
    Full { group: String, max: usize },
}

/// Why an offset was not committed.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CommitError {
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("offset metadata of {size} bytes is larger than {max}")]
    MetadataTooLarge { size: usize, max: usize },
    #[error("cannot keep the offsets")]
    Storage(#[source] AppendFailure),
}

/// Why a group, or some of its offsets, was not deleted.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum DeleteGroupError {
    #[error("group {0} does not exist")]
    NotFound(String),
    #[error("group {0} has members")]
    NotEmpty(String),
    #[error("group {group} is subscribed to topic {topic}")]
    Subscribed { group: String, topic: TopicName },
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error("cannot record the deletion")]
    Storage(#[source] AppendFailure),
}

/// Why no producer id was given out.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ProducerIdError {
    #[error("cannot reserve producer ids")]
    Storage(#[source] AppendFailure),
    #[error(transparent)]
    Denied(#[from] Denied),
}
